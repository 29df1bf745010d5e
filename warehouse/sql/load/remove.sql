DELETE FROM {{ table }} WHERE source_name = $source_name AND {{ replaced }}
