-- What the staged sums say of themselves, under numbers that no other charge has.
INSERT INTO core.charge_dimensions BY NAME
SELECT
    g.charge_group + {{ first_group | int }} AS charge_group,
    FALSE AS is_shadow,
    {{ source_name | literal }} AS source_name,
    {{ source_type | literal }} AS source_type,
    {{ scope | literal }} AS scope,
    {{ delivery_id | literal }} AS delivery_id,
    {% for column in plain + own %}
    g.{{ column }},
    {% endfor %}
    g.provider,
    g.ai_kind,
    g.workload,
    g.canonical_model AS model,
    g.canonical_token_type AS token_type,
    g.pricing_tier,
    g.gpu_type
FROM charge_groups AS g
WHERE g.charge_group IN (SELECT charge_group FROM staged_charges)
