INSERT INTO core.metered_hours BY NAME
SELECT $source_name AS source_name, $provider AS provider, u.* REPLACE (n.canonical_model AS model)
FROM (
{{ scan }}
) AS u
LEFT JOIN canonical_names AS n ON n.model IS NOT DISTINCT FROM u.model
{# an hour that was not asked for would stand twice after the next answer #}
WHERE u.usage_hour >= {{ delivery.window_start | literal }}::TIMESTAMP AND u.usage_hour < {{ delivery.window_end | literal }}::TIMESTAMP
