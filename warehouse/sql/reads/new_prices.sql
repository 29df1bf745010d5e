-- Prices of the models that a feature pays for which changed on $onset or the day before or after, by the bill: what a
-- million tokens of a kind cost in the week before, and since; training, fine-tuning and evaluation have prices of their
-- own. A price that also moves within either (tiers that mix, discounts by volume) is no new price.
WITH days AS (
    SELECT
        provider, model, token_type, pricing_tier, charge_date,
        sum(tokens) AS tokens,
        sum(cost_per_million_tokens_usd * tokens) / sum(tokens) AS price
    FROM marts.model_cost_daily
    WHERE (provider, model) IN (
            SELECT DISTINCT provider, model FROM core.allocations
            WHERE feature = $feature AND model IS NOT NULL AND charge_date BETWEEN $onset AND $through
        )
        AND workload IN ('inference', 'unknown')
        AND charge_date BETWEEN $onset - 8 AND least($through, $onset + 6)
        AND tokens > 0 AND cost_per_million_tokens_usd > 0 AND basis = 'reported'
    GROUP BY ALL
),
sides AS (
    SELECT
        provider, model, token_type, pricing_tier,
        count(*) FILTER (charge_date < $onset - 1) AS days_before,
        min(price) FILTER (charge_date < $onset - 1) AS low_before,
        max(price) FILTER (charge_date < $onset - 1) AS high_before,
        min(price) FILTER (charge_date >= least($onset + 1, $through)) AS low_since,
        max(price) FILTER (charge_date >= least($onset + 1, $through)) AS high_since,
        sum(tokens) FILTER (charge_date >= least($onset + 1, $through)) AS tokens_since
    FROM days
    GROUP BY ALL
),
moved AS (
    SELECT *
    FROM sides
    WHERE days_before >= 3 AND high_before <= low_before * 1.02 AND high_since <= low_since * 1.02
        AND round(high_before, 6) > 0
        AND (low_since > high_before * 1.02 OR high_since < low_before * 0.98)
)
SELECT
    m.model,
    m.token_type,
    m.pricing_tier,
    round(m.high_before, 6)::DECIMAL(38, 6) AS before_usd_per_million,
    round(m.high_since, 6)::DECIMAL(38, 6) AS usd_per_million,
    (
        SELECT min(d.charge_date) FROM days AS d
        WHERE d.model = m.model AND d.token_type IS NOT DISTINCT FROM m.token_type
            AND d.provider IS NOT DISTINCT FROM m.provider AND d.pricing_tier IS NOT DISTINCT FROM m.pricing_tier
            AND d.charge_date >= $onset - 1 AND abs(d.price - m.high_since) < abs(d.price - m.high_before)
    ) AS first_seen
FROM moved AS m
ORDER BY abs(m.high_since - m.high_before) * m.tokens_since DESC, m.model, m.token_type
