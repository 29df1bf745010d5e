-- Each is told by its grain.
DELETE FROM core.charge_amounts AS a
WHERE EXISTS (
    SELECT 1
    FROM _divided AS d
    WHERE d.charge_group = a.charge_group
        AND d.charge_date = a.charge_date
        AND d.resource_id = a.resource_id
        AND d.tags IS NOT DISTINCT FROM a.tags
)
