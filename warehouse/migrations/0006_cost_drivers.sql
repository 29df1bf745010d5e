-- Not a model: LMDI needs logarithms of exact decimals, which SQL has not. Written anew after each build.
CREATE TABLE marts.cost_drivers (
    feature VARCHAR NOT NULL,
    period_start DATE NOT NULL,
    period_end DATE NOT NULL,
    baseline_start DATE NOT NULL,
    driver VARCHAR NOT NULL,
    driver_label VARCHAR NOT NULL,
    baseline_cost_per_day_usd DECIMAL(38, 12) NOT NULL,
    cost_per_day_usd DECIMAL(38, 12) NOT NULL,
    change_per_day_usd DECIMAL(38, 12) NOT NULL,
    driver_change_per_day_usd DECIMAL(38, 12) NOT NULL
);
COMMENT ON TABLE marts.cost_drivers IS
'Why each feature costs more or less a day than before: its last 7 settled days against up to 28 before, divided by the
logarithmic mean Divisia index (LMDI-I).

Grain: one row per feature and driver: tasks, calls_per_task, retries, input_tokens_per_call, output_tokens_per_call,
cache_rate, model_mix, price, idle. Per feature the rows add up to change_per_day_usd to the last digit.
Units: US dollars a day, effective cost before credits, of the days on which telemetry saw anybody call.';
COMMENT ON COLUMN marts.cost_drivers.period_end IS 'The day after the last.';
COMMENT ON COLUMN marts.cost_drivers.baseline_start IS 'First day of the period before; it ends at period_start.';
COMMENT ON COLUMN marts.cost_drivers.driver_label IS 'growth, efficiency, mix, price or idle.';
COMMENT ON COLUMN marts.cost_drivers.driver_change_per_day_usd IS 'The driver''s part of the change.';
