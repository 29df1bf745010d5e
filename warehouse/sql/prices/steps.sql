-- Where the prices change: sizes of a call's input, moments within an hour; and whether any is too fine to be summed.
SELECT
    (
        SELECT list(DISTINCT size ORDER BY size DESC)
        FROM (
            SELECT above_input_tokens AS size FROM core.prices
            UNION ALL
            SELECT up_to_input_tokens AS size FROM core.prices
        )
        WHERE size > 0
    ) AS sizes,
    (
        SELECT list(DISTINCT past ORDER BY past DESC)
        FROM (
            SELECT epoch_us(moment) % 3600000000 AS past
            FROM (SELECT time_from AS moment FROM core.prices UNION ALL SELECT time_to AS moment FROM core.prices)
        )
        WHERE past > 0
    ) AS minutes,
    (
        SELECT count(*)
        FROM core.prices
        WHERE {% for kind in kinds %}{{ kind }}_usd_per_million <> round({{ kind }}_usd_per_million, 6){{ " OR " if not loop.last }}{% endfor %}

    ) AS fine_prices
