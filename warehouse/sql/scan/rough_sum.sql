-- Of a column as floating point: the sum, and the largest value.
SELECT sum(n), max(n)
FROM (SELECT {{ number }} AS n FROM {{ relation }})
