charge_date <= (SELECT max(charge_date) FROM core.charges WHERE source_rows > 0)
