-- What people, Slack and the flows write, and no rebuild may lose. Runs on SQLite and on PostgreSQL.
-- Texts hold what must come back exactly: decimals as digits, dates and UTC instants in ISO 8601
-- (which sort as texts), nested data as JSON.
CREATE TABLE incidents (
    id TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    direction TEXT NOT NULL,
    episode BIGINT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    severity TEXT NOT NULL,
    status TEXT NOT NULL,
    onset TEXT NOT NULL,
    last_day TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    resolved_at TEXT,
    excess_usd_per_day TEXT NOT NULL,
    excess_usd_total TEXT NOT NULL,
    excess_percent TEXT NOT NULL,
    channel TEXT NOT NULL,
    owner TEXT NOT NULL,
    details TEXT NOT NULL
);

CREATE TABLE incident_events (
    event_key TEXT PRIMARY KEY,
    incident_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    text TEXT NOT NULL
);

CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    incident_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    thread_of TEXT,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    sending_at TEXT,
    sent_at TEXT,
    channel_id TEXT,
    ts TEXT,
    failed_at TEXT,
    error TEXT
);

CREATE TABLE forecasts (
    as_of TEXT NOT NULL,
    feature TEXT NOT NULL,
    forecast_date TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    model TEXT NOT NULL,
    mean_usd TEXT NOT NULL,
    lower_80_usd TEXT,
    upper_80_usd TEXT,
    lower_95_usd TEXT,
    upper_95_usd TEXT,
    PRIMARY KEY (as_of, feature, forecast_date)
);

CREATE TABLE month_end_forecasts (
    as_of TEXT NOT NULL,
    feature TEXT NOT NULL,
    month TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    month_to_date_usd TEXT NOT NULL,
    mean_usd TEXT NOT NULL,
    lower_80_usd TEXT,
    upper_80_usd TEXT,
    lower_95_usd TEXT,
    upper_95_usd TEXT,
    monthly_budget_usd TEXT,
    breach_probability DOUBLE PRECISION,
    breach_date TEXT,
    PRIMARY KEY (as_of, feature, month)
);

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    as_of TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    status TEXT NOT NULL,
    details TEXT NOT NULL
);

CREATE TABLE watermarks (
    name TEXT PRIMARY KEY,
    position TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE feedback (
    key TEXT PRIMARY KEY,
    incident_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    who TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT,
    text TEXT NOT NULL
);

CREATE TABLE invoices (
    source_name TEXT NOT NULL,
    billing_account_id TEXT NOT NULL,
    month TEXT NOT NULL,
    billed_cost TEXT NOT NULL,
    billing_currency TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    who TEXT NOT NULL,
    PRIMARY KEY (source_name, billing_account_id, month)
);

CREATE TABLE backtests (
    run_at TEXT NOT NULL,
    feature TEXT NOT NULL,
    model TEXT NOT NULL,
    horizon_days BIGINT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (run_at, feature, model, horizon_days)
);
