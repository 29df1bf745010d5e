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
