-- Raw tag texts → canonical ones: a JSON object with sorted plain keys. `is_odd` marks texts that need
-- more care than SQL takes: no JSON object, or two keys that become one.
CREATE OR REPLACE TEMP TABLE canonical_tags AS
WITH seen AS (
    SELECT DISTINCT raw_tags FROM staged_charges WHERE raw_tags IS NOT NULL
),
parsed AS (
    SELECT raw_tags, CASE WHEN json_valid(raw_tags) AND json_type(raw_tags) = 'OBJECT' THEN raw_tags END AS object_text
    FROM seen
),
pairs AS (
    SELECT
        raw_tags,
        list_sort(list_transform(
            list_filter(json_each_pairs, lambda pair: pair.value IS NOT NULL),
            lambda pair: {key: regexp_replace(pair.key, {{ prefix | literal }}, ''), value: pair.value}
        )) AS pairs
    FROM (SELECT raw_tags, map_entries(object_text::JSON::MAP(VARCHAR, VARCHAR)) AS json_each_pairs FROM parsed)
)
SELECT
    raw_tags,
    coalesce(len(list_distinct(list_transform(pairs, lambda pair: pair.key))) < len(pairs), TRUE) AS is_odd,
    CASE WHEN NOT is_odd AND len(pairs) > 0 THEN to_json(map_from_entries(pairs))::VARCHAR END AS tags
FROM pairs
