-- Combinations → what they become in core. Those that are AI keep SKU, region and resource; the others
-- are added up per account, service, category and class (`plain_group`), except on a node with a GPU,
-- where every charge keeps its own row (`whole_group`).
CREATE OR REPLACE TEMP TABLE dimension_groups AS
WITH classified AS (
    SELECT
        d.*,
        coalesce(k.ai_kind, 'other') AS ai_kind,
        coalesce(k.workload, 'unknown') AS workload,
        k.canonical_model,
        k.canonical_token_type,
        k.pricing_tier,
        k.gpu_type,
        k.tokens_per_unit,
        k.gpu_hours_factor,
        k.gpu_hours_divisor,
        k.ai_kind IS NOT NULL AS is_ai
    FROM seen_dimensions AS d
    LEFT JOIN sku_classes AS k
        ON k.pattern_span = d.pattern_span
        {% for column in sku %}
        AND k.{{ column }} IS NOT DISTINCT FROM d.{{ column }}
        {% endfor %}
)
{# What is the same in every row tells nothing apart. #}
{% macro varied(columns) %}{% for column in columns if column in varying %}{{ column }}, {% endfor %}{% endmacro %}
SELECT
    *,
    dense_rank() OVER (ORDER BY {{ varied(plain) }}{{ varied(own) }}{{ found | join(", ") }})::INTEGER AS whole_group,
    CASE WHEN is_ai THEN whole_group ELSE -dense_rank() OVER (ORDER BY {{ varied(plain) }}NULL)::INTEGER END AS plain_group
FROM classified
