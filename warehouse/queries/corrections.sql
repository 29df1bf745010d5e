-- What changed of closed months, why, and in which month each change is booked.
SELECT
    closed_month,
    booked_month,
    feature,
    source_name,
    reason,
    sum(billed_cost_usd)::DECIMAL(38, 2) AS billed_cost_usd,
    sum(effective_cost_usd)::DECIMAL(38, 2) AS effective_cost_usd,
    max(recorded_at) AS recorded_at
FROM marts.corrections
GROUP BY ALL
ORDER BY closed_month DESC, booked_month DESC, feature, source_name, reason
