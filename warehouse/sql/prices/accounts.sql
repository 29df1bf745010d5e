-- A call names its API key; the bill or the provider's meter says which account the key is in.
CREATE OR REPLACE TEMP TABLE price_accounts AS
WITH keys AS (
    SELECT api_key_id, sub_account_id AS account FROM core.charges
    UNION
    SELECT api_key_id, sub_account_id AS account FROM core.metered_usage
    UNION
    SELECT api_key_id, api_key_id AS account FROM staging.stg_calls
)
SELECT api_key_id, min(account) AS account
FROM keys
WHERE api_key_id IS NOT NULL AND list_contains(?::VARCHAR[], account)
GROUP BY api_key_id
