INSERT INTO {{ counted }} BY NAME SELECT * FROM {{ shadow }} WHERE source_name = ?
