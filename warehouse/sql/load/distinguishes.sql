-- Whether the columns alone tell the groups apart.
SELECT
    (SELECT count(*) FROM (SELECT DISTINCT {% for column in columns %}{{ column }}, {% endfor %}1 FROM dimension_groups))
    = (SELECT count(*) FROM (SELECT DISTINCT {% for column in columns %}{{ column }}, {% endfor %}{{ target }} FROM dimension_groups))
