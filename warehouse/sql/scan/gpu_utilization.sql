-- The connectors' GPU_UTILIZATION schema.
SELECT
    {{ c.day("usage_date") }} AS usage_date,
    {% for name in ("host", "gpu", "gpu_model") %}
    {{ c.text(name) }} AS {{ name }},
    {% endfor %}
    {{ c.cast("samples", "BIGINT") }} AS samples,
    {{ c.cast("step_seconds", "BIGINT") }} AS step_seconds,
    {{ c.cast("utilization", "DECIMAL(9, 6)") }} AS utilization
FROM {{ relation }}
