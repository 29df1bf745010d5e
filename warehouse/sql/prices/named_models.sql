-- Every model that tokens are counted for.
SELECT provider, model FROM staging.stg_calls WHERE provider IS NOT NULL AND model IS NOT NULL
UNION
SELECT provider, model FROM core.metered_usage WHERE model IS NOT NULL
ORDER BY provider, model
