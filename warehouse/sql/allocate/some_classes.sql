-- Arrow knows a date and a text as the column does.
INSERT INTO _classes_{{ place }} BY NAME SELECT value, class FROM _some
