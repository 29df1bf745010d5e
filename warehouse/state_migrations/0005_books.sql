-- Closed months: what every feature cost when its month was closed, and what changed of it afterwards.
CREATE TABLE closed_months (
    month TEXT PRIMARY KEY,
    closed_at TEXT NOT NULL,
    who TEXT NOT NULL
);

CREATE TABLE closed_costs (
    month TEXT NOT NULL,
    source_name TEXT NOT NULL,
    billing_currency TEXT NOT NULL,
    feature TEXT NOT NULL,
    is_credit BIGINT NOT NULL,
    billed_cost TEXT NOT NULL,
    effective_cost TEXT NOT NULL,
    list_cost TEXT NOT NULL,
    billed_cost_usd TEXT NOT NULL,
    effective_cost_usd TEXT NOT NULL,
    list_cost_usd TEXT NOT NULL,
    PRIMARY KEY (month, source_name, billing_currency, feature, is_credit)
);

-- Append-only: booked_month is the month that was open when the change of closed_month was found.
CREATE TABLE corrections (
    closed_month TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    source_name TEXT NOT NULL,
    billing_currency TEXT NOT NULL,
    feature TEXT NOT NULL,
    is_credit BIGINT NOT NULL,
    booked_month TEXT NOT NULL,
    reason TEXT NOT NULL,
    billed_cost TEXT NOT NULL,
    effective_cost TEXT NOT NULL,
    list_cost TEXT NOT NULL,
    billed_cost_usd TEXT NOT NULL,
    effective_cost_usd TEXT NOT NULL,
    list_cost_usd TEXT NOT NULL,
    PRIMARY KEY (closed_month, recorded_at, source_name, billing_currency, feature, is_credit)
);
