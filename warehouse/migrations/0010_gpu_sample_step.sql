-- How far apart the day's samples were asked for, so that an outage of all counters does not look like a whole day; null
-- for deliveries that were fetched before it was kept.
ALTER TABLE core.gpu_utilization ADD COLUMN step_seconds BIGINT;
