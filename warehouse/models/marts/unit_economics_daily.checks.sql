-- fail: a row of the grain stands twice
SELECT usage_date, feature, provider, model, task_type, calls IS NULL AS is_no_calls, count(*) AS row_count
FROM marts.unit_economics_daily
GROUP BY ALL
HAVING count(*) > 1;

-- fail: a feature's rows do not add up to its cost of the day
SELECT m.feature, m.usage_date, m.cost_usd, c.effective_cost_before_credits_usd
FROM (
    SELECT
        feature,
        usage_date,
        sum(billed_cost_usd) AS billed_usd,
        sum(effective_cost_usd) AS effective_usd,
        sum(effective_cost_before_credits_usd) AS cost_usd
    FROM marts.unit_economics_daily
    GROUP BY feature, usage_date
) AS m
FULL JOIN marts.feature_cost_daily AS c ON c.feature = m.feature AND c.charge_date = m.usage_date
WHERE (c.billed_cost_usd IS NOT NULL AND coalesce(m.billed_usd, 0) <> c.billed_cost_usd)
   OR (c.effective_cost_usd IS NOT NULL AND coalesce(m.effective_usd, 0) <> c.effective_cost_usd)
   OR (c.effective_cost_before_credits_usd IS NOT NULL AND coalesce(m.cost_usd, 0) <> c.effective_cost_before_credits_usd)
   OR (c.feature IS NULL AND m.cost_usd <> 0);

-- fail: a call of core.usage is in no row, or in two
SELECT coalesce(m.calls, 0) AS calls, coalesce(u.calls, 0) AS usage_calls
FROM (SELECT sum(calls) AS calls FROM marts.unit_economics_daily) AS m
CROSS JOIN (SELECT sum(calls) AS calls FROM core.usage) AS u
WHERE m.calls IS DISTINCT FROM u.calls;

-- fail: the scaled estimates of billed rows are not the bill
SELECT feature, usage_date, sum(scaled_estimate_usd) AS scaled_usd, sum(effective_cost_before_credits_usd) AS billed_usd
FROM marts.unit_economics_daily
WHERE estimated_cost_usd IS NOT NULL AND estimate_drift_usd IS NOT NULL
GROUP BY feature, usage_date
HAVING sum(scaled_estimate_usd) IS DISTINCT FROM sum(effective_cost_before_credits_usd)
    OR sum(estimated_cost_usd) - sum(estimate_drift_usd) IS DISTINCT FROM sum(scaled_estimate_usd);

-- warn: tokens × price differs from the bill by more than a fifth over the last 28 days of a model
SELECT
    feature,
    provider,
    model,
    sum(estimated_cost_usd)::DECIMAL(38, 2) AS estimated_usd,
    sum(effective_cost_before_credits_usd)::DECIMAL(38, 2) AS billed_usd
FROM marts.unit_economics_daily
WHERE estimate_drift_usd IS NOT NULL AND is_settled
  AND usage_date > (SELECT max(usage_date) FROM marts.unit_economics_daily WHERE is_settled) - 28
GROUP BY feature, provider, model
HAVING abs(sum(estimate_drift_usd)) > 0.2 * sum(effective_cost_before_credits_usd)
   AND sum(effective_cost_before_credits_usd) > 100;
