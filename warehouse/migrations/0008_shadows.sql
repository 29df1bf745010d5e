-- Sources with `role: shadow`: loaded and compared, and in no total. They move between these and the counted tables.
CREATE TABLE core.shadow_charges AS FROM core.charges LIMIT 0;
CREATE TABLE core.shadow_usage AS FROM core.metered_usage LIMIT 0;

-- 'shadow' where the day's charges stand in the shadow table; null where they count.
ALTER TABLE ops.delivery_days ADD COLUMN role VARCHAR;
