{#- The newest day of which a bill has a row, but for rows that are dated after all that was fetched. -#}
(
    SELECT max(charge_date) FROM core.charges
    WHERE source_rows > 0
        AND charge_date <= coalesce((SELECT max(make_timestamp(epoch_us(fetched_at)))::DATE FROM ops.deliveries), charge_date)
)
