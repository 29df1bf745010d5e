-- Every incident, the open ones first, with what it has cost so far.
SELECT
    status,
    severity,
    node AS feature,
    kind,
    label,
    onset,
    last_day,
    excess_usd_per_day::DECIMAL(38, 2) AS excess_usd_per_day,
    excess_percent::DECIMAL(38, 1) AS excess_percent,
    excess_usd_total::DECIMAL(38, 2) AS excess_usd_total,
    owner,
    id
FROM ops.incidents
ORDER BY status IN ('resolved', 'absorbed', 'withdrawn'), excess_usd_total DESC, id
