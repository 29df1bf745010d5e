DELETE FROM core.charge_amounts
WHERE charge_group IN (
    SELECT charge_group FROM core.charge_dimensions WHERE source_name = $source_name{{ " AND " ~ replaced if by == "scope" }}
){{ " AND " ~ replaced if by == "window" }}
