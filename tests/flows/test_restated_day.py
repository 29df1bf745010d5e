"""A day that is restated is scored again: the incident follows the bill, the forecast moves, history keeps both."""

import shutil
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flows.daily_home import DailyHome, daily_lines

TODAY = date(2026, 6, 20)
FIRST = TODAY - timedelta(days=70)
SETTLED = TODAY - timedelta(days=3)
DAYS = (SETTLED - FIRST).days + 1


def bill(home: DailyHome, *, last_factor: str, last_days: int = 2) -> None:
    calm = daily_lines("chat", FIRST, DAYS - last_days)
    last = daily_lines("chat", SETTLED - timedelta(days=last_days - 1), last_days, factor=Decimal(last_factor))
    home.bill("drop", calm + last + daily_lines("search", FIRST, DAYS, usd=300))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> DailyHome:
    """A home whose last two days cost four times as much, which was told."""
    home = DailyHome(tmp_path_factory.mktemp("told"))
    home.write()
    bill(home, last_factor="4")
    home.run(TODAY)
    return home


@pytest.fixture
def home(told: DailyHome, tmp_path: Path) -> DailyHome:
    return DailyHome(Path(shutil.copytree(told.folder, tmp_path, dirs_exist_ok=True)), runs=list(told.runs))


def test_the_restated_day_withdraws_the_alert_moves_the_forecast_and_history_keeps_both(home: DailyHome) -> None:
    (told,) = home.runs[0].messages
    assert told.action == "open"
    ((incident, status),) = home.ask("SELECT id, status FROM ops.incidents")
    assert status == "open"
    expected = "SELECT mean_usd FROM ops.forecasts WHERE feature = 'chat' ORDER BY forecast_date LIMIT 1"
    ((before,),) = home.ask(expected)

    bill(home, last_factor="1")
    later = home.run(TODAY, hour=15)
    assert [message.action for message in later.messages] == ["withdraw"]
    assert home.ask("SELECT id, status FROM ops.incidents") == [(incident, "withdrawn")]
    assert home.ask('SELECT kind FROM ops.incident_events ORDER BY "at"') == [("open",), ("withdraw",)]
    ((after,),) = home.ask(expected)
    assert after < before
    ((kept,),) = home.ask(
        "SELECT mean_usd FROM ops.superseded_forecasts WHERE feature = 'chat' ORDER BY forecast_date LIMIT 1"
    )
    assert kept == before
    restated = home.ask(
        "SELECT charge_date, old_effective_cost > new_effective_cost FROM ops.restatements ORDER BY charge_date"
    )
    assert restated == [(SETTLED - timedelta(days=1), True), (SETTLED, True)]

    again = home.run(TODAY, hour=18)
    assert again.messages == []
    assert home.ask("SELECT count(*) FROM ops.superseded_forecasts WHERE feature = 'chat'") == home.ask(
        "SELECT count(*) FROM ops.forecasts WHERE feature = 'chat'"
    )


def test_a_day_restated_to_less_changes_the_incident(home: DailyHome) -> None:
    bill(home, last_factor="2")
    later = home.run(TODAY, hour=15)
    (told,) = later.messages
    assert told.action == "update"
    assert "fell" in told.summary or "fell" in " ".join(told.why)
    assert home.ask("SELECT status FROM ops.incidents") == [("open",)]


def test_of_two_bursts_that_a_late_bill_brings_each_is_told_once(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    home.write()
    usual = daily_lines("chat", FIRST, DAYS) + daily_lines("search", FIRST, DAYS, usd=300)
    bursts = {SETTLED - timedelta(days=7): Decimal(4), SETTLED - timedelta(days=2): Decimal(6)}

    home.bill("drop", [replace(line, cost=line.cost * bursts.get(line.day, 1)) if line.feature == "chat" else line
                       for line in usual])  # fmt: skip
    first, second = home.run(TODAY).messages
    assert (first.action, second.action) == ("open", "update")
    assert "on Wed 10 Jun" in first.summary
    assert "on Mon 15 Jun" in second.summary
    assert home.ask("SELECT status, onset, last_day FROM ops.incidents") == [("resolved", *bursts)]
    assert home.run(TODAY, hour=15).messages == []


def test_a_calm_day_restated_upward_opens_one(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    home.write()
    bill(home, last_factor="1")
    assert home.run(TODAY).messages == []
    bill(home, last_factor="4")
    assert [message.action for message in home.run(TODAY, hour=15).messages] == ["open"]
