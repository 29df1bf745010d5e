-- Calls that came more than {{ late_after_days }} days after their source had spoken for a newer day. A delivery
-- that replaces an earlier one brings only what it has more than that one; a source's first delivery brings none.
SELECT coalesce(sum(greatest(n.calls - coalesce(o.replaced_calls, 0), 0)), 0)::BIGINT
FROM (
    SELECT make_timestamp(epoch_us(called_at))::DATE AS call_date, count(*) AS calls
    FROM staging.stg_calls
    WHERE delivery_id = ?
    GROUP BY call_date
) AS n
LEFT JOIN old_call_days AS o ON o.call_date = n.call_date
WHERE n.call_date <= (SELECT max(newest_date) FROM old_call_days) - {{ late_after_days }}
