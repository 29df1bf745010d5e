-- The events of one day that are calls or outcomes: their time, the user, the parameters that are asked for, and of
-- the others nothing but the names. A prompt in a parameter that is not asked for stays in BigQuery.
SELECT
    e.event_name,
    e.event_timestamp,
    e.{{ user_column }} AS user_id,
    TO_JSON_STRING(ARRAY(
        SELECT AS STRUCT
            p.key AS name,
            p.value.string_value AS text,
            p.value.int_value AS whole,
            p.value.float_value AS single,
            p.value.double_value AS number
        FROM UNNEST(e.event_params) AS p
        WHERE p.key IN UNNEST(@asked)
        ORDER BY p.key
    )) AS params,
    TO_JSON_STRING(ARRAY(
        SELECT p.key FROM UNNEST(e.event_params) AS p WHERE p.key NOT IN UNNEST(@asked) ORDER BY p.key
    )) AS other_names
FROM {{ table }} AS e
WHERE e.event_name IN UNNEST(@events)
ORDER BY e.event_timestamp
