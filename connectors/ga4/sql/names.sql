-- Which events a table holds; it reads one column.
SELECT e.event_name, COUNT(*) AS events
FROM {{ table }} AS e
GROUP BY e.event_name
ORDER BY events DESC, e.event_name
