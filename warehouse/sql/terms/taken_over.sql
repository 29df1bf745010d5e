SELECT min(e.billing_period_start)
FROM ops.delivery_days AS e
JOIN ops.deliveries AS d ON d.delivery_id = e.delivery_id AND d.load_number = e.load_number
WHERE e.is_current
    AND e.role IS NULL
    AND d.source_type = $successor_type
    AND d.source_name <> $source_name
    AND e.billing_account_id IN (
        {# superseded ones too: what was taken over is not taken back #}
        SELECT billing_account_id FROM ops.delivery_days WHERE source_name = $source_name
    )
