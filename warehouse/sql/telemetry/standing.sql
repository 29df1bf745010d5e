SELECT count(*) FROM {{ table }} WHERE delivery_id = ?
