-- What a row of the scan is looked up by: the few columns that tell the groups apart, as one number.
CREATE OR REPLACE TEMP TABLE group_keys AS
SELECT DISTINCT
    hash({% for column in columns %}{{ column }}, {% endfor %}{{ salt }}) AS key_hash,
    {% for column in columns %}
    {{ column }},
    {% endfor %}
    plain_group,
    {% if has_gpu %}
    whole_group,
    {% endif %}
    is_ai
FROM dimension_groups
