-- What each change of features.yml moved on the newest days, so that no alert takes it for a change of cost.
CREATE TABLE rule_change_days (
    version BIGINT NOT NULL,
    feature TEXT NOT NULL,
    charge_date TEXT NOT NULL,
    delta_effective_cost_before_credits_usd TEXT NOT NULL,
    PRIMARY KEY (version, feature, charge_date)
);
