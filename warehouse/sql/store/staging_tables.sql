-- Telemetry, one row per call, as the connectors' CALLS schema has it. It names tasks and hashed
-- users, so it stays out of the file that is published; what is lost here is loaded anew from landing.
CREATE TABLE IF NOT EXISTS staging.stg_calls (
    source_name VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    called_at TIMESTAMPTZ NOT NULL,
    provider VARCHAR,
    model VARCHAR,
    feature VARCHAR,
    task_id VARCHAR,
    task_type VARCHAR,
    attempt INTEGER,
    outcome VARCHAR,
    status VARCHAR,
    response_id VARCHAR,
    user_hash VARCHAR,
    plan VARCHAR,
    release VARCHAR,
    prompt_version VARCHAR,
    api_key_id VARCHAR,
    input_tokens BIGINT,
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    output_tokens BIGINT,
    reasoning_tokens BIGINT,
    tool_calls INTEGER,
    latency_ms BIGINT,
    gpu_seconds DOUBLE
);

-- What the log's own tool priced the call at, in US dollars: an estimate of theirs, kept beside ours.
ALTER TABLE staging.stg_calls ADD COLUMN IF NOT EXISTS logged_cost_usd DECIMAL(38, 12);

-- How the call was served (standard, batch, flex, priority; other has no known price), and the trace that it is of.
ALTER TABLE staging.stg_calls ADD COLUMN IF NOT EXISTS pricing_tier VARCHAR;
ALTER TABLE staging.stg_calls ADD COLUMN IF NOT EXISTS trace_id VARCHAR;

-- Another row reports the same call, and that one counts. Set anew by each build, over all sources.
ALTER TABLE staging.stg_calls ADD COLUMN IF NOT EXISTS is_duplicate BOOLEAN DEFAULT 'false';

-- Outcomes of tasks that came apart from the calls, as the connectors' OUTCOMES schema has them.
CREATE TABLE IF NOT EXISTS staging.stg_outcomes (
    source_name VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    task_id VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    outcome_at TIMESTAMPTZ NOT NULL
);

-- Which deliveries' calls stand above. ops.deliveries is in the other file, and one transaction
-- writes to one file: a delivery counts as loaded when both know it.
CREATE TABLE IF NOT EXISTS staging.staged_deliveries (
    source_name VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    window_start DATE NOT NULL,
    window_end DATE NOT NULL,
    call_rows BIGINT NOT NULL
);
