DELETE FROM {{ table }};
INSERT INTO {{ table }} BY NAME SELECT * FROM read_parquet({{ path | literal }})
