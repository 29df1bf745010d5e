SELECT DISTINCT d.billing_currency, a.charge_date
FROM core.charge_amounts AS a
JOIN core.charge_dimensions AS d ON d.charge_group = a.charge_group
WHERE d.billing_currency <> ?
