-- How busy each kind of GPU was, by day, as its own counters say.
SELECT
    usage_date,
    gpu_model,
    count(*) AS gpus,
    round(avg(utilization) * 100, 1) AS busy_percent,
    count(*) FILTER (WHERE utilization < 0.05) AS nearly_idle_gpus
FROM core.gpu_devices
GROUP BY usage_date, gpu_model
ORDER BY usage_date DESC, gpu_model
LIMIT 60
