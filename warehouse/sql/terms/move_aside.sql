-- United by name: a column that core has gained since is gained here too.
CREATE OR REPLACE TABLE core.shadow_usage AS
SELECT * FROM core.metered_usage WHERE source_name = {{ source_name | literal }}
UNION ALL BY NAME
SELECT * FROM core.shadow_usage
