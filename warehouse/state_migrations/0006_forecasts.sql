-- Forecasts that a later issue of the same day replaced: a bill was restated and the day run again.
CREATE TABLE superseded_forecasts (
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
    PRIMARY KEY (as_of, feature, forecast_date, issued_at)
);

-- Totals of a period with their own intervals: period is month, next_month or 90_days.
CREATE TABLE period_forecasts (
    as_of TEXT NOT NULL,
    feature TEXT NOT NULL,
    period TEXT NOT NULL,
    first_date TEXT NOT NULL,
    last_date TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    actual_usd TEXT NOT NULL,
    mean_usd TEXT NOT NULL,
    lower_80_usd TEXT,
    upper_80_usd TEXT,
    lower_95_usd TEXT,
    upper_95_usd TEXT,
    PRIMARY KEY (as_of, feature, period)
);

-- What the answers of people say of the alerts told in a week (its Monday).
CREATE TABLE detector_precision (
    week TEXT PRIMARY KEY,
    told BIGINT NOT NULL,
    confirmed BIGINT NOT NULL,
    false_alarms BIGINT NOT NULL,
    unanswered BIGINT NOT NULL,
    precision DOUBLE PRECISION,
    updated_at TEXT NOT NULL
);
