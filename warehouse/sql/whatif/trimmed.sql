-- Estimated dollars of the calls but those of the days $left_out, and of their input and output beyond the caps. Uncached
-- input goes first.
SELECT
    count(*) AS calls,
    count(*) - count(estimated_cost_usd) AS unpriced_calls,
    count(*) FILTER (WHERE whole_input_tokens > $most_input) AS long_inputs,
    count(*) FILTER (WHERE coalesce(output_tokens, 0) + coalesce(reasoning_tokens, 0) > $most_output) AS long_outputs,
    coalesce(sum(estimated_cost_usd), 0)::DECIMAL(38, 12) AS estimated_cost_usd,
    coalesce(sum(
        greatest(0, least(whole_input_tokens - $most_input, coalesce(input_tokens, 0)))::DECIMAL(18, 0)
        * input_usd_per_million * 0.000001
        + greatest(0, whole_input_tokens - $most_input - coalesce(input_tokens, 0))::DECIMAL(18, 0)
        * cache_read_usd_per_million * 0.000001
    ), 0)::DECIMAL(38, 12) AS input_saving_usd,
    coalesce(sum(
        greatest(0, coalesce(output_tokens, 0) + coalesce(reasoning_tokens, 0) - $most_output)::DECIMAL(18, 0)
        * output_usd_per_million * 0.000001
    ), 0)::DECIMAL(38, 12) AS output_saving_usd
FROM repriced
WHERE feature = $feature AND provider IS NOT DISTINCT FROM $provider AND model IS NOT DISTINCT FROM $model
  AND NOT list_contains($left_out::DATE[], make_timestamp(epoch_us(called_at))::DATE)
