-- The allocations of one month as they stand.
SELECT * FROM (
{% include "books/monthly.sql" %}
)
WHERE month = $month
ORDER BY ALL
