scope = {{ scope | literal }}
