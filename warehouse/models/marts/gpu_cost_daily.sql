-- What GPU machines cost on each day, whole: the GPU, and the CPU, memory, disk and fees billed for the same machine.
--
-- Grain: one row per charge_date, feature, provider, region, gpu_type and machine (resource_id; null for GPU charges that
--   name no machine).
-- Calendar: days with a charge only; absence is zero.
-- Units: US dollars (null where a charge's are not known), effective cost before credits; gpu_hours are device hours (8 GPUs for an hour are 8).
--   cost_per_gpu_hour_usd divides the whole machine's cost.
-- Why a filter: machines with a GPU charge on that day; other machines are not here. A machine with two types of GPU
--   lists both in gpu_type.
-- Columns:
--   charge_date: UTC day.
--   gpu_hours: device hours.
--   gpu_cost_usd: the GPU charges, and processors and memory that are sold with GPUs only.
--   rest_of_machine_cost_usd: the other charges of the same machine: CPU, memory, disk, fees.
--   effective_cost_before_credits_usd: the whole machine.
--   cost_per_gpu_hour_usd: the whole machine ÷ gpu_hours.
WITH charges AS (
    SELECT
        a.charge_date,
        a.feature,
        a.provider,
        a.region_id,
        coalesce(m.gpu_type, a.gpu_type) AS gpu_type,
        a.resource_id,
        a.ai_kind,
        a.gpu_hours,
        a.effective_cost_usd,
        a.basis,
        a.is_allocated
    FROM core.allocations AS a
    LEFT JOIN core.gpu_machines AS m
        ON m.charge_date = a.charge_date AND m.source_name = a.source_name AND m.resource_id = a.resource_id
    WHERE (m.resource_id IS NOT NULL OR a.ai_kind = 'gpu') AND a.charge_category IS DISTINCT FROM 'Credit'
)
SELECT
    charge_date,
    feature,
    provider,
    region_id,
    gpu_type,
    resource_id,
    sum(gpu_hours)::DECIMAL(38, 12) AS gpu_hours,
    CASE WHEN NOT bool_or(ai_kind = 'gpu' AND effective_cost_usd IS NULL)
        THEN coalesce(sum(effective_cost_usd) FILTER (WHERE ai_kind = 'gpu'), 0)
    END::DECIMAL(38, 12) AS gpu_cost_usd,
    CASE WHEN NOT bool_or(ai_kind <> 'gpu' AND effective_cost_usd IS NULL)
        THEN coalesce(sum(effective_cost_usd) FILTER (WHERE ai_kind <> 'gpu'), 0)
    END::DECIMAL(38, 12) AS rest_of_machine_cost_usd,
    CASE WHEN count(*) = count(effective_cost_usd) THEN sum(effective_cost_usd) END::DECIMAL(38, 12)
        AS effective_cost_before_credits_usd,
    (
        CASE WHEN count(*) = count(effective_cost_usd) THEN sum(effective_cost_usd) END / nullif(sum(gpu_hours), 0)
    )::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_gpu_hour_usd,
    CASE WHEN bool_or(basis = 'estimated') THEN 'estimated' ELSE 'reported' END AS basis,
    bool_or(is_allocated) AS is_allocated
FROM charges
GROUP BY charge_date, feature, provider, region_id, gpu_type, resource_id
ORDER BY charge_date, feature, provider, region_id, gpu_type, resource_id
