-- Whether two raw tag texts mean the same: only then are staged rows grouped once more.
SELECT
    count(DISTINCT tags) + count(*) FILTER (WHERE tags IS NULL) < count(*)
    OR (count(*) FILTER (WHERE tags IS NULL) > 0 AND EXISTS (SELECT 1 FROM staged_charges WHERE raw_tags IS NULL))
FROM canonical_tags
