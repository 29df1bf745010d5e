CREATE OR REPLACE TEMP TABLE staged_usage AS
SELECT * FROM (
{{ scan }}
) AS scanned
