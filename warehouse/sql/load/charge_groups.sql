-- charge_group → its dimensions: all of them for what keeps its own rows, the plain ones for what is added up.
CREATE OR REPLACE TEMP TABLE charge_groups AS
WITH spelled AS (
    {# FOCUS's own values, as some publishers do not write them: usage, TAX #}
    SELECT * REPLACE (
        {% for column in ("charge_category", "charge_class", "commitment_discount_status") %}
        upper(left(trim({{ column }}), 1)) || lower(substr(trim({{ column }}), 2)) AS {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    )
    FROM dimension_groups
)
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
FROM spelled AS d
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
FROM spelled AS d
LEFT JOIN seen_providers AS p
    ON p.provider_name IS NOT DISTINCT FROM d.provider_name AND p.invoice_issuer_name IS NOT DISTINCT FROM d.invoice_issuer_name
WHERE NOT d.is_ai
