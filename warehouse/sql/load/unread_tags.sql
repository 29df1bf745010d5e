-- Rows of the delivery whose tags are no JSON object.
SELECT coalesce(sum(s.source_rows), 0)::BIGINT
FROM staged_charges AS s
JOIN canonical_tags AS t ON t.raw_tags = s.raw_tags
WHERE contains(t.tags, {{ unread | literal }})
