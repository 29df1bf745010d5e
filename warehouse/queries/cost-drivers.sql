-- Why each feature costs more or less a day than in the four weeks before: the parts of the change, largest first.
SELECT
    feature,
    baseline_cost_per_day_usd::DECIMAL(38, 2) AS before_usd_per_day,
    cost_per_day_usd::DECIMAL(38, 2) AS usd_per_day,
    change_per_day_usd::DECIMAL(38, 2) AS change_usd_per_day,
    driver,
    driver_label,
    driver_change_per_day_usd::DECIMAL(38, 2) AS part_usd_per_day
FROM marts.cost_drivers
ORDER BY abs(change_per_day_usd) DESC, feature, abs(driver_change_per_day_usd) DESC
