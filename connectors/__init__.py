"""Bills and telemetry, as their providers send them: one folder per source.

A connector fetches (all I/O) and parses (pure). It knows neither Prefect nor DuckDB.
"""
