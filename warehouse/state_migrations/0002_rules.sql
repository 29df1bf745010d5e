-- Every version of features.yml that a build has allocated by, and what each change of it moved.
CREATE TABLE rule_versions (
    version BIGINT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    who TEXT NOT NULL,
    content TEXT NOT NULL
);

CREATE TABLE rule_changes (
    version BIGINT NOT NULL,
    feature TEXT NOT NULL,
    month TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    who TEXT NOT NULL,
    old_fingerprint TEXT NOT NULL,
    new_fingerprint TEXT NOT NULL,
    old_effective_cost_before_credits_usd TEXT NOT NULL,
    new_effective_cost_before_credits_usd TEXT NOT NULL,
    first_charge_date TEXT NOT NULL,
    last_charge_date TEXT NOT NULL,
    PRIMARY KEY (version, feature, month)
);
