CREATE OR REPLACE {{ "TEMP " if temporary }}TABLE {{ table }} AS SELECT * FROM _prices
