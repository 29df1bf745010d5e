-- What the delivery is about to replace, per day, and how far its source had spoken.
CREATE OR REPLACE TEMP TABLE old_call_days AS
SELECT
    make_timestamp(epoch_us(called_at))::DATE AS call_date,
    count(*) FILTER (WHERE {{ replaced }}) AS replaced_calls,
    max(max(make_timestamp(epoch_us(called_at))::DATE)) OVER () AS newest_date
FROM staging.stg_calls
WHERE source_name = $source_name
GROUP BY call_date
