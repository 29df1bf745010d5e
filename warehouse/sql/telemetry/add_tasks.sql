INSERT INTO staging.tasks BY NAME
{{ select }}
