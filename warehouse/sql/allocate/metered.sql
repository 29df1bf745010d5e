-- What providers metered in the accounts and keys whose charges the split divides. A bill or a meter that
-- does not tell the account (or the key) matches every one.
--
-- A source that only meters is read where no other one told the same: a usage export beside the provider's own API.
-- Bills that overlap are refused, so two sources that bill meter different accounts.
WITH divided AS (
    SELECT DISTINCT provider, sub_account_id, api_key_id FROM _divided WHERE split = ?
),
meters AS (
    SELECT m.*, b.source_name IS NULL AS is_meter_only
    FROM core.metered_usage AS m
    LEFT JOIN (SELECT DISTINCT provider, source_name FROM core.charges) AS b
        ON b.provider = m.provider AND b.source_name = m.source_name
)
SELECT
    provider,
    model,
    usage_date,
    {% for kind in kinds %}
    sum({{ kind }})::DECIMAL(38, 0) AS {{ kind }}{{ "," if not loop.last }}
    {% endfor %}
FROM meters AS m
WHERE EXISTS (
    SELECT 1
    FROM divided AS d
    WHERE d.provider = m.provider
      AND (d.sub_account_id IS NULL OR m.sub_account_id IS NULL OR d.sub_account_id = m.sub_account_id)
      AND (d.api_key_id IS NULL OR m.api_key_id IS NULL OR d.api_key_id = m.api_key_id)
)
  AND NOT (
      m.is_meter_only
      AND EXISTS (
          SELECT 1
          FROM meters AS o
          WHERE o.provider = m.provider
            AND o.usage_date = m.usage_date
            AND o.source_name <> m.source_name
            AND (NOT o.is_meter_only OR o.source_name < m.source_name)
            AND (o.sub_account_id IS NULL OR m.sub_account_id IS NULL OR o.sub_account_id = m.sub_account_id)
            AND (o.api_key_id IS NULL OR m.api_key_id IS NULL OR o.api_key_id = m.api_key_id)
      )
  )
GROUP BY provider, model, usage_date
