-- How far two bills speak of the same rows, told by `columns` only, on the days that both have.
{# one type on both sides: a decimal's hash depends on its type #}
{% set told %}{% for column in columns %}{{ column }}{{ "::DECIMAL(38, 12)" if column in amounts }}{{ ", " if not loop.last }}{% endfor %}{% endset %}
WITH days AS (
    SELECT DISTINCT charge_date
    FROM ops.delivery_days
    WHERE is_current AND source_name = {{ source_name | literal }} AND scope = {{ scope | literal }}
        AND charge_date IN (SELECT charge_date FROM staged_days)
),
mine AS (
    SELECT charge_date, hash({{ told }}) AS row_hash, count(*) AS times
    FROM (
{{ mine }}
    ) AS r
    WHERE charge_date IN (FROM days){{ " AND (billed_cost <> 0 OR effective_cost <> 0)" if only_paid }}
    GROUP BY ALL
),
other AS (
    SELECT charge_date, hash({{ told }}) AS row_hash, count(*) AS times
    FROM (
{{ other }}
    ) AS r
    WHERE charge_date IN (FROM days){{ " AND (billed_cost <> 0 OR effective_cost <> 0)" if only_paid }}
    GROUP BY ALL
),
shared AS (
    SELECT m.times, o.times AS other_times FROM mine AS m JOIN other AS o USING (row_hash)
)
SELECT
    {{ "(SELECT sum(least(times, other_times)) FROM shared)" if count_rows else "(SELECT count(*) FROM shared)" }} AS shared,
    (SELECT count(*) FROM shared WHERE times = other_times) AS equal,
    (SELECT count(*) FROM mine) AS my_identities,
    (SELECT count(*) FROM other) AS other_identities,
    (SELECT sum(times) FROM mine) AS my_rows,
    (SELECT sum(times) FROM other) AS other_rows
