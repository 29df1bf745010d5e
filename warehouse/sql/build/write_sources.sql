-- The sources that the run was told of, how many days after its end each takes to settle a day, and the run's day.
CREATE OR REPLACE TABLE ops.sources AS
SELECT
    unnest(map_keys(given))::VARCHAR AS source_name,
    unnest(map_values(given))::INTEGER AS settle_days,
    $as_of::DATE AS as_of
FROM (SELECT $settle_days::MAP(VARCHAR, INTEGER) AS given)
