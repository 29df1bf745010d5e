DELETE FROM core.metered_usage
WHERE source_name = $source_name
    AND {{ replaced }}
    {# a kind that the source would not tell this time: what stands of it stays #}
    AND NOT list_contains($untold::VARCHAR[], coalesce(usage_kind, ''))
