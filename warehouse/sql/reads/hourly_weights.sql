-- Usage by feature and hour: dollars at list price where every call of the feature has one, else tokens in the usual
-- ratio of their prices (a cache read a tenth of an uncached token, output four times it). has_prices: which of the two.
-- A feature's own telemetry goes before what its provider metered; metered usage belongs to the feature that the bill
-- gave at least 95% of its key's, else its project's, cost to; a key or project that the bill does not know yet is nobody's.
WITH spent AS (
    SELECT source_name, sub_account_id, api_key_id, feature, sum(abs(effective_cost_usd)) AS cost_usd
    FROM core.allocations
    WHERE ai_kind IN ('llm_api', 'ai_platform') AND charge_date > (SELECT max(charge_date) - 60 FROM core.allocations)
    GROUP BY ALL
),
by_key AS (
    SELECT source_name, api_key_id, feature, cost_usd / nullif(sum(cost_usd) OVER (PARTITION BY source_name, api_key_id), 0) AS share
    FROM (SELECT source_name, api_key_id, feature, sum(cost_usd) AS cost_usd FROM spent WHERE api_key_id IS NOT NULL GROUP BY ALL)
    QUALIFY row_number() OVER (PARTITION BY source_name, api_key_id ORDER BY cost_usd DESC, feature) = 1
),
by_account AS (
    SELECT source_name, sub_account_id, feature, cost_usd / nullif(sum(cost_usd) OVER (PARTITION BY source_name, sub_account_id), 0) AS share
    FROM (SELECT source_name, sub_account_id, feature, sum(cost_usd) AS cost_usd FROM spent WHERE sub_account_id IS NOT NULL GROUP BY ALL)
    QUALIFY row_number() OVER (PARTITION BY source_name, sub_account_id ORDER BY cost_usd DESC, feature) = 1
),
owned AS (
    SELECT
        u.*,
        u.feature IS NULL AS is_metered,
        CASE
            WHEN u.feature IS NOT NULL THEN nullif(u.feature, 'unallocated')
            WHEN k.source_name IS NOT NULL THEN CASE WHEN k.share >= 0.95 THEN k.feature END
            WHEN a.source_name IS NOT NULL THEN CASE WHEN a.share >= 0.95 THEN a.feature END
            ELSE 'unallocated'
        END AS owner
    FROM core.usage_hourly AS u
    LEFT JOIN by_key AS k ON k.source_name = u.source_name AND k.api_key_id = u.api_key_id
    LEFT JOIN by_account AS a ON a.source_name = u.source_name AND a.sub_account_id = u.sub_account_id
),
hours AS (
    SELECT
        owner AS feature,
        usage_hour,
        is_metered,
        count(*) = count(estimated_cost_usd) AS has_prices,
        sum(estimated_cost_usd)::DOUBLE AS priced_usd,
        sum(
            coalesce(input_tokens, 0) + 0.1 * coalesce(cache_read_tokens, 0) + 1.25 * coalesce(cache_write_tokens, 0)
            + 4 * coalesce(output_tokens, 0)
        )::DOUBLE AS tokens
    FROM owned
    WHERE owner IS NOT NULL
    GROUP BY owner, usage_hour, is_metered
),
chosen AS (
    SELECT * FROM hours QUALIFY is_metered = bool_and(is_metered) OVER (PARTITION BY feature)
)
SELECT
    feature,
    epoch(usage_hour)::BIGINT AS usage_second,
    bool_and(has_prices) OVER (PARTITION BY feature) AS has_prices,
    CASE WHEN bool_and(has_prices) OVER (PARTITION BY feature) THEN priced_usd ELSE tokens END AS weight
FROM chosen
ORDER BY feature, usage_hour
