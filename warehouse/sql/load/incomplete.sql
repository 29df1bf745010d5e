SELECT
    (
        SELECT count(*) FROM staged_charges
        WHERE charge_date IS NULL
        {% for column in ("billed_cost", "effective_cost") %}
        {% if not known[column] %}
        OR {{ column }}_rows < source_rows
        {% endif %}
        {% endfor %}
    ) + (
        SELECT count(*) FROM seen_dimensions WHERE billing_currency IS NULL OR basis IS NULL
    ) AS incomplete,
    (SELECT coalesce(sum(source_rows), 0) FROM seen_dimensions)::BIGINT AS seen_rows,
    (SELECT coalesce(sum(source_rows), 0) FROM staged_charges)::BIGINT AS staged_rows,
    (SELECT coalesce(sum(source_rows), 0) FROM staged_days)::BIGINT AS counted_rows
