-- How many rows the two bills share (a row that stands twice in both counts twice), and how many each has.
WITH mine AS (
    SELECT hash(r) AS row_hash, count(*) AS times
    FROM (
{{ mine }}
    ) AS r
    WHERE r.billing_account_id IN ({% for account in accounts %}{{ account | literal }}{{ ", " if not loop.last }}{% endfor %})
    GROUP BY ALL
),
other AS (
    SELECT hash(r) AS row_hash, count(*) AS times
    FROM (
{{ other }}
    ) AS r
    WHERE r.billing_account_id IN ({% for account in accounts %}{{ account | literal }}{{ ", " if not loop.last }}{% endfor %})
    GROUP BY ALL
)
SELECT
    (SELECT sum(least(m.times, o.times)) FROM mine AS m JOIN other AS o USING (row_hash)) AS same_rows,
    (SELECT sum(times) FROM mine) AS my_rows,
    (SELECT sum(times) FROM other) AS other_rows
