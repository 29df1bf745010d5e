CREATE SCHEMA IF NOT EXISTS ops;

-- Which numbered migrations made this file what it is.
CREATE TABLE IF NOT EXISTS ops.migrations (
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL -- of the migration's text: what was applied never changes
);
