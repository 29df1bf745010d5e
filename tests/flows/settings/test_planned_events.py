"""events.yml: what is announced moves the forecast and opens no incident; a mistake in it is named."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from flows.errors import SettingsError
from flows.settings.planned_events import list_expected_changes, list_planned_events, load_events
from tests.flows.daily_home import DailyHome, daily_lines

TODAY = date(2026, 6, 20)
FIRST = TODAY - timedelta(days=70)
SETTLED = TODAY - timedelta(days=3)
DAYS = (SETTLED - FIRST).days + 1
ONSET = SETTLED - timedelta(days=2)


def bill(home: DailyHome, factor: str) -> None:
    calm = daily_lines("chat", FIRST, DAYS - 3)
    home.bill("drop", calm + daily_lines("chat", ONSET, 3, factor=Decimal(factor)) + daily_lines("search", FIRST, DAYS))


def home_with(folder: Path, events: str) -> DailyHome:
    home = DailyHome(folder, extra="events: events.yml\n")
    home.write()
    (folder / "events.yml").write_text(f"version: 1\nevents:\n{events}")
    return home


def test_an_announced_launch_opens_no_incident_unless_it_is_far_larger(tmp_path: Path) -> None:
    home = home_with(
        tmp_path, f'  - {{name: launch, kind: launch, start: {ONSET}, features: [chat], expected_change: "+90%"}}\n'
    )
    bill(home, "2.2")
    assert home.run(TODAY).messages == []
    bill(home, "6")
    (told,) = home.run(TODAY, hour=15).messages
    assert told.action == "open"


def test_without_the_event_it_is_told(tmp_path: Path) -> None:
    home = home_with(tmp_path, "  []\n")
    bill(home, "2.2")
    assert [message.action for message in home.run(TODAY).messages] == ["open"]


def test_a_planned_change_moves_the_forecast_of_its_feature_alone(tmp_path: Path) -> None:
    launch = SETTLED + timedelta(days=10)
    home = home_with(tmp_path, f'  - {{name: launch, start: {launch}, features: [chat], expected_change: "+50%"}}\n')
    bill(home, "1")
    run = home.run(TODAY)
    rows = {(row["feature"], row["forecast_date"]): row for row in run.state.list_forecasts(as_of=TODAY)}

    def rise(feature: str) -> Decimal:
        week = timedelta(days=7)
        after, before = rows[feature, launch + timedelta(days=1)], rows[feature, launch + timedelta(days=1) - week]
        return Decimal(after["mean_usd"] / before["mean_usd"])

    assert rise("chat") == pytest.approx(Decimal("1.5"), rel=Decimal("0.06"))
    assert rise("search") == pytest.approx(Decimal(1), rel=Decimal("0.06"))


def test_what_passes_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "events.yml"
    path.write_text(
        "version: 1\nholidays: us_federal\nevents:\n"
        '  - {name: sale, start: 2026-06-01, end: 2026-06-07, expected_change: "+100%"}\n'
        "  - {name: move, kind: migration, start: 2026-07-01, features: [chat]}\n"
    )
    file = load_events(path, ["chat", "search"])
    changes = list_expected_changes(file, ["chat", "search"])
    assert [(c.start, c.end, c.change) for c in changes["search"]] == [
        (date(2026, 6, 1), date(2026, 6, 8), 1.0),
        (date(2026, 6, 8), date(2026, 6, 9), -0.5),
    ]
    assert len(changes["chat"]) == 3
    planned = list_planned_events(file, ["chat", "search"], first=date(2026, 6, 1), last=date(2026, 7, 31))
    assert [(event.name, event.series) for event in planned[:2]] == [("sale", None), ("move", (0,))]
    assert date(2026, 7, 3) in {event.start for event in planned if event.name == "holiday"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("version: 1\nevents: [{name: a, start: 2026-01-01, feature: [chat]}]", ["events[0].feature", "'features'"]),
        ("version: 1\nevents: [{name: a, start: 2026-01-01, features: [chatt]}]", ["(a)", "'chatt'", "'chat'"]),
        ("version: 1\nevents: [{name: a}]", ["events[0].start", "required"]),
        ("version: 1\nevents: [{name: a, start: 2026-02-01, end: 2026-01-01}]", ["events[0]", "before it starts"]),
        ("version: 1\nevents: [{name: a, start: 2026-02-01, expected_change: 30}]", ["expected_change", "+30%"]),
        ("version: 1\nevents: [{name: a, start: 2026-02-01, expected_change: lots}]", ["expected_change", "+30%"]),
        ("version: 1\nevents: [{name: a, start: 2026-02-01, kind: lunch}]", ["events[0].kind", "launch"]),
        ("version: 2\nevents: []", ["version"]),
        ("[]", ["must be a mapping"]),
        ("a: [", ["line"]),
        ("version: 1\nversion: 1", ["written twice"]),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: list[str]) -> None:
    path = tmp_path / "events.yml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_events(path, ["chat", "search"])
    for part in ("events.yml", *named):
        assert part in str(caught.value)


def test_a_file_that_is_named_and_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load_events(tmp_path / "events.yml", [])
    assert load_events(None, []).events == ()
