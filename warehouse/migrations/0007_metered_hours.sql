-- What providers' usage APIs metered by the hour, the newest 14 days: core.usage_hourly shows it beside telemetry.
CREATE TABLE core.metered_hours (
    source_name VARCHAR NOT NULL,
    provider VARCHAR,
    usage_hour TIMESTAMP NOT NULL,        -- UTC, its beginning
    usage_kind VARCHAR,                   -- completions | embeddings | images | …
    sub_account_id VARCHAR,
    api_key_id VARCHAR,
    model VARCHAR,
    pricing_tier VARCHAR,
    requests BIGINT,
    input_tokens BIGINT,                  -- uncached only: the kinds are disjoint
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    output_tokens BIGINT,
    reasoning_tokens BIGINT,
    quantity DECIMAL(38, 12),
    quantity_unit VARCHAR
);
