DELETE FROM core.charge_dimensions WHERE source_name = $source_name AND {{ replaced }}
