COPY (SELECT * FROM {{ table }}) TO {{ path | literal }} (FORMAT parquet, COMPRESSION zstd)
