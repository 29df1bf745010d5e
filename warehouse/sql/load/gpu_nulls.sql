-- GPUs that a dimension tells by having no value.
SELECT count(*) FROM dimension_groups
WHERE ai_kind = 'gpu' AND ({% for column in columns %}{{ column }} IS NULL{{ " OR " if not loop.last }}{% endfor %})
