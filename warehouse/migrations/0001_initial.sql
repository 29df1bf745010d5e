-- What deliveries leave behind and a rebuild of the models does not make again.
-- No keys, sequences or indexes: the same SQL runs on DuckDB and on DuckLake.
CREATE SCHEMA IF NOT EXISTS core;
CREATE SCHEMA IF NOT EXISTS marts;
CREATE SCHEMA IF NOT EXISTS focus;
CREATE SCHEMA IF NOT EXISTS ops;

-- One row per source, scope, day and every dimension below. Replaced per (source_name, scope) or
-- (source_name, window of days) in one transaction. Money in billing_currency and in US dollars;
-- a null _usd twin means that no dated rate is known.
CREATE TABLE core.charges (
    source_name VARCHAR NOT NULL,
    source_type VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    charge_date DATE NOT NULL,
    billing_period_start DATE,
    billing_account_id VARCHAR,
    sub_account_id VARCHAR,
    sub_account_name VARCHAR,
    invoice_issuer_name VARCHAR,
    provider_name VARCHAR,        -- as the bill writes it
    provider VARCHAR,             -- canonical slug: aws, gcp, azure, openai, anthropic, …
    service_name VARCHAR,
    service_category VARCHAR,
    sku_id VARCHAR,
    sku_meter VARCHAR,
    charge_description VARCHAR,
    charge_category VARCHAR,
    charge_class VARCHAR,
    commitment_discount_status VARCHAR, -- null | Used | Unused: an unused commitment is nobody's own
    region_id VARCHAR,
    resource_id VARCHAR,          -- AI charges, and all charges of a resource with a GPU that day
    api_key_id VARCHAR,
    tags VARCHAR,                 -- JSON object with sorted keys, or null
    ai_kind VARCHAR NOT NULL,     -- llm_api | gpu | ai_platform | other | unclassified
    workload VARCHAR NOT NULL,    -- inference | training | fine_tuning | evaluation | unknown
    model VARCHAR,
    token_type VARCHAR,
    pricing_tier VARCHAR,
    gpu_type VARCHAR,
    consumed_quantity DECIMAL(38, 12),
    consumed_unit VARCHAR,
    tokens DECIMAL(38, 6),
    gpu_hours DECIMAL(38, 12),    -- device hours
    billed_cost DECIMAL(38, 12),
    effective_cost DECIMAL(38, 12),
    list_cost DECIMAL(38, 12),
    billing_currency VARCHAR NOT NULL,
    billed_cost_usd DECIMAL(38, 12),
    effective_cost_usd DECIMAL(38, 12),
    list_cost_usd DECIMAL(38, 12),
    basis VARCHAR NOT NULL,       -- reported | estimated
    source_rows BIGINT NOT NULL   -- rows of the bill that were added into this one
);

-- What providers' own usage APIs metered; disjoint token kinds; replaced like charges.
CREATE TABLE core.metered_usage (
    source_name VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    provider VARCHAR NOT NULL,
    usage_date DATE NOT NULL,
    sub_account_id VARCHAR,
    api_key_id VARCHAR,
    model VARCHAR,
    pricing_tier VARCHAR,
    requests BIGINT,
    input_tokens BIGINT,
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    output_tokens BIGINT,
    reasoning_tokens BIGINT
);

-- One row per loaded delivery, superseded ones included; written in the transaction that loads it.
CREATE TABLE ops.deliveries (
    delivery_id VARCHAR NOT NULL,
    source_name VARCHAR NOT NULL,
    source_type VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    window_start DATE NOT NULL,
    window_end DATE NOT NULL,     -- exclusive
    identity VARCHAR,             -- the source's own fingerprint, known before the fetch
    content_hash VARCHAR NOT NULL,
    landed_path VARCHAR NOT NULL, -- relative to the landing folder
    fetched_at TIMESTAMPTZ NOT NULL,
    loaded_at TIMESTAMPTZ NOT NULL,
    source_rows BIGINT NOT NULL,
    billed_cost DECIMAL(38, 12),
    effective_cost DECIMAL(38, 12),
    billing_currency VARCHAR,     -- null when the delivery holds several
    is_current BOOLEAN NOT NULL,
    notes VARCHAR                 -- JSON list of texts: unknown columns and the like
);

-- Every past total that a delivery changed.
CREATE TABLE ops.restatements (
    source_name VARCHAR NOT NULL,
    billing_account_id VARCHAR,
    billing_period_start DATE,
    charge_date DATE NOT NULL,
    billing_currency VARCHAR NOT NULL,
    old_effective_cost DECIMAL(38, 12),
    new_effective_cost DECIMAL(38, 12),
    delta_effective_cost DECIMAL(38, 12),
    delivery_id VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

-- Σ at each step of each run, per source and currency: source → core → allocations → marts.
CREATE TABLE ops.reconciliations (
    run_id VARCHAR NOT NULL,
    checked_at TIMESTAMPTZ NOT NULL,
    step VARCHAR NOT NULL,        -- load | allocate | mart
    source_name VARCHAR,
    billing_currency VARCHAR,
    measure VARCHAR NOT NULL,     -- rows | billed_cost | effective_cost | list_cost
    expected DECIMAL(38, 12),
    actual DECIMAL(38, 12),
    is_equal BOOLEAN NOT NULL
);
