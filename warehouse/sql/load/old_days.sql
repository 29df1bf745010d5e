-- The control totals that the delivery replaces: what it may restate.
CREATE OR REPLACE TEMP TABLE old_days AS
SELECT * FROM ops.delivery_days WHERE is_current AND source_name = $source_name AND {{ replaced }}
