-- Some of them, and of each tags text the tags that rules ask about: the first spelling that is there.
SELECT
    value
    {% for dimension in spellings %}
    , CASE WHEN json_valid(value) THEN
        coalesce({% for spelling in dimension %}json_extract_string(value, ?){{ ", " if not loop.last }}{% endfor %})
    END AS tag_{{ loop.index0 }}
    {% endfor %}
FROM _values
WHERE place >= ? AND place < ?
