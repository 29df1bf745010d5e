-- GPUs that were measured, each once a day, by their own counters (DCGM).
--
-- Grain: one row per usage_date and device: by its UUID, else by host and number.
-- Calendar: absence is unknown, not idle.
-- Units: utilization from 0 to 1: the mean of the device's samples, 6 decimals.
-- Why a filter: of two sources that measured a device on a day the one that saw more of it speaks (the first by name, where
--   they saw as much); ops.telemetry_issues counts and names the other.
-- Columns:
--   source_name: the source that speaks.
--   also_from: the other sources that measured the device that day, by name; null where there is none.
--   gpu_type: as charges name it; null where the driver's name is not known.
--   seen_hours: device hours that its samples tell, by how far apart they were asked for; where that was not kept, beside
--     the most that a device of the source was seen in a day of the 28 before and after.
WITH seen AS (
    SELECT
        u.usage_date,
        u.source_name,
        u.host,
        u.gpu,
        CASE WHEN regexp_matches(u.gpu, '^(GPU|MIG)-') THEN u.gpu ELSE concat_ws(' ', u.host, u.gpu) END AS device,
        u.gpu_model,
        n.gpu_type,
        u.samples,
        u.utilization,
        least(
            24,
            24 * u.samples / coalesce(
                86400 / nullif(u.step_seconds, 0),
                -- No source asks for samples more than an hour apart.
                greatest(24, max(u.samples) OVER (
                    PARTITION BY u.source_name
                    ORDER BY u.usage_date RANGE BETWEEN INTERVAL 28 DAY PRECEDING AND INTERVAL 28 DAY FOLLOWING
                ))
            )
        )::DECIMAL(18, 9) AS seen_hours
    FROM core.gpu_utilization AS u
    LEFT JOIN gpu_model_types AS n ON n.gpu_model = u.gpu_model
    WHERE u.samples > 0
),
-- A device whose host was renamed in a day (a pod's name, say) was seen under both names.
told AS (
    SELECT
        usage_date,
        source_name,
        device,
        any_value(gpu) AS gpu,
        max({'samples': samples, 'host': host, 'gpu_model': gpu_model, 'gpu_type': gpu_type}) AS named,
        sum(samples)::BIGINT AS samples,
        (sum(samples * utilization) / sum(samples))::DECIMAL(9, 6) AS utilization,
        least(24, sum(seen_hours))::DECIMAL(18, 9) AS seen_hours
    FROM seen
    GROUP BY usage_date, source_name, device
)
SELECT
    usage_date,
    source_name,
    named.host AS host,
    gpu,
    named.gpu_model AS gpu_model,
    named.gpu_type AS gpu_type,
    samples,
    utilization,
    seen_hours,
    nullif(
        array_to_string(
            list_sort(list_filter(list(DISTINCT source_name) OVER same_device, lambda other: other <> source_name)), ', '
        ),
        ''
    ) AS also_from
FROM told
WINDOW same_device AS (PARTITION BY usage_date, device)
QUALIFY row_number() OVER (PARTITION BY usage_date, device ORDER BY seen_hours DESC, source_name) = 1
