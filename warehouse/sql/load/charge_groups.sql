-- charge_group → its dimensions: all of them for what keeps its own rows, the plain ones for what is added up.
CREATE OR REPLACE TEMP TABLE charge_groups AS
SELECT DISTINCT
    d.whole_group AS charge_group,
    {% for column in plain %}
    d.{{ column }},
    {% endfor %}
    {% for column in own %}
    d.{{ column }},
    {% endfor %}
    p.provider,
    {% for column in found %}
    d.{{ column }},
    {% endfor %}
    coalesce(d.charge_category, 'Usage') = 'Usage' AS is_usage
FROM dimension_groups AS d
LEFT JOIN seen_providers AS p
    ON p.provider_name IS NOT DISTINCT FROM d.provider_name AND p.invoice_issuer_name IS NOT DISTINCT FROM d.invoice_issuer_name
{% if not has_gpu %}
WHERE d.is_ai
{% endif %}
UNION ALL BY NAME
SELECT DISTINCT
    d.plain_group AS charge_group,
    {% for column in plain %}
    d.{{ column }},
    {% endfor %}
    p.provider,
    'other' AS ai_kind,
    'unknown' AS workload,
    coalesce(d.charge_category, 'Usage') = 'Usage' AS is_usage
FROM dimension_groups AS d
LEFT JOIN seen_providers AS p
    ON p.provider_name IS NOT DISTINCT FROM d.provider_name AND p.invoice_issuer_name IS NOT DISTINCT FROM d.invoice_issuer_name
WHERE NOT d.is_ai
