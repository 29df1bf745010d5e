"""Two replays that differ in one click have different incidents afterwards."""

import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alerts.feedback import record_answer
from flows.run import Run
from tests.flows.daily_home import DailyHome, Line, daily_lines
from warehouse.state import StateStore

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


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on the evening of DAY: one alert was told."""
    home = DailyHome(tmp_path_factory.mktemp("told"))
    home.write()
    home.bill("drop", lines(DAY - timedelta(days=3), again="1"))
    assert len(home.run(DAY).messages) == 1
    return home.folder


def replay(told: Path, folder: Path, click: str | None, *, again: str = "2.5") -> Run:
    """After DAY a click, or none; a month later the same happens again."""
    home = DailyHome(Path(shutil.copytree(told, folder)))
    if click is not None:
        at = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
        state = StateStore(f"sqlite:///{folder / 'data' / 'state.sqlite'}")
        [incident] = state.list_incidents()
        record_answer(state, incident["id"], click, key="one", who="maya", now=at)
    home.bill("drop", lines(LATER - timedelta(days=3), again=again))
    return home.run(LATER)


@pytest.fixture(scope="module")
def unanswered(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return replay(told, tmp_path_factory.mktemp("none") / "home", None)


def test_without_a_click_it_is_told_again(unanswered: Run) -> None:
    assert [message.action for message in unanswered.messages if message.action == "open"] == ["open"]
    (week,) = [row for row in unanswered.state.list_precision() if row["week"] == DAY - timedelta(days=DAY.weekday())]
    assert (week["told"], week["unanswered"], week["precision"]) == (1, 1, None)


def test_called_expected_its_recurrence_is_muted(told: Path, tmp_path: Path, unanswered: Run) -> None:
    later = replay(told, tmp_path / "home", "expected")
    assert [message for message in later.messages if message.action == "open"] == []
    assert later.breaks == []
    assert len(later.state.list_incidents()) == len(unanswered.state.list_incidents()) - 1
    (week,) = later.state.list_precision()
    assert (week["told"], week["confirmed"], week["precision"]) == (1, 1, 1.0)


def test_called_a_false_alarm_the_limit_of_that_metric_and_direction_rises(told: Path, tmp_path: Path) -> None:
    """The rule: a quarter more per false alarm of the last 90 days. What barely passed before does not any more."""
    without = replay(told, tmp_path / "without", None, again="1.8")
    assert "open" in [message.action for message in without.messages]
    later = replay(told, tmp_path / "with", "false_alarm", again="1.8")
    assert "open" not in [message.action for message in later.messages]
    (week,) = later.state.list_precision()
    assert (week["false_alarms"], week["precision"]) == (1, 0.0)
