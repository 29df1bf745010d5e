-- The distinct values of one column that rules ask about, numbered from 0 (a rowid is no number within a transaction).
CREATE OR REPLACE TEMP TABLE _values AS
SELECT row_number() OVER () - 1 AS place, value FROM (SELECT DISTINCT {{ key }} AS value FROM core.charges)
