-- How busy the GPUs behind a charge were, by their own counters (DCGM).
--
-- Grain: one row per usage_date, source_name, resource_id and gpu_type of a GPU charge whose devices were measured.
-- Calendar: absence is unknown, not idle.
-- Units: utilization from 0 to 1: the mean of the devices' samples, 6 decimals.
-- Matching: a machine by its host's name, which is its resource id or the last part of it; the other machines of a GPU
--   type by the mean of the type's devices that belong to none of these. Either only if nine tenths of the billed hours
--   were seen (core.gpu_devices).
-- Columns:
--   gpus: devices that were measured.
--   matched_by: 'host' or 'gpu_type'.
WITH charged AS (
    SELECT charge_date AS usage_date, source_name, resource_id, gpu_type, sum(gpu_hours) AS gpu_hours
    FROM core.charges
    WHERE ai_kind = 'gpu' AND gpu_hours > 0
    GROUP BY ALL
),
hosts AS (
    SELECT
        c.usage_date,
        c.source_name,
        c.resource_id,
        c.gpu_type,
        c.gpu_hours,
        d.host,
        count(DISTINCT d.gpu) AS gpus,
        sum(d.seen_hours) AS seen_hours,
        (sum(d.seen_hours * d.utilization) / sum(d.seen_hours))::DECIMAL(9, 6) AS utilization
    FROM charged AS c
    JOIN core.gpu_devices AS d
        ON d.usage_date = c.usage_date
        AND split_part(d.host, ':', 1) IN (c.resource_id, regexp_extract(c.resource_id, '[^/:]+$'))
    GROUP BY ALL
),
machines AS (
    SELECT
        usage_date,
        source_name,
        resource_id,
        gpu_type,
        sum(gpus)::BIGINT AS gpus,
        (sum(gpus * utilization) / sum(gpus))::DECIMAL(9, 6) AS utilization,
        round(sum(seen_hours), 6) >= 0.9 * any_value(gpu_hours) AS is_enough
    FROM hosts
    GROUP BY ALL
),
others AS (
    SELECT c.*
    FROM charged AS c
    LEFT JOIN machines AS m
        ON m.usage_date = c.usage_date
        AND m.source_name = c.source_name
        AND m.resource_id = c.resource_id
        AND m.gpu_type IS NOT DISTINCT FROM c.gpu_type
    WHERE m.usage_date IS NULL
),
types AS (
    SELECT
        usage_date,
        gpu_type,
        count(DISTINCT (host, gpu)) AS gpus,
        sum(seen_hours) AS seen_hours,
        (sum(seen_hours * utilization) / sum(seen_hours))::DECIMAL(9, 6) AS utilization
    FROM core.gpu_devices AS d
    WHERE gpu_type IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM hosts AS m WHERE m.usage_date = d.usage_date AND m.host = d.host)
    GROUP BY usage_date, gpu_type
),
enough AS (
    SELECT t.*
    FROM types AS t
    JOIN (SELECT usage_date, gpu_type, sum(gpu_hours) AS gpu_hours FROM others GROUP BY usage_date, gpu_type) AS o
        ON o.usage_date = t.usage_date AND o.gpu_type = t.gpu_type
    WHERE round(t.seen_hours, 6) >= 0.9 * o.gpu_hours
)
SELECT usage_date, source_name, resource_id, gpu_type, gpus, utilization, 'host' AS matched_by
FROM machines
WHERE is_enough
UNION ALL BY NAME
SELECT o.usage_date, o.source_name, o.resource_id, o.gpu_type, e.gpus, e.utilization, 'gpu_type' AS matched_by
FROM others AS o
JOIN enough AS e ON e.usage_date = o.usage_date AND e.gpu_type = o.gpu_type
