-- What features' cost is made of, by day. `place`: days from the first; `series` numbers feature, dimension and member.
SELECT
    dense_rank() OVER (ORDER BY feature, dimension, member) - 1 AS series,
    feature,
    dimension,
    member,
    date_diff('day', {{ start | literal }}::DATE, charge_date) AS place,
    effective_cost_before_credits_usd::DOUBLE AS cost_usd
FROM marts.feature_member_daily
WHERE charge_date BETWEEN {{ start | literal }}::DATE AND {{ through | literal }}::DATE
    AND feature IN ({{ features | map('literal') | join(', ') }})
ORDER BY series, place
