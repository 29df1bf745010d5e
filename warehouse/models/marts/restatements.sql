-- Which past totals changed after they had first been delivered: old, new, difference.
--
-- Grain: one row per restated source_name, account, billing period, charge_date and currency, per delivery that changed it.
-- Units: effective and billed cost in billing_currency; billed is null for changes that older versions recorded. delta_share
--   is the change of effective cost relative to the old total, null where that was zero or unknown. age_days is how long
--   after the charge the change arrived.
-- Columns:
--   recorded_at: when the delivery that changed the total was loaded.
--   delta_effective_cost: new − old; 0 where only the invoice changed.
--   delta_billed_cost: new − old, as invoiced.
--   delta_share: delta ÷ |old|.
--   age_days: days from the charge to the change.
SELECT
    recorded_at,
    source_name,
    billing_account_id,
    billing_period_start,
    charge_date,
    billing_currency,
    old_effective_cost,
    new_effective_cost,
    delta_effective_cost,
    old_billed_cost,
    new_billed_cost,
    delta_billed_cost,
    round(delta_effective_cost / nullif(abs(old_effective_cost), 0), 6) AS delta_share,
    date_diff('day', charge_date, recorded_at::DATE) AS age_days,
    delivery_id
FROM ops.restatements
ORDER BY recorded_at DESC, source_name, charge_date
