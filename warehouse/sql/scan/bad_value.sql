-- The first rows whose value in one column cannot be read; row_number counts the file's data rows from 1.
SELECT row_number, {{ shown }} AS shown
FROM (SELECT *, {{ row_number }} AS row_number FROM {{ relation }}) AS numbered
WHERE {{ condition }}
ORDER BY row_number
LIMIT 1
