-- fail: a row of the grain stands twice
SELECT source_name, usage_hour, feature, provider, model, sub_account_id, api_key_id, count(*) AS times
FROM core.usage_hourly
GROUP BY ALL
HAVING count(*) > 1;
