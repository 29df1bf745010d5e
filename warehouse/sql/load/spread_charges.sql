-- Staged charges with the effective cost of block_fees spread: each day has the part of its hours in the block. No row of
-- the bill stands behind a part. Days that do not count, by the source's since and until, are another source's to tell.
CREATE OR REPLACE TEMP TABLE staged_charges AS
WITH block_days AS (
    SELECT
        *,
        unnest(generate_series(
            date_trunc('day', make_timestamp(begins)), make_timestamp(ends - 1), INTERVAL 1 DAY
        )) AS begins_on
    FROM block_fees
    WHERE has_term
),
moved AS (
    SELECT
        begins_on::DATE AS charge_date,
        charge_group,
        resource_id,
        raw_tags,
        {# what is due by the end of the day less what was due by its begin: the parts add up to the fee #}
        units * (least(ends, epoch_us(begins_on + INTERVAL 1 DAY)) - begins)::HUGEINT // (ends - begins)
            - units * (greatest(begins, epoch_us(begins_on)) - begins)::HUGEINT // (ends - begins) AS units
    FROM block_days
    UNION ALL BY NAME
    SELECT charge_date, charge_group, resource_id, raw_tags, -units AS units FROM block_fees WHERE has_term
),
bounded AS (
{% with scan="SELECT * FROM moved", day="charge_date" %}{% include "terms/bounded.sql" %}{% endwith %}
),
parts AS (
    SELECT
        * EXCLUDE (units),
        (units::DECIMAL(26, 0) * '0.000000000001'::DECIMAL(12, 12))::DECIMAL(38, 12) AS effective_cost,
        0 AS billed_cost,
        0 AS list_cost,
        0 AS source_rows
    FROM bounded
)
SELECT
    charge_date,
    charge_group,
    resource_id,
    raw_tags,
    sum(consumed_quantity) AS consumed_quantity,
    sum(billed_cost) AS billed_cost,
    sum(effective_cost) AS effective_cost,
    CASE WHEN count(list_cost) = count(*) THEN sum(list_cost) END AS list_cost,
    {% for column in ("billed_cost", "effective_cost") %}
    {% if not known[column] %}
    sum({{ column }}_rows)::BIGINT AS {{ column }}_rows,
    {% endif %}
    {% endfor %}
    sum(source_rows)::BIGINT AS source_rows
FROM (SELECT * FROM staged_charges UNION ALL BY NAME SELECT * FROM parts) AS whole_and_parts
GROUP BY ALL
