SELECT {{ day_column }} FROM {{ table }}
WHERE {{ day_column }} < $window_start OR {{ day_column }} >= $window_end
ORDER BY 1
LIMIT 1
