-- fail: a trace stands twice
SELECT trace_id, count(*) AS row_count FROM staging.traces GROUP BY trace_id HAVING count(*) > 1;
