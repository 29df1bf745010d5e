-- Each transaction changes the row of the turn that it has, so that DuckLake refuses the second of two that both believe
-- to have it. Two tables, because DuckLake compares files; no reader is given them.
CREATE SCHEMA IF NOT EXISTS turns;
CREATE TABLE IF NOT EXISTS turns.deliveries AS SELECT 0::BIGINT AS number;
CREATE TABLE IF NOT EXISTS turns.models AS SELECT 0::BIGINT AS number
