-- What is known of the days of a feature: the newest day of it, how far it has settled, and what restated its days.
SELECT
    (SELECT max(charge_date) FROM marts.feature_cost_daily
     WHERE $feature = 'all features' OR feature = $feature) AS newest_day,
    (SELECT min(charge_date) FROM marts.feature_cost_daily
     WHERE $feature = 'all features' OR feature = $feature) AS first_day,
    coalesce(
        (SELECT settled_through FROM core.feature_settled WHERE feature = $feature),
        (SELECT data_through FROM ops.reported)
    ) AS settled_through,
    (SELECT waits_for FROM core.feature_settled WHERE feature = $feature) AS waits_for
