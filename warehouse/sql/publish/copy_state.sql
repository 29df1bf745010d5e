CREATE OR REPLACE TABLE ops.{{ table | name }} AS SELECT * FROM _state;
COMMENT ON TABLE ops.{{ table | name }} IS 'Copied from the state store when this snapshot was published.'
