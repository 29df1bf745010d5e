-- The connectors' METERED_USAGE schema.
SELECT
    {{ c.day("usage_date") }} AS usage_date,
    {% for name in ("sub_account_id", "api_key_id", "model", "pricing_tier") %}
    {{ c.text(name) }} AS {{ name }},
    {% endfor %}
    {% for name in ("requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens") %}
    {{ c.cast(name, "BIGINT") }} AS {{ name }},
    {% endfor %}
    {{ c.text("usage_kind") }} AS usage_kind,
    {{ c.quantity("quantity") }} AS quantity,
    {{ c.text("quantity_unit") }} AS quantity_unit
FROM {{ relation }}
