-- Rows of a window and a sum of their hashes: equal where the same rows stand, in any order and of any delivery.
SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0)
FROM (SELECT * EXCLUDE (delivery_id, scope) FROM {{ table }} WHERE source_name = $source_name AND {{ replaced }}) AS t
