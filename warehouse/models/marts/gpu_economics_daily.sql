-- What a million tokens of a self-hosted model costs, and what GPU hours without work cost.
--
-- Grain: one row per usage_date, feature, model and gpu_type. model is null where neither calls nor counters tell
--   of one that day.
-- Calendar: days with a GPU charge only; absence is zero.
-- Units: US dollars, effective cost before credits, of the whole machine; device hours; tokens of all kinds.
-- Why a filter: inference only (charges whose workload is training, fine-tuning or evaluation are left out, and all charges
--   of a machine whose GPU charges of the day all are).
-- Model: a GPU's hours go to models by the GPU seconds that their calls tell (none to a model whose calls tell none beside
--   others that do), else by tokens.
-- Tokens: those of the feature's calls. What the servers' own counters (prometheus) tell of a model that no feature has logged
--   by then belongs to the one feature with machines that has logged no such call by then; nobody can tell whose it is, and
--   it is left out, where there are more of these (unallocated machines among them) or where the day's logs name a model of
--   such machines that the counters do not. Of sources that meter a model and share a GPU the first by name is read; so is
--   the one that tells the most of a model, where none of its sources tells of GPUs.
-- Utilisation: what the devices' own counters say (core.gpu_activity), where they were measured for all of the hours;
--   else the GPU seconds that calls tell ÷ paid hours; else null. A day without any call of a feature that tells them on
--   other days is idle, if telemetry heard from anybody.
-- Columns:
--   usage_date: UTC day.
--   gpu_hours: device hours paid.
--   busy_gpu_hours: device hours that served calls.
--   utilisation: busy ÷ paid device hours, 6 decimals.
--   utilisation_basis: 'counters', 'calls' or 'no calls': where the utilisation comes from; null where it is unknown.
--   tokens: input (cached or not) and output.
--   tokens_basis: 'calls' or 'counters': where the tokens come from.
--   cost_usd: all of it, the allocation basis.
--   idle_cost_usd: dollars of the hours that served no call.
--   busy_cost_usd: dollars of those that did, the usage basis.
--   cost_per_million_tokens_usd: allocation basis: what a million tokens really cost, idle hours included.
--   busy_cost_per_million_tokens_usd: usage basis: what they would cost if every hour were as busy.
WITH pools AS (
    SELECT
        a.charge_date AS usage_date,
        a.feature,
        coalesce(m.gpu_type, a.gpu_type) AS gpu_type,
        sum(a.gpu_hours) AS gpu_hours,
        sum(a.gpu_hours) FILTER (WHERE b.utilization IS NOT NULL) AS measured_hours,
        sum((a.gpu_hours * b.utilization)::DECIMAL(38, 12)) AS measured_busy_hours,
        CASE WHEN count(*) = count(a.effective_cost_usd) THEN sum(a.effective_cost_usd) END AS cost_usd
    FROM core.allocations AS a
    LEFT JOIN core.gpu_machines AS m
        ON m.charge_date = a.charge_date AND m.source_name = a.source_name AND m.resource_id = a.resource_id
    LEFT JOIN core.gpu_activity AS b
        ON b.usage_date = a.charge_date
        AND b.source_name = a.source_name
        AND b.resource_id IS NOT DISTINCT FROM a.resource_id
        AND b.gpu_type IS NOT DISTINCT FROM a.gpu_type
    WHERE (a.ai_kind = 'gpu' OR m.resource_id IS NOT NULL)
      AND a.charge_category IS DISTINCT FROM 'Credit'
      AND coalesce(a.workload, 'unknown') IN ('inference', 'unknown')
      AND m.is_training IS NOT TRUE
    GROUP BY ALL
),
logged AS (
    SELECT
        usage_date,
        feature,
        model,
        -- Summed as decimals here and below: a sum of doubles depends on the order of rows.
        sum(gpu_seconds::DECIMAL(38, 3)) AS gpu_seconds,
        sum(
            coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)
            + coalesce(output_tokens, 0) + coalesce(reasoning_tokens, 0)
        )::DECIMAL(38, 0) AS tokens
    FROM core.usage
    WHERE gpu_seconds > 0 OR provider NOT IN (SELECT provider FROM core.metered_providers)
    GROUP BY usage_date, feature, model
),
scraped AS (
    SELECT usage_date, host, gpu, unnest(list_append(string_split(also_from, ', '), source_name)) AS source_name
    FROM core.gpu_devices
),
metered_by AS (
    SELECT
        usage_date,
        source_name,
        model,
        sum(
            coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)
            + coalesce(output_tokens, 0) + coalesce(reasoning_tokens, 0)
        )::DECIMAL(38, 0) AS tokens
    FROM core.metered_usage
    WHERE provider = 'self_hosted'
    GROUP BY usage_date, source_name, model
),
-- Of sources that meter a model and share a GPU the first by name speaks.
metered AS (
    SELECT m.usage_date, m.model, coalesce(sum(m.tokens) FILTER (WHERE s.source_name IS NOT NULL), max(m.tokens)) AS tokens
    FROM metered_by AS m
    LEFT JOIN (SELECT DISTINCT usage_date, source_name FROM scraped) AS s
        ON s.usage_date = m.usage_date AND s.source_name = m.source_name
    WHERE NOT EXISTS (
        SELECT 1
        FROM metered_by AS o
        JOIN scraped AS theirs ON theirs.usage_date = o.usage_date AND theirs.source_name = o.source_name
        JOIN scraped AS ours
            ON ours.usage_date = theirs.usage_date
            AND ours.host IS NOT DISTINCT FROM theirs.host
            AND ours.gpu = theirs.gpu
        WHERE o.usage_date = m.usage_date
          AND o.model IS NOT DISTINCT FROM m.model
          AND o.source_name < m.source_name
          AND ours.source_name = m.source_name
    )
    GROUP BY m.usage_date, m.model
),
-- Models that are in no log yet, of days on which the counters name every model that the features with machines log: a
-- name that only a log has may be another's in the counters.
unlogged AS (
    SELECT m.usage_date, m.model, m.tokens
    FROM metered AS m
    WHERE NOT EXISTS (SELECT 1 FROM logged AS c WHERE c.usage_date <= m.usage_date AND c.model IS NOT DISTINCT FROM m.model)
      AND NOT EXISTS (
          SELECT 1
          FROM logged AS c
          JOIN pools AS p ON p.usage_date = c.usage_date AND p.feature = c.feature
          WHERE c.usage_date = m.usage_date
            AND NOT EXISTS (
                SELECT 1 FROM metered AS o WHERE o.usage_date = c.usage_date AND o.model IS NOT DISTINCT FROM c.model
            )
      )
),
-- Of machines that no log tells of, whose they are, where they are all one feature's.
silent AS (
    SELECT p.usage_date, any_value(p.feature) AS feature
    FROM pools AS p
    WHERE NOT starts_with(p.feature, 'shared: ')
      AND NOT EXISTS (SELECT 1 FROM logged AS c WHERE c.usage_date <= p.usage_date AND c.feature = p.feature)
    GROUP BY p.usage_date
    HAVING count(DISTINCT p.feature) = 1 AND any_value(p.feature) <> 'unallocated'
),
served AS (
    SELECT *, 'calls' AS tokens_basis FROM logged
    UNION ALL
    SELECT s.usage_date, s.feature, u.model, NULL, u.tokens, 'counters'
    FROM silent AS s
    JOIN unlogged AS u ON u.usage_date = s.usage_date
),
telling AS (
    SELECT feature, min(usage_date) AS usage_date FROM logged WHERE gpu_seconds > 0 GROUP BY feature
),
heard AS (
    SELECT DISTINCT usage_date FROM core.usage
),
claims AS (
    SELECT
        p.*,
        s.model,
        -- Of the types of GPU by their hours; evenly where none has any.
        coalesce(coalesce(p.gpu_hours, 0) / nullif(sum(p.gpu_hours) OVER types, 0), 1 / count(*) OVER types) AS type_share,
        (s.gpu_seconds::DOUBLE * type_share)::DECIMAL(38, 9) AS gpu_seconds,
        (s.tokens * type_share::DECIMAL(13, 12))::DECIMAL(38, 0) AS tokens,
        s.tokens_basis,
        s.tokens_basis IS NOT DISTINCT FROM 'calls' AS is_served,
        t.feature IS NOT NULL AND h.usage_date IS NOT NULL AS is_heard
    FROM pools AS p
    LEFT JOIN served AS s ON s.usage_date = p.usage_date AND s.feature = p.feature
    LEFT JOIN telling AS t ON t.feature = p.feature AND t.usage_date <= p.usage_date
    LEFT JOIN heard AS h ON h.usage_date = p.usage_date
    WINDOW types AS (PARTITION BY p.usage_date, p.feature, s.model)
),
weighed AS (
    SELECT
        *,
        CASE
            WHEN sum(gpu_seconds) OVER pool > 0 THEN coalesce(gpu_seconds, 0) / sum(gpu_seconds) OVER pool
            WHEN sum(tokens) OVER pool > 0 THEN tokens::DOUBLE / sum(tokens) OVER pool::DOUBLE
            ELSE 1.0 / count(*) OVER pool
        END::DECIMAL(13, 12) AS share,
        row_number() OVER (pool ORDER BY gpu_seconds DESC NULLS LAST, tokens DESC NULLS LAST, model) = 1 AS is_remainder,
        CASE
            WHEN measured_hours = gpu_hours AND gpu_hours > 0 THEN 'counters'
            WHEN sum(gpu_seconds) OVER pool > 0 AND gpu_hours > 0 THEN 'calls'
            WHEN NOT is_served AND is_heard THEN 'no calls'
        END AS utilisation_basis,
        CASE utilisation_basis
            WHEN 'counters' THEN least(1, measured_busy_hours / gpu_hours::DOUBLE)
            WHEN 'calls' THEN least(1, sum(gpu_seconds) OVER pool / 3600 / gpu_hours::DOUBLE)
            WHEN 'no calls' THEN 0
        END::DECIMAL(9, 6) AS utilisation
    FROM claims
    WINDOW pool AS (PARTITION BY usage_date, feature, gpu_type)
),
shared AS (
    SELECT
        * EXCLUDE (cost_usd, gpu_hours),
        CASE
            WHEN is_remainder THEN gpu_hours - coalesce(sum((gpu_hours * share)::DECIMAL(38, 12)) FILTER (WHERE NOT is_remainder) OVER pool, 0)
            ELSE (gpu_hours * share)::DECIMAL(38, 12)
        END AS gpu_hours,
        CASE
            WHEN is_remainder THEN cost_usd - coalesce(sum((cost_usd * share)::DECIMAL(38, 12)) FILTER (WHERE NOT is_remainder) OVER pool, 0)
            ELSE (cost_usd * share)::DECIMAL(38, 12)
        END AS cost_usd
    FROM weighed
    WINDOW pool AS (PARTITION BY usage_date, feature, gpu_type)
),
idle AS (
    SELECT *, (cost_usd * (1 - utilisation))::DECIMAL(38, 12) AS idle_cost_usd FROM shared
)
SELECT
    usage_date,
    feature,
    model,
    gpu_type,
    gpu_hours::DECIMAL(38, 12) AS gpu_hours,
    (gpu_hours * utilisation)::DECIMAL(38, 12) AS busy_gpu_hours,
    utilisation,
    utilisation_basis,
    tokens,
    tokens_basis,
    cost_usd::DECIMAL(38, 12) AS cost_usd,
    idle_cost_usd,
    (cost_usd - idle_cost_usd)::DECIMAL(38, 12) AS busy_cost_usd,
    (cost_usd * 1000000 / nullif(tokens, 0))::DECIMAL(38, 9)::DECIMAL(38, 12) AS cost_per_million_tokens_usd,
    ((cost_usd - idle_cost_usd) * 1000000 / nullif(tokens, 0))::DECIMAL(38, 9)::DECIMAL(38, 12)
        AS busy_cost_per_million_tokens_usd
FROM idle
ORDER BY usage_date, feature, model, gpu_type
