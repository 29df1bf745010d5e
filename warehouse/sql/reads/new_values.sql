-- Releases, prompt versions and models that a feature's calls first name on one of some days, where its earlier calls
-- named others: what only began to be reported is no change.
WITH calls AS (
    SELECT called_at::DATE AS usage_date, release, prompt_version, model
    FROM staging.stg_calls
    WHERE is_duplicate IS NOT TRUE AND coalesce(feature, 'unallocated') = $feature AND called_at::DATE <= $through
),
named AS (
    SELECT 'release' AS kind, release AS value, usage_date FROM calls WHERE release IS NOT NULL
    UNION ALL
    SELECT 'prompt_version', prompt_version, usage_date FROM calls WHERE prompt_version IS NOT NULL
    UNION ALL
    SELECT 'model', model, usage_date FROM calls WHERE model IS NOT NULL
),
seen AS (
    SELECT kind, value, min(usage_date) AS first_seen, count(*) AS calls FROM named GROUP BY kind, value
)
SELECT s.kind, s.value, s.first_seen, s.calls / (SELECT count(*) FROM calls WHERE usage_date >= s.first_seen) AS share
FROM seen AS s
WHERE s.first_seen BETWEEN $since AND $until
    AND EXISTS (SELECT 1 FROM seen AS o WHERE o.kind = s.kind AND o.first_seen < $since)
ORDER BY s.calls DESC, s.kind, s.value
