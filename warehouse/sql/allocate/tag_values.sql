-- One tag of every distinct tags text: the first of its spellings that is there.
SELECT
    CASE WHEN json_valid(tags) THEN
        coalesce({% for spelling in spellings %}json_extract_string(tags, ?){{ ", " if not loop.last }}{% endfor %})
    END AS tag
FROM _distinct_tags
ORDER BY place
