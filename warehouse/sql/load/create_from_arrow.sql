CREATE OR REPLACE TEMP TABLE {{ table | name }} AS SELECT * FROM _arrow
