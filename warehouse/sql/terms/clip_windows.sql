-- An answer to a window speaks for its days within the bounds only: days outside may be asked for again.
UPDATE ops.deliveries
SET
    window_start = greatest(window_start, coalesce($since::DATE, window_start)),
    window_end = least(window_end, coalesce($until::DATE, window_end))
WHERE source_name = $source_name AND is_current AND replaces = 'window'
