-- Backfills: who asked for which days again and why, and how far each window of each source is.
CREATE TABLE backfills (
    backfill_id TEXT PRIMARY KEY,
    first_day TEXT NOT NULL,
    last_day TEXT NOT NULL,
    source TEXT,
    reason TEXT NOT NULL,
    who TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    status TEXT NOT NULL
);

CREATE TABLE backfill_windows (
    backfill_id TEXT NOT NULL,
    source_name TEXT NOT NULL,
    window_start TEXT NOT NULL,
    window_end TEXT NOT NULL,
    status TEXT NOT NULL,
    finished_at TEXT,
    deliveries BIGINT,
    source_rows BIGINT,
    restated_days BIGINT,
    error TEXT,
    PRIMARY KEY (backfill_id, source_name, window_start)
);
