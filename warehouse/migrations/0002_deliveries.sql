-- What the load needs to know of earlier deliveries, and what a build leaves behind.

-- The order of loading: of two deliveries that speak for one day, the one with the higher number does.
ALTER TABLE ops.deliveries ADD COLUMN load_number BIGINT;
ALTER TABLE ops.deliveries ADD COLUMN replaces VARCHAR;       -- scope | window
-- Calls in staging.stg_calls; null for a delivery that holds none. Staging is another file: a
-- delivery with calls counts as loaded only while staging knows it too.
ALTER TABLE ops.deliveries ADD COLUMN call_rows BIGINT;
ALTER TABLE ops.deliveries ADD COLUMN charge_rows BIGINT;     -- rows in core.charges when it was loaded
ALTER TABLE ops.deliveries ADD COLUMN scans VARCHAR;          -- JSON: how its files are read, to compare files later

-- The control totals of every delivery, counted from its own files as they were scanned, per account,
-- period, day and currency. Those that still speak (is_current) are what core.charges must add up to;
-- superseded ones are kept for 90 days.
CREATE TABLE ops.delivery_days (
    delivery_id VARCHAR NOT NULL,
    load_number BIGINT NOT NULL,
    source_name VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    invoice_issuer_name VARCHAR,
    billing_account_id VARCHAR,
    billing_period_start DATE,
    charge_date DATE NOT NULL,
    billing_currency VARCHAR NOT NULL,
    basis VARCHAR NOT NULL,
    source_rows BIGINT NOT NULL,
    billed_cost DECIMAL(38, 12),
    effective_cost DECIMAL(38, 12),
    list_cost DECIMAL(38, 12),
    is_current BOOLEAN NOT NULL,
    superseded_at TIMESTAMPTZ
);

-- Until which day each source is settled, as the last build was told.
CREATE TABLE ops.settled (
    source_name VARCHAR NOT NULL,
    settled_through DATE NOT NULL
);
