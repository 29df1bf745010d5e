-- Those that no charge has any more.
DELETE FROM core.charge_dimensions
WHERE source_name = $source_name
    AND {{ replaced if by == "scope" else "charge_group NOT IN (SELECT charge_group FROM core.charge_amounts)" }}
