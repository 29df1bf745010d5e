SELECT count(*), count(*) FILTER (WHERE {{ moment }} > ?)
FROM (
{{ scan }}
) AS scanned
