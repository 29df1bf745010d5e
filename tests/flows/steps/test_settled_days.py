"""Every feature is judged up to its own settled day: one late source holds back what it bills, and says so."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from flows.run import Run
from flows.steps.build import _tell_late_sources
from tests.flows.daily_home import DailyHome, Line, daily_lines
from tests.warehouse.ledger import insert_charges
from warehouse.store import Warehouse, open_warehouse
from warehouse.watermarks import spoken_through

TODAY = date(2026, 6, 20)
FIRST = TODAY - timedelta(days=70)
SETTLED = TODAY - timedelta(days=3)  # focus_files settle two days after the day


def days_from_first(day: date) -> int:
    return (day - FIRST).days + 1


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> DailyHome:
    """`drop` is on time and its feature chat doubles on the last three days; `other` ends nine days early,
    but for a cent of tomorrow, which says nothing of the days between."""
    home = DailyHome(tmp_path_factory.mktemp("late"), sources=("drop", "other"))
    home.write()
    n = days_from_first(SETTLED)
    calm = daily_lines("chat", FIRST, n - 3)
    home.bill("drop", calm + daily_lines("chat", FIRST + timedelta(days=n - 3), 3, factor=Decimal("2.2")))
    ahead = Line(TODAY + timedelta(days=1), Decimal("0.01"), "search")
    home.bill("other", [*daily_lines("search", FIRST, n - 9, usd=300), ahead])
    home.run(TODAY)
    return home


@pytest.fixture(scope="module")
def run(late: DailyHome) -> Run:
    return late.runs[0]


def test_the_feature_of_the_source_on_time_is_scored_up_to_its_own_day(run: Run) -> None:
    assert run.feature_through["chat"] == run.data_through == SETTLED
    (found,) = run.breaks
    assert (found.node, found.direction, found.last_day, found.data_through) == ("chat", "up", SETTLED, SETTLED)


def test_the_late_source_is_named_with_what_waits(run: Run) -> None:
    (notice,) = [text for text in run.notices if "late" in text]
    for part in ("other is 9 days late", str(SETTLED - timedelta(days=9)), "search", f"judged up to {SETTLED}"):
        assert part in notice
    assert "chat" not in notice
    assert run.feature_through["search"] == SETTLED - timedelta(days=9)
    assert "other: 1 charge of days to come, the last of 2026-06-21: they count when their day is there" in run.notices


def test_one_day_is_not_late_yet_as_in_status() -> None:
    waits = [{"feature": "chat", "settled_through": SETTLED - timedelta(days=1), "waits_for": "drop"}]

    def told(days: int) -> list[str]:
        return _tell_late_sources(waits, {"drop": SETTLED - timedelta(days=days)}, {"drop": SETTLED})

    assert told(1) == []
    assert "drop is 2 days late" in told(2)[0]


def test_days_that_the_late_source_has_not_brought_are_unknown_not_zero(run: Run) -> None:
    assert run.panel is not None
    search = run.panel.cost_usd[run.panel.features.index("search")]
    assert np.isnan(search[-9:]).all()
    assert np.isfinite(search[:-9]).all()
    assert not any(found.node == "search" for found in run.breaks)


def test_the_late_feature_is_forecast_from_its_own_last_day(run: Run, late: DailyHome) -> None:
    rows = {row["forecast_date"]: row for row in run.state.list_forecasts(as_of=TODAY) if row["feature"] == "search"}
    assert min(rows) == SETTLED + timedelta(days=1)
    assert max(rows) >= SETTLED + timedelta(days=90)
    assert 250 < rows[SETTLED + timedelta(days=1)]["mean_usd"] < 350


def test_the_alert_says_its_own_day(run: Run) -> None:
    (message,) = [message for message in run.messages if message.node == "chat"]
    data = next(fact.text for fact in message.facts if fact.label == "Data")
    assert "settled" in data
    assert f"{SETTLED:%b} {SETTLED.day}" in data or str(SETTLED.day) in data


def test_when_the_bill_comes_the_feature_is_judged_again(late: DailyHome, run: Run) -> None:
    home = DailyHome(late.folder, sources=("drop", "other"))
    home.bill("other", daily_lines("search", FIRST, days_from_first(SETTLED), usd=300))
    later = home.run(TODAY, hour=15)
    assert later.feature_through["search"] == SETTLED
    assert not [text for text in later.notices if "late" in text]
    assert [found.node for found in later.breaks] == ["chat"]
    assert [message for message in later.messages if message.node in ("chat", "search")] == []


def _spoken(tmp_path: Path, days: list[int], windows: Sequence[tuple[int, int]] = ()) -> date:
    with open_warehouse(tmp_path) as warehouse:
        for offset in days:
            _charge(warehouse, FIRST + timedelta(days=offset))
        for start, end in windows:
            _speak(warehouse, FIRST + timedelta(days=start), FIRST + timedelta(days=end))
        return spoken_through(warehouse, as_of=TODAY)["api"]


def _charge(warehouse: Warehouse, day: date) -> None:
    insert_charges(
        warehouse.con,
        "SELECT 'api' AS source_name, 'openai' AS source_type, '' AS scope, "
        f"'d' AS delivery_id, DATE '{day}' AS charge_date, 'llm_api' AS ai_kind, 'unknown' AS workload, "
        "'USD' AS billing_currency, 'reported' AS basis, 1 AS source_rows, 5 AS effective_cost, 5 AS billed_cost",
    )


def _speak(warehouse: Warehouse, start: date, end: date) -> None:
    moment = datetime.now(UTC)
    warehouse.con.execute(
        "INSERT INTO ops.deliveries (delivery_id, source_name, source_type, scope, window_start, window_end, replaces, "
        "content_hash, landed_path, fetched_at, loaded_at, source_rows, is_current) "
        "VALUES ('d', 'api', 'openai', '', ?, ?, 'window', 'h', 'p', ?, ?, 0, TRUE)",
        [start, end, moment, moment],
    )


def test_an_export_speaks_to_its_newest_charge(tmp_path: Path) -> None:
    assert _spoken(tmp_path, list(range(30))) == FIRST + timedelta(days=29)


def test_a_charge_of_days_to_come_says_nothing_of_those_before(tmp_path: Path) -> None:
    assert _spoken(tmp_path, [*range(30), 80]) == FIRST + timedelta(days=29)


def test_a_pause_that_was_seen_once_is_no_habit(tmp_path: Path) -> None:
    assert _spoken(tmp_path, [0, 19, 20, 21]) == FIRST + timedelta(days=21)


def test_a_source_that_charges_weekly_is_not_late_between_two_charges(tmp_path: Path) -> None:
    assert _spoken(tmp_path, [0, 7, 14, 21, 28]) == FIRST + timedelta(days=34)


def test_an_answered_window_speaks_for_days_without_a_charge(tmp_path: Path) -> None:
    assert _spoken(tmp_path, [0, 5], [(0, 20)]) == FIRST + timedelta(days=19)


def test_a_window_that_failed_ends_what_is_known(tmp_path: Path) -> None:
    assert _spoken(tmp_path, list(range(30)), [(0, 10), (15, 30)]) == FIRST + timedelta(days=9)
