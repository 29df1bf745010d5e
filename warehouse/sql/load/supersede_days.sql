UPDATE ops.delivery_days SET is_current = FALSE, superseded_at = $superseded_at
WHERE is_current AND source_name = $source_name AND {{ replaced }}
