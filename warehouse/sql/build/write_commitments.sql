CREATE OR REPLACE TABLE core.commitments (
    commitment VARCHAR NOT NULL,
    source_name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    granted_usd DECIMAL(38, 12) NOT NULL,
    valid_from DATE NOT NULL,
    valid_to DATE,
    provider VARCHAR
)
