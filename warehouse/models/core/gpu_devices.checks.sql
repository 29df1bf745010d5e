-- fail: a device stands twice
SELECT usage_date, host, gpu, count(*) AS row_count
FROM core.gpu_devices
GROUP BY ALL
HAVING count(*) > 1;
