-- A feature's traffic and cost by provider and model, over the days of [since, until) on which anybody called and whose
-- weekday is in the bits of $weekdays (the lowest is Monday). Calls without a bill stand apart. With $of_success over the
-- days of which the cost of a success is known, as reads/explained_units.sql has them; there calls without a bill count
-- by their estimate, as in serving_cost_usd. Tokens weigh what they cost for short contexts on the period's last day;
-- relative list prices where none is known.
WITH seen AS (
    SELECT DISTINCT usage_date FROM core.usage WHERE usage_date >= $since AND usage_date < $until
        AND ($weekdays >> (isodow(usage_date) - 1)::INTEGER) & 1 = 1
        AND (NOT $of_success OR usage_date IN (
            SELECT usage_date
            FROM marts.feature_unit_economics_daily
            WHERE feature = $feature AND is_outcome_settled AND is_settled
              AND successful_tasks IS NOT NULL AND serving_cost_usd IS NOT NULL
        ))
),
counted AS (
    SELECT
        *,
        is_billed OR ($of_success AND bool_or(calls > 0 AND is_billed) OVER ()) AS is_counted,
        CASE
            WHEN NOT $of_success THEN effective_cost_before_credits_usd
            WHEN is_billed_by_other THEN 0
            ELSE billed_or_estimated_cost_usd
        END AS cost_usd
    FROM marts.unit_economics_daily
    WHERE feature = $feature
),
prices AS (
    SELECT *
    FROM core.prices
    WHERE account IS NULL AND pricing_tier = 'standard' AND above_input_tokens = 0
      AND time_from <= TIME '12:00:00' AND (time_to IS NULL OR time_to > TIME '12:00:00')
      AND valid_from < $until AND valid_to >= $until
)
SELECT
    u.provider,
    u.model,
    coalesce(sum(u.calls), 0)::BIGINT AS calls,
    coalesce(sum(u.retries), 0)::BIGINT AS retries,
    coalesce(sum(u.tasks), 0)::BIGINT AS tasks,
    coalesce(sum(u.cost_usd), 0)::DECIMAL(38, 12) AS cost_usd,
    coalesce(sum(u.training_cost_usd), 0)::DECIMAL(38, 12) AS training_cost_usd,
    count(*) - count(u.cost_usd) AS unknown_costs,
    u.is_counted,
    (SELECT count(*) FROM seen) AS seen_days,
    coalesce(sum(u.input_tokens), 0)::BIGINT AS input_tokens,
    coalesce(sum(u.cache_read_tokens), 0)::BIGINT AS cache_read_tokens,
    coalesce(sum(u.cache_write_tokens), 0)::BIGINT AS cache_write_tokens,
    (coalesce(sum(u.output_tokens), 0) + coalesce(sum(u.reasoning_tokens), 0))::BIGINT AS output_tokens,
    coalesce(any_value(p.input_usd_per_million), 1) AS input_weight,
    CASE WHEN any_value(p.price_id) IS NULL THEN 0.1 ELSE coalesce(any_value(p.cache_read_usd_per_million), 0) END
        AS cache_read_weight,
    CASE WHEN any_value(p.price_id) IS NULL THEN 1.25 ELSE coalesce(any_value(p.cache_write_usd_per_million), 0) END
        AS cache_write_weight,
    CASE WHEN any_value(p.price_id) IS NULL THEN 5 ELSE coalesce(any_value(p.output_usd_per_million), 0) END::DECIMAL(18, 9)
        AS output_weight
FROM counted AS u
JOIN seen AS s ON s.usage_date = u.usage_date
LEFT JOIN prices AS p ON p.provider = u.provider AND p.model = u.model
GROUP BY u.provider, u.model, u.calls IS NULL, u.is_counted
ORDER BY u.provider, u.model, u.calls IS NULL, u.is_counted
