"""What telemetry sources share: records → the allow-list of `schema.CALLS`, before a byte is written.

    files, APIs ─ a source's own reader ─▶ records in the events' words (docs/events.md)
                ─ projection ─▶ record batches of CALLS, and counts of what was left out
                ─ payloads ─▶ calls.parquet, outcomes.parquet, rejects.json (landed)
                ─ landed ─▶ scans for the warehouse, notes, rows of TELEMETRY_ISSUES

Prompts, answers and user ids end in the projection: ids leave it as keyed hashes, the rest does not.
"""
