-- The fees of Capacity Blocks, each with its block's hours.
CREATE OR REPLACE TEMP TABLE block_fees AS
SELECT
    s.charge_date,
    k.plain_group AS charge_group,
    CASE WHEN k.is_ai THEN s.resource_id END AS resource_id,
    s.raw_tags,
    {# whole 1e-12: a division of decimals would be one of doubles #}
    (s.effective_cost * 1000000000000)::HUGEINT AS units,
    epoch_us(s.block_from) AS begins,
    epoch_us(s.block_until) AS ends,
    coalesce(
        ends > begins
            AND (make_timestamp(begins)::DATE <> s.charge_date OR make_timestamp(ends - 1)::DATE <> s.charge_date),
        FALSE
    ) AS has_term
FROM (
{{ scan }}
) AS s
JOIN group_keys AS k ON k.key_hash = hash({% for column in columns %}s.{{ column }}, {% endfor %}{{ salt }})
WHERE s.is_block_fee
