-- Those that no charge has any more.
DELETE FROM core.charge_dimensions
WHERE source_name = $source_name
    AND charge_group BETWEEN {{ first | int }} AND {{ last | int }}
    AND charge_group NOT IN (
        SELECT charge_group FROM core.charge_amounts WHERE charge_group BETWEEN {{ first | int }} AND {{ last | int }}
    )
