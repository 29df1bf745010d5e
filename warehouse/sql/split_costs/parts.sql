{% from "rates/twins.sql" import twin with context %}
-- Each pod's part of each charge. Where splits exceed the node's cost (rounding), they are scaled to it.
CREATE OR REPLACE TEMP TABLE _parts AS
WITH pods AS (
    SELECT s.resource_id, s.charge_date, t.tags, sum(s.split_cost)::DECIMAL(38, 12) AS split_cost
    FROM _splits AS s
    LEFT JOIN _split_tags AS t ON t.raw_tags = s.raw_tags
    GROUP BY ALL
),
shares AS (
    SELECT
        d.row_number,
        p.tags AS pod_tags,
        {# rounded down, so that the parts take no more than there is, but for their twelfth digit #}
        (floor(
            p.split_cost::DOUBLE
            / greatest(d.node_cost, sum(p.split_cost) OVER (PARTITION BY d.row_number))::DOUBLE
            * 1e15
        ) / 1e15)::DECIMAL(16, 15) AS share
    FROM _divided AS d
    JOIN pods AS p ON p.resource_id = d.resource_id AND p.charge_date = d.charge_date
),
parts AS (
    SELECT
        d.* EXCLUDE (node_cost) REPLACE (
            {% for quantity in quantities %}
            (d.{{ quantity }} * s.share)::{{ "DECIMAL(38, 6)" if quantity == "tokens" else "DECIMAL(38, 12)" }} AS {{ quantity }},
            {% endfor %}
            {% for amount in amounts %}
            (d.{{ amount }} * s.share)::DECIMAL(38, 12) AS {{ amount }},
            {% endfor %}
            0::BIGINT AS source_rows,
            CASE
                WHEN s.pod_tags IS NULL THEN d.tags
                ELSE to_json(map_from_entries(list_sort(map_entries(
                    json_merge_patch(coalesce(d.tags, '{}'), s.pod_tags)::JSON::MAP(VARCHAR, VARCHAR)
                ))))::VARCHAR
            END AS tags
        )
    FROM _divided AS d
    JOIN shares AS s ON s.row_number = d.row_number
    WHERE s.share > 0
)
SELECT
    p.* EXCLUDE (billing_currency) REPLACE (
        {% for amount in amounts %}
        {{ twin("p." ~ amount) }} AS {{ amount }}_usd{{ "," if not loop.last }}
        {% endfor %}
    )
FROM parts AS p
LEFT JOIN day_rates AS r ON r.currency = p.billing_currency AND r.charge_date = p.charge_date
