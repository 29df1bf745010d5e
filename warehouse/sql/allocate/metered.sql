-- What providers metered in the accounts and keys whose charges the split divides. A bill or a meter that
-- does not tell the account (or the key) matches every one.
WITH divided AS (
    SELECT DISTINCT provider, sub_account_id, api_key_id FROM _divided WHERE split = ?
)
SELECT
    provider,
    model,
    usage_date,
    {% for kind in kinds %}
    sum({{ kind }})::DECIMAL(38, 0) AS {{ kind }}{{ "," if not loop.last }}
    {% endfor %}
FROM core.metered_usage AS m
WHERE EXISTS (
    SELECT 1
    FROM divided AS d
    WHERE d.provider = m.provider
      AND (d.sub_account_id IS NULL OR m.sub_account_id IS NULL OR d.sub_account_id = m.sub_account_id)
      AND (d.api_key_id IS NULL OR m.api_key_id IS NULL OR d.api_key_id = m.api_key_id)
)
GROUP BY provider, model, usage_date
