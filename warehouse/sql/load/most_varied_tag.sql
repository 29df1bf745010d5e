-- The tag with the most values; a sample tells, where there are many texts.
SELECT pair.key, count(DISTINCT pair.value) AS tag_values
FROM (
    SELECT unnest(map_entries(tags::JSON::MAP(VARCHAR, VARCHAR))) AS pair
    FROM canonical_tags
    WHERE tags IS NOT NULL
)
GROUP BY pair.key
ORDER BY tag_values DESC, pair.key
LIMIT 1
