-- How busy GPUs were, per day and device, as their own counters say; replaced like metered usage.
CREATE TABLE core.gpu_utilization (
    source_name VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    delivery_id VARCHAR NOT NULL,
    usage_date DATE NOT NULL,
    host VARCHAR,
    gpu VARCHAR NOT NULL,
    gpu_model VARCHAR,            -- as the driver names it
    samples BIGINT NOT NULL,
    utilization DECIMAL(9, 6) NOT NULL -- mean of the samples, 0 to 1
);
