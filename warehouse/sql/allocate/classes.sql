-- Value → class: all values of a class are one to the rules.
CREATE OR REPLACE TEMP TABLE _classes_{{ place }} AS SELECT value, 0::INTEGER AS class FROM _values LIMIT 0
