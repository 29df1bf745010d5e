-- Prepaid credits and commitments: used, left, and until when at this pace.
SELECT
    commitment,
    source_name,
    kind,
    granted_usd::DECIMAL(38, 2) AS granted_usd,
    used_usd::DECIMAL(38, 2) AS used_usd,
    left_usd::DECIMAL(38, 2) AS left_usd,
    pace_usd_per_day::DECIMAL(38, 2) AS pace_usd_per_day,
    days_left,
    runs_out_on,
    valid_to,
    unused_at_end_usd::DECIMAL(38, 2) AS unused_at_end_usd
FROM marts.commitments
ORDER BY days_left NULLS LAST, commitment
