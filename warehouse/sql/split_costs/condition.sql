c.delivery_id = $delivery_id
    AND c.ai_kind = 'gpu'
    AND c.charge_category = 'Usage'
    AND c.effective_cost > 0
    AND EXISTS (SELECT 1 FROM _splits AS s WHERE s.resource_id = c.resource_id AND s.charge_date = c.charge_date)
