CREATE OR REPLACE TEMP TABLE staged_days AS
SELECT * FROM ops.delivery_days WHERE is_current AND source_name = ?
