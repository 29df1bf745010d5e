-- What telemetry deliveries left out or kept with a gap, counted per issue and detail: never content.
-- The codes are in docs/events.md; ops.telemetry_issues adds up those of the deliveries that still speak.
CREATE TABLE ops.telemetry_deliveries (
    delivery_id VARCHAR NOT NULL,
    source_name VARCHAR NOT NULL,
    issue VARCHAR NOT NULL,
    detail VARCHAR,               -- a field, feature or model; null where the issue has none
    occurrences BIGINT NOT NULL
);
