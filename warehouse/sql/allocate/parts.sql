-- The parts of what was divided. A part is rounded to its column's places; the remainder's row takes the
-- whole minus the other parts, so that Σ is exact whatever was rounded.
INSERT INTO core.allocations BY NAME
WITH parts AS (
    SELECT
        d.*,
        s.feature,
        s.is_remainder,
        {% for column, type in measures %}
        CASE WHEN NOT s.is_remainder THEN (d.{{ column }} * s.share)::{{ type }} END AS part_{{ column }}{{ "," if not loop.last }}
        {% endfor %}
    FROM _divided AS d
    JOIN _answers AS a
        ON a.split = d.split
        AND a.charge_date = d.charge_date
        AND a.provider IS NOT DISTINCT FROM d.provider
        AND a.model IS NOT DISTINCT FROM d.model
    JOIN _shares AS s ON s.shares = a.shares
)
SELECT
    {% for column in grain %}
    {{ column }},
    {% endfor %}
    feature,
    rule,
    TRUE AS is_allocated,
    {% for column, type in measures %}
    CASE
        WHEN is_remainder THEN {{ column }} - coalesce(sum(part_{{ column }}) OVER (PARTITION BY _group), 0)
        ELSE part_{{ column }}
    END::{{ type }} AS {{ column }}{{ "," if not loop.last }}
    {% endfor %}
FROM parts
