"""The estimated lane through the real steps: told within hours, then confirmed or withdrawn by the bill."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from flows.run import Run, open_run
from flows.settings import load_settings
from flows.steps.direct import execute
from flows.steps.hourly import run_hours
from tests.flows.daily_home import DailyHome, Line

TODAY = date(2026, 6, 18)
FIRST = TODAY - timedelta(days=60)
FEATURES = """
version: 1
features: {chat: {}, search: {}}
rules:
  - {when: {tag.feature: chat}, feature: chat}
  - {when: {tag.feature: search}, feature: search}
"""


def write_calls(folder: Path, until: datetime, *, burst_from: datetime, factor: int) -> None:
    """Four calls an hour for 13 days, in one file a day; `factor` times the tokens in hours from `burst_from` on."""
    (folder / "events").mkdir(exist_ok=True)
    day = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) - timedelta(days=13)
    while day < until:
        lines = []
        for hour in range(24):
            begin = day + timedelta(hours=hour)
            for feature in ("chat", "search"):
                times = factor if begin >= burst_from and feature == "chat" else 1
                for call in range(4):
                    moment = begin + timedelta(minutes=14 * call + 1)
                    if moment < until:
                        lines.append(
                            json.dumps(
                                {
                                    "time": moment.isoformat(),
                                    "provider": "openai",
                                    "model": "gpt-5-nano",
                                    "feature": feature,
                                    "response_id": f"{feature}-{moment.isoformat()}",
                                    "input_tokens": (1000 + 37 * ((hour * 5 + call) % 7)) * times,
                                    "output_tokens": 200 * times,
                                }
                            )
                        )
        (folder / "events" / f"{day:%Y-%m-%d}.jsonl").write_text("\n".join(lines) + "\n")
        day += timedelta(days=1)


def bill_of(feature: str, usd_of: Callable[[date], Decimal], through: date) -> list[Line]:
    days = [FIRST + timedelta(days=k) for k in range((through - FIRST).days + 1)]
    return [
        Line(day, usd_of(day) * (1 + Decimal(day.toordinal() * 37 % 11 - 5) / 200), feature, "Amazon Bedrock")
        for day in days
    ]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bill is settled through TODAY - 3, telemetry reaches to eight o'clock, and the daily run was at nine."""
    home = DailyHome(tmp_path_factory.mktemp("before"), feature_text=FEATURES)
    home.write()
    config = home.folder / "trendbreak.yml"
    config.write_text(
        config.read_text().replace("features:", "  - {name: calls, type: events, location: ./events}\nfeatures:")
    )
    noon = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    write_calls(home.folder, noon - timedelta(hours=4), burst_from=noon, factor=6)
    bill(home, TODAY - timedelta(days=1), {})
    run = home.run(TODAY)
    assert run.messages == []  # the daily lane has no bill of today
    # Chat burns six times as much from noon on; it is three.
    write_calls(home.folder, noon + timedelta(hours=3), burst_from=noon, factor=6)
    return home.folder


@pytest.fixture
def home(before: Path, tmp_path: Path) -> DailyHome:
    shutil.copytree(before, tmp_path / "home", symlinks=True)
    return DailyHome(tmp_path / "home", feature_text=FEATURES)


def bill(home: DailyHome, through: date, chat: dict[date, Decimal]) -> None:
    lines = bill_of("chat", lambda day: chat.get(day, Decimal(240)), through) + bill_of(
        "search", lambda _: Decimal(120), through
    )
    home.bill("drop", lines)


def run_lane(home: DailyHome, *, hour: int = 15) -> Run:
    settings = load_settings(home.folder / "trendbreak.yml")
    now = datetime(TODAY.year, TODAY.month, TODAY.day, hour, 5, tzinfo=UTC)
    with open_run(settings, as_of=TODAY, now=now) as run:
        run_hours(run, execute)
    assert not run.failures, run.failures
    return run


def test_told_as_an_estimate_within_hours_and_confirmed_by_the_bill(home: DailyHome) -> None:
    (told,) = run_lane(home).messages
    assert (told.action, told.onset) == ("open", TODAY)
    assert "estimated from usage" in next(fact.text for fact in told.facts if fact.label == "Data")
    assert any("the bill will confirm or withdraw it" in note for note in told.footnotes)
    ((incident, excess),) = home.ask("SELECT id, excess_usd_total FROM ops.incidents")
    assert excess == pytest.approx(Decimal(150), rel=Decimal("0.15"))  # three hours at five times 10 dollars

    assert run_lane(home).messages == []  # an hour later, nothing new: told once
    between = home.run(TODAY + timedelta(days=1))
    assert between.messages == []  # the bill of the day is not there yet

    bill(home, TODAY + timedelta(days=1), {TODAY: Decimal(400), TODAY + timedelta(days=1): Decimal(240)})
    later = home.run(TODAY + timedelta(days=3))
    (confirmed,) = later.messages
    assert confirmed.incident_id == incident
    assert [(found.node, found.basis) for found in later.breaks] == [("chat", "reported")]  # one, not two
    events = home.ask('SELECT kind, text FROM ops.incident_events ORDER BY "at"')
    assert [kind for kind, _ in events][:2] == ["open", confirmed.action]
    assert "the bill confirms it" in events[1][1]
    ((basis,),) = home.ask("SELECT details->'break'->>'basis' FROM ops.incidents")
    assert basis == "reported"


def test_withdrawn_in_the_same_incident_when_the_bill_shows_nothing(home: DailyHome) -> None:
    run_lane(home)
    bill(home, TODAY + timedelta(days=1), {})
    (withdrawn,) = home.run(TODAY + timedelta(days=3)).messages
    assert withdrawn.action == "withdraw"
    assert home.ask("SELECT status FROM ops.incidents") == [("withdrawn",)]


def test_usage_is_scaled_to_what_the_bill_says_of_settled_days(home: DailyHome) -> None:
    from warehouse.hourly import read_hourly_spend
    from warehouse.store import open_warehouse

    run_lane(home)
    with open_warehouse(home.folder / "data") as warehouse:
        spend = read_hourly_spend(warehouse.con, now=datetime(TODAY.year, TODAY.month, TODAY.day, 15, 5, tzinfo=UTC))
    assert spend is not None
    assert spend.features == ("chat", "search")
    days = spend.spend_usd[:, : 13 * 24].reshape(2, 13, 24).sum(axis=2)
    assert days[0] == pytest.approx(240, rel=0.05)
    assert days[1] == pytest.approx(120, rel=0.05)
    assert spend.end == datetime(TODAY.year, TODAY.month, TODAY.day, 15, tzinfo=UTC)


def test_without_any_usage_it_says_what_it_needs(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    home.write()
    bill(home, TODAY - timedelta(days=1), {})
    run = run_lane(home)
    assert run.messages == []
    assert any("telemetry" in notice for notice in run.notices)
