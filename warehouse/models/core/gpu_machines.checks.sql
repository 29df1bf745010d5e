-- fail: a machine stands twice on a day
SELECT charge_date, source_name, resource_id, count(*) AS row_count
FROM core.gpu_machines
GROUP BY ALL
HAVING count(*) > 1;
