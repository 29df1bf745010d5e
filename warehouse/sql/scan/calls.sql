-- The connectors' CALLS schema, as rows or as files of it.
SELECT
    {{ c.instant("called_at") }} AS called_at,
    {% for name in ("provider", "model", "feature", "task_id", "task_type") %}
    {{ c.text(name) }} AS {{ name }},
    {% endfor %}
    {{ c.cast("attempt", "INTEGER") }} AS attempt,
    {% for name in ("outcome", "status", "response_id", "user_hash", "plan", "release", "prompt_version", "api_key_id", "pricing_tier", "trace_id") %}
    {{ c.text(name) }} AS {{ name }},
    {% endfor %}
    {% for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens") %}
    {{ c.cast(name, "BIGINT") }} AS {{ name }},
    {% endfor %}
    {{ c.cast("tool_calls", "INTEGER") }} AS tool_calls,
    {{ c.cast("latency_ms", "BIGINT") }} AS latency_ms,
    {{ c.cast("gpu_seconds", "DOUBLE") }} AS gpu_seconds,
    ({{ c.money("logged_cost_usd") }})::DECIMAL(38, 12) AS logged_cost_usd
FROM {{ relation }}
