-- The places of the deliveries that had charges in the window.
SELECT DISTINCT charge_group // {{ size | int }}
FROM core.charge_amounts
WHERE {{ replaced }}
    AND charge_group IN (SELECT charge_group FROM core.charge_dimensions WHERE source_name = $source_name)
ORDER BY ALL
