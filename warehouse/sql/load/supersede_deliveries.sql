-- A scope has one delivery that speaks; a window's delivery is silent once a newer one covers it all.
UPDATE ops.deliveries SET is_current = FALSE
WHERE source_name = $source_name
    AND is_current
    AND (
        delivery_id = $delivery_id
        OR ($replaces = 'scope' AND replaces = 'scope' AND scope = $scope)
        OR (
            $replaces = 'window' AND replaces = 'window'
            AND window_start >= $window_start AND window_end <= $window_end
            {# what others said of a meter that would not tell this time is not covered: a rebuild needs them all #}
            AND NOT EXISTS (
                SELECT 1
                FROM core.metered_usage
                WHERE source_name = $source_name
                    AND delivery_id <> $delivery_id
                    AND usage_date >= $window_start
                    AND usage_date < $window_end
            )
        )
    )
