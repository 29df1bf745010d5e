-- Sources with `role: shadow` beside what counts: the same bill from the new source and from the old one, day by day.
--
-- Grain: one row per source_name, billing_account_id, provider, billing_currency and charge_date of the shadow.
-- Calendar: days on which the shadow has a charge; a day that only the counted sources have is not there.
-- Units: billing currency; amounts of all counted sources for the same account (any, where the shadow names none),
--   provider, currency and day.
-- Columns:
--   source_name: the shadow.
--   charge_date: UTC day.
--   counted_effective_cost: null where no counted source has a charge to compare.
--   difference_effective_cost: shadow less counted.
WITH shadow AS (
    SELECT
        source_name,
        billing_account_id,
        provider,
        billing_currency,
        charge_date,
        sum(billed_cost)::DECIMAL(38, 12) AS shadow_billed_cost,
        sum(effective_cost)::DECIMAL(38, 12) AS shadow_effective_cost
    FROM core.shadow_charges
    GROUP BY ALL
)
SELECT
    s.source_name,
    s.billing_account_id,
    s.provider,
    s.billing_currency,
    s.charge_date,
    any_value(s.shadow_billed_cost) AS shadow_billed_cost,
    sum(c.billed_cost)::DECIMAL(38, 12) AS counted_billed_cost,
    any_value(s.shadow_effective_cost) AS shadow_effective_cost,
    sum(c.effective_cost)::DECIMAL(38, 12) AS counted_effective_cost,
    (any_value(s.shadow_effective_cost) - sum(c.effective_cost))::DECIMAL(38, 12) AS difference_effective_cost
FROM shadow AS s
LEFT JOIN core.charges AS c
    ON c.charge_date = s.charge_date
    AND c.provider IS NOT DISTINCT FROM s.provider
    AND c.billing_currency = s.billing_currency
    AND (s.billing_account_id IS NULL OR c.billing_account_id = s.billing_account_id)
GROUP BY s.source_name, s.billing_account_id, s.provider, s.billing_currency, s.charge_date
