-- Machines with a GPU charge on a day: which GPUs they have, and whether they did anything but train.
--
-- Grain: one row per charge_date, source_name and resource_id.
-- Calendar: days with a GPU charge only.
-- Units: none.
-- Columns:
--   gpu_type: its types of GPU, by name, with a comma between them; null where none is known.
--   is_training: all of its GPU charges are training, fine-tuning or evaluation. Only these tell: the machine's disks, cores
--     and fees are of an unknown workload. Credits tell nothing; null where there is nothing else.
SELECT
    charge_date,
    source_name,
    resource_id,
    nullif(array_to_string(list_sort(list(DISTINCT gpu_type)), ', '), '') AS gpu_type,
    bool_and(coalesce(workload, 'unknown') NOT IN ('inference', 'unknown'))
        FILTER (WHERE charge_category IS DISTINCT FROM 'Credit') AS is_training
FROM core.charges
WHERE ai_kind = 'gpu' AND resource_id IS NOT NULL
GROUP BY charge_date, source_name, resource_id
