-- fail: a row of the grain stands twice
SELECT usage_date, source_name, resource_id, gpu_type, count(*) AS row_count
FROM core.gpu_activity
GROUP BY ALL
HAVING count(*) > 1;

-- warn: GPUs are billed that no counter saw, though counters saw others of their type
SELECT c.charge_date, c.gpu_type, sum(c.gpu_hours)::DECIMAL(38, 1) AS gpu_hours
FROM core.charges AS c
JOIN (SELECT DISTINCT usage_date, gpu_type FROM core.gpu_devices) AS d
    ON d.usage_date = c.charge_date AND d.gpu_type = c.gpu_type
LEFT JOIN core.gpu_activity AS a
    ON a.usage_date = c.charge_date
    AND a.source_name = c.source_name
    AND a.resource_id IS NOT DISTINCT FROM c.resource_id
    AND a.gpu_type = c.gpu_type
WHERE c.ai_kind = 'gpu' AND c.gpu_hours > 0 AND a.usage_date IS NULL
GROUP BY ALL;
