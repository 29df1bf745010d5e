-- What a source's own settings change of its loads, and the hours of the estimated lane.

-- Exports whose every period was read once, however old: later runs look at what may be restated.
CREATE TABLE ops.histories (
    source_name VARCHAR NOT NULL,
    read_at TIMESTAMPTZ NOT NULL
);

-- `since..until` of the source when the delivery was loaded; null where it has none. Other bounds make
-- the same bytes news.
ALTER TABLE ops.deliveries ADD COLUMN bounds VARCHAR;

-- Not every meter counts tokens: images, seconds, characters, bytes stored, sessions.
ALTER TABLE core.metered_usage ADD COLUMN usage_kind VARCHAR;      -- completions | embeddings | images | …
ALTER TABLE core.metered_usage ADD COLUMN quantity DECIMAL(38, 12);
ALTER TABLE core.metered_usage ADD COLUMN quantity_unit VARCHAR;

-- The newest 14 days by hour, from providers' hourly usage APIs and from telemetry: an estimate, and
-- never added to what core.charges says.
CREATE TABLE core.usage_hourly (
    source_name VARCHAR NOT NULL,
    usage_hour TIMESTAMP NOT NULL,        -- UTC, its beginning
    provider VARCHAR,
    feature VARCHAR,                      -- where the source knows it
    sub_account_id VARCHAR,
    api_key_id VARCHAR,
    model VARCHAR,
    pricing_tier VARCHAR,
    usage_kind VARCHAR,
    calls BIGINT,
    input_tokens BIGINT,                  -- uncached only: the kinds are disjoint
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    output_tokens BIGINT,
    reasoning_tokens BIGINT,
    quantity DECIMAL(38, 12),
    quantity_unit VARCHAR,
    estimated_cost_usd DECIMAL(38, 12)    -- null until priced
);
