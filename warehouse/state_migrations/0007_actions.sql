-- What was done to save money, with the saving that was predicted, in dollars a month.
CREATE TABLE actions (
    action_id TEXT PRIMARY KEY,
    feature TEXT NOT NULL,
    kind TEXT NOT NULL,
    done_on TEXT NOT NULL,
    predicted_low_usd TEXT,
    predicted_usd TEXT,
    predicted_high_usd TEXT,
    note TEXT NOT NULL,
    who TEXT NOT NULL,
    recorded_at TEXT NOT NULL
);
