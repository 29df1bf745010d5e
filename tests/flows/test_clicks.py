"""Two replays that differ in one click have different incidents afterwards."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alerts.feedback import record_answer
from flows.run import Run
from tests.flows.daily_home import DailyHome, Line, daily_lines

DAY = date(2026, 5, 9)
FIRST = DAY - timedelta(days=80)
LATER = DAY + timedelta(days=35)


def lines(through: date, *, again: str) -> list[Line]:
    """Chat costs 2.5 times as much for five days before DAY's settled day, and `again` times on the last four."""
    out = []
    for offset in range((through - FIRST).days + 1):
        day = FIRST + timedelta(days=offset)
        is_first = DAY - timedelta(days=7) <= day <= DAY - timedelta(days=3)
        is_again = day > LATER - timedelta(days=7)
        factor = Decimal("2.5") if is_first else Decimal(again) if is_again else Decimal(1)
        out += daily_lines("chat", day, 1, factor=factor) + daily_lines("search", day, 1, usd=300)
    return out


def replay(folder: Path, click: str | None, *, again: str = "2.5") -> Run:
    """DAY: the alert; then a click, or none; a month later the same happens again."""
    folder.mkdir()
    home = DailyHome(folder)
    home.write()
    home.bill("drop", lines(DAY - timedelta(days=3), again=again))
    first = home.run(DAY)
    (told,) = first.messages
    if click is not None:
        at = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
        record_answer(first.state, told.incident_id, click, key="one", who="maya", now=at)
    home.bill("drop", lines(LATER - timedelta(days=3), again=again))
    return home.run(LATER)


@pytest.fixture(scope="module")
def unanswered(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return replay(tmp_path_factory.mktemp("none") / "home", None)


def test_without_a_click_it_is_told_again(unanswered: Run) -> None:
    assert [message.action for message in unanswered.messages if message.action == "open"] == ["open"]
    (week,) = [row for row in unanswered.state.list_precision() if row["week"] == DAY - timedelta(days=DAY.weekday())]
    assert (week["told"], week["unanswered"], week["precision"]) == (1, 1, None)


def test_called_expected_its_recurrence_is_muted(tmp_path: Path, unanswered: Run) -> None:
    later = replay(tmp_path / "home", "expected")
    assert [message for message in later.messages if message.action == "open"] == []
    assert later.breaks == []
    assert len(later.state.list_incidents()) == len(unanswered.state.list_incidents()) - 1
    (week,) = later.state.list_precision()
    assert (week["told"], week["confirmed"], week["precision"]) == (1, 1, 1.0)


def test_called_a_false_alarm_the_limit_of_that_metric_and_direction_rises(tmp_path: Path) -> None:
    """The rule: a quarter more per false alarm of the last 90 days. What barely passed before does not any more."""
    without = replay(tmp_path / "without", None, again="1.8")
    assert "open" in [message.action for message in without.messages]
    later = replay(tmp_path / "with", "false_alarm", again="1.8")
    assert "open" not in [message.action for message in later.messages]
    (week,) = later.state.list_precision()
    assert (week["false_alarms"], week["precision"]) == (1, 0.0)
