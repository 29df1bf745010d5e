CREATE OR REPLACE TABLE core.{{ table | name }} AS SELECT * FROM _books
