{#- What core.allocations says of months, at the grain of closed months: known amounts only, so that all sums are exact. -#}
SELECT
    date_trunc('month', charge_date)::DATE AS month,
    source_name,
    billing_currency,
    feature,
    (charge_category IS NOT DISTINCT FROM 'Credit')::BIGINT AS is_credit,
    {% for measure in measures %}
    coalesce(sum({{ measure }}), 0)::DECIMAL(38, 12) AS {{ measure }}{{ "," if not loop.last }}
    {% endfor %}
FROM core.allocations
GROUP BY ALL
