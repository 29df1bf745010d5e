SELECT DISTINCT {{ provider }} AS provider, model
FROM (
{{ scan }}
) AS scanned
