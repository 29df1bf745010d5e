"""A window that failed while later ones were loaded is where the next run begins again."""

from datetime import UTC, date, datetime
from pathlib import Path

from warehouse.store import open_warehouse
from warehouse.watermarks import covered_until


def test_the_first_day_not_spoken_for(tmp_path: Path) -> None:
    with open_warehouse(tmp_path) as warehouse:

        def speak(start: date, end: date, *, is_current: bool = True) -> None:
            warehouse.con.execute(
                "INSERT INTO ops.deliveries (delivery_id, source_name, source_type, scope, window_start, window_end, "
                "content_hash, landed_path, fetched_at, loaded_at, source_rows, is_current) "
                "VALUES ('d', 'api', 'openai', '', ?, ?, 'h', 'p', ?, ?, 0, ?)",
                [start, end, datetime.now(UTC), datetime.now(UTC), is_current],
            )

        since = date(2026, 1, 1)
        assert covered_until(warehouse, "api", since) == since
        speak(date(2026, 1, 1), date(2026, 2, 1))
        speak(date(2026, 3, 1), date(2026, 4, 1))
        speak(date(2026, 2, 1), date(2026, 3, 1), is_current=False)
        assert covered_until(warehouse, "api", since) == date(2026, 2, 1)
        assert covered_until(warehouse, "other", since) == since
        speak(date(2026, 1, 20), date(2026, 3, 1))
        assert covered_until(warehouse, "api", since) == date(2026, 4, 1)
