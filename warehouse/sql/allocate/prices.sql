-- Standard prices for short contexts, as anybody pays them; of a price that changes within the day, midday's.
SELECT
    provider,
    model,
    valid_from,
    valid_to,
    input_usd_per_million,
    cache_read_usd_per_million,
    cache_write_usd_per_million,
    output_usd_per_million,
    reasoning_usd_per_million
FROM core.prices
WHERE account IS NULL AND pricing_tier = 'standard' AND above_input_tokens = 0
  AND time_from <= TIME '12:00:00' AND (time_to IS NULL OR time_to > TIME '12:00:00')
ORDER BY provider, model, valid_from
