-- What a feature (or, for 'all features', everything but shared pools) cost on each day of two periods.
-- weekdays: which ones count, as bits; the lowest is Monday.
SELECT
    charge_date,
    charge_date BETWEEN $since AND $until AS is_after,
    CASE
        WHEN count(effective_cost_before_credits_usd) = count(*)
            THEN sum(effective_cost_before_credits_usd)::DECIMAL(38, 12)
    END AS cost_usd,
    bool_and(is_settled) AS is_settled,
    bool_or(basis = 'estimated') AS is_estimated
FROM marts.feature_cost_daily
WHERE CASE WHEN $feature = 'all features' THEN NOT starts_with(feature, 'shared: ') ELSE feature = $feature END
    AND ($weekdays >> (isodow(charge_date) - 1)::INTEGER) & 1 = 1
    AND (charge_date BETWEEN $since AND $until OR charge_date BETWEEN $base_since AND $base_until)
GROUP BY charge_date
ORDER BY charge_date
