SELECT * FROM core.charges WHERE source_name = {{ source_name | literal }} AND scope = {{ scope | literal }}
