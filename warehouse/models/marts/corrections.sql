-- What changed of months after they were closed, and in which open month each change is booked.
--
-- Grain: one row per closed_month, moment of booking, source_name, billing_currency, feature and credits or not.
-- Units: billing_currency, and US dollars in the _usd columns; each is new − old. Amounts without a rate count once they
--   have one.
-- reason: restatement (the bill changed), rules (features.yml changed: dollars moved between features), or both.
-- Columns:
--   closed_month: first day of the month that changed.
--   booked_month: first day of the month that carries the change in marts.feature_cost_monthly.
--   recorded_at: when the change was found.
--   is_credit: whether the charges are credits; effective cost before credits leaves these rows out.
SELECT
    closed_month,
    booked_month,
    recorded_at,
    source_name,
    billing_currency,
    feature,
    is_credit = 1 AS is_credit,
    reason,
    billed_cost,
    effective_cost,
    list_cost,
    billed_cost_usd,
    effective_cost_usd,
    list_cost_usd
FROM core.corrections
ORDER BY closed_month, recorded_at, source_name, feature
