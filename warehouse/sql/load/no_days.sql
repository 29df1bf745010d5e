-- A delivery that holds no charges has no days.
CREATE OR REPLACE TEMP TABLE staged_days AS
SELECT * EXCLUDE (delivery_id, load_number, source_name, scope, is_current, superseded_at, role)
FROM ops.delivery_days
WHERE FALSE
