SELECT min(called_at)::DATE AS first_day, max(called_at)::DATE + 1 AS end_day FROM staging.stg_calls
