-- What the footers say of each top-level column, over all row groups of all files. Statistics of long
-- texts may be cut: a text counts as constant only where it is short, or said to be exact. Those of texts that are
-- not marked as such are written in escapes (\x27).
SELECT
    path_in_schema,
    bool_and(stats_null_count IS NOT NULL AND stats_null_count = num_values) AS is_null,
    NOT bool_and(stats_null_count IS NOT NULL AND stats_null_count = 0) AS has_nulls,
    NOT bool_and(stats_null_count IS NOT DISTINCT FROM num_values OR (stats_min_value IS NOT NULL AND stats_min_value <> ''))
        AS has_blanks,
    CASE WHEN
        bool_and(
            stats_null_count IS NOT NULL
            AND stats_null_count = 0
            AND stats_min_value IS NOT NULL
            AND stats_min_value = stats_max_value
            AND NOT contains(stats_min_value, '\x')
            AND coalesce(min_is_exact AND max_is_exact, length(stats_min_value) < 32)
        )
        AND count(DISTINCT stats_min_value) = 1
    THEN any_value(stats_min_value) END AS constant,
    CASE WHEN bool_and(stats_null_count = num_values OR (stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL)) THEN
        coalesce(max(greatest(abs(try_cast(stats_min_value AS DOUBLE)), abs(try_cast(stats_max_value AS DOUBLE)))), 0)
    END AS largest
FROM parquet_metadata($paths)
WHERE num_values > 0
GROUP BY path_in_schema
