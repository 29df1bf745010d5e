CREATE OR REPLACE TABLE {{ shadow }} AS
SELECT * FROM {{ counted }} WHERE source_name = {{ source_name | literal }}
UNION ALL BY NAME
SELECT * FROM {{ shadow }}
