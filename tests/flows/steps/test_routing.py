"""Quiet hours, the daily limit, and what is for the digest only: through the daily run, read back from Slack."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.commands.incidents import open_state, present_context
from flows.commands.status import show_status
from flows.digest import gather_facts
from flows.errors import SettingsError
from flows.run import Home
from flows.serving.deployments import DEPLOYMENTS
from flows.settings import load_settings
from flows.steps.delivery import empty_outbox
from flows.summary import summarise
from tests.flows.daily_home import DailyHome, daily_lines
from tests.servers import slack

AS_OF = date(2026, 11, 25)
FIRST = AS_OF - timedelta(days=61)
BROKEN_DAYS = 5
USUAL_USD = {"chat": 300, "search": 60, "draft": 50, "voice": 40}  # two and a half times as much at the end


@pytest.fixture
def server() -> Iterator[slack.SlackServer]:
    with slack.serve() as server:
        yield server


def make_home(folder: Path, server: slack.SlackServer, alerts: str, monkeypatch: pytest.MonkeyPatch) -> DailyHome:
    monkeypatch.setenv("BOT", slack.TOKEN)
    where = f'token: "${{BOT}}", channel: "#ai-costs", base_url: "{server.base_url}"'
    home = DailyHome(folder, features=tuple(USUAL_USD), extra=f"slack: {{{where}}}\nalerts: {{{alerts}}}\n")
    home.write()
    bill(home, AS_OF)
    return home


def bill(home: DailyHome, as_of: date, **factors: Decimal) -> None:
    """The bill as it is on a day, broken for its last days. `factors`: of features, else 2.5."""
    days = (as_of - FIRST).days - 1
    lines = []
    for name, usd in USUAL_USD.items():
        lines += daily_lines(name, FIRST, 60 - BROKEN_DAYS, usd=usd)
        since = FIRST + timedelta(days=60 - BROKEN_DAYS)
        factor = factors.get(name, Decimal("2.5"))
        lines += daily_lines(name, since, days - 60 + BROKEN_DAYS, usd=usd, factor=factor)
    home.bill("drop", lines)


def titles(server: slack.SlackServer) -> list[str]:
    return [str(post["blocks"][0]["text"]["text"]) for post in server.posts() if "thread_ts" not in post]


def named(server: slack.SlackServer) -> list[str]:
    return [next(name for name in (*USUAL_USD, "more incident") if name in title) for title in titles(server)]


def deliver_at(home: DailyHome, *, days: int = 0, hour: int, minute: int = 0) -> None:
    """A pass over the outbox at a time after the run."""
    settings = load_settings(home.folder / "trendbreak.yml")
    state = open_state(settings)
    now = datetime(AS_OF.year, AS_OF.month, AS_OF.day, hour, minute, tzinfo=UTC) + timedelta(days=days)
    context = present_context(settings, state)
    empty_outbox(settings, Home(settings.home), state, os.environ, context=context, now=now, notices=[])


def says(home: DailyHome, now: datetime) -> tuple[bool, str]:
    screen = StringIO()
    is_well = show_status(load_settings(home.folder / "trendbreak.yml"), Console(file=screen, width=200), now=now)
    return is_well, screen.getvalue()


def test_quiet_hours_hold_new_threads_and_let_them_go_in_order(
    tmp_path: Path, server: slack.SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 22:00 to 07:00 in Berlin are 21:00 to 06:00 UTC in winter.
    hours = 'quiet_hours: {from: "22:00", until: "07:00", timezone: Europe/Berlin}'
    home = make_home(tmp_path, server, hours, monkeypatch)
    run = home.run(AS_OF, hour=21)
    assert named(server) == ["chat"]  # of high severity
    summary = summarise(run)
    assert summary.undelivered == ()
    assert "3 new incidents not told yet: quiet hours until 07:00 (Europe/Berlin)" in summary.notices
    is_well, screen = says(home, run.now)
    assert "quiet hours until 07:00" in screen
    assert "not delivered" not in screen
    assert is_well
    deliver_at(home, days=1, hour=5, minute=59)
    assert len(titles(server)) == 1
    deliver_at(home, days=1, hour=6)
    assert named(server) == ["chat", "search", "draft", "voice"]
    deliver_at(home, days=1, hour=7)
    assert len(titles(server)) == 4
    assert says(home, run.now)[0]


def test_high_severity_waits_too_where_it_is_so_set(
    tmp_path: Path, server: slack.SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = 'quiet_hours: {from: "08:00", until: "10:00", high_passes: false}'
    home = make_home(tmp_path, server, hours, monkeypatch)
    home.run(AS_OF, hour=9)
    assert titles(server) == []
    deliver_at(home, hour=10)
    assert named(server)[0] == "chat"
    assert len(titles(server)) == 4


def test_the_daily_limit_names_the_rest_once_and_tells_it_on_the_next_days(
    tmp_path: Path, server: slack.SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path, server, "daily_messages: 2", monkeypatch)
    server.fail_next(
        "chat.postMessage", slack.Fault("status", 500)
    )  # nobody knows whether it arrived: it has its place
    home.run(AS_OF)
    deliver_at(home, hour=12)
    assert sorted(named(server)) == ["chat", "more incident", "search"]
    [roll_up] = [post for post in server.posts() if "more incident" in post["blocks"][0]["text"]["text"]]
    assert "2 more incidents, together +$" in roll_up["blocks"][0]["text"]["text"]
    said = str(roll_up["blocks"])
    ids = dict(home.ask("SELECT node, id FROM ops.incidents WHERE status = 'open'"))
    for name in ("draft", "voice"):
        assert name in said
        assert ids[name] in said
    assert said.count("/day") == 3
    deliver_at(home, hour=23)
    assert len(titles(server)) == 3
    deliver_at(home, days=1, hour=0)
    deliver_at(home, days=2, hour=12)
    assert sorted(named(server)) == ["chat", "draft", "more incident", "search", "voice"]
    assert home.ask("SELECT count(*) FROM ops.incidents") == [(4,)]


def test_small_incidents_stand_in_the_digest_until_they_grow(
    tmp_path: Path, server: slack.SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path, server, "digest_below_usd_per_day: 80", monkeypatch)
    home.run(AS_OF)
    deliver_at(home, hour=12)
    assert named(server) == ["chat", "search"]
    assert home.ask("SELECT count(*) FROM ops.incidents WHERE status = 'open'") == [(4,)]
    settings = load_settings(tmp_path / "trendbreak.yml")
    state = open_state(settings)
    facts = gather_facts(settings, state, present_context(settings, state), now=home.runs[-1].now)
    assert sorted(name for name in USUAL_USD for title in facts.going_on if name in title) == sorted(USUAL_USD)
    assert facts.opened == 2
    later = AS_OF + timedelta(days=1)
    bill(home, later, draft=Decimal("6"))
    home.run(later)
    assert named(server) == ["chat", "search", "draft"]
    back = later + timedelta(days=9)
    lines = [line for name, usd in USUAL_USD.items() for line in daily_lines(name, FIRST, 70, usd=usd)]
    home.bill("drop", lines)
    home.run(back)
    assert len(titles(server)) == 3
    assert home.ask("SELECT count(*) FROM ops.outbox WHERE status <> 'sent'") == [(0,)]


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ('quiet_hours: {from: 22:00, until: "07:00"}', 'quiet_hours.from: must be a time in quotes, such as "22:00"'),
        ('quiet_hours: {from: "24:00", until: "07:00"}', "quiet_hours.from: must be a time"),
        ('quiet_hours: {from: "22:00"}', "quiet_hours.until: this key is required"),
        ('quiet_hours: {form: "22:00", until: "07:00"}', "did you mean 'from'"),
        ('quiet_hours: {from: "07:00", until: "07:00"}', "are the same time"),
        ('quiet_hours: {from: "22:00", until: "07:00", timezone: Europe/Berlino}', "did you mean 'Europe/Berlin'"),
        ("daily_messages: 0", "daily_messages: must be 1 or more"),
        ("digest_below_usd_per_day: -1", "digest_below_usd_per_day: must be more than 0"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, alerts: str, said: str) -> None:
    home = DailyHome(tmp_path, extra=f"alerts: {{{alerts}}}\n")
    home.write()
    with pytest.raises(SettingsError) as error:
        load_settings(tmp_path / "trendbreak.yml")
    assert said in str(error.value)


def test_the_end_of_the_quiet_hours_has_a_schedule(tmp_path: Path) -> None:
    home = DailyHome(tmp_path, extra='alerts: {quiet_hours: {from: "22:00", until: "07:30", timezone: Asia/Tokyo}}\n')
    home.write()
    settings: Any = load_settings(tmp_path / "trendbreak.yml")
    [one] = [one for one in DEPLOYMENTS if one.name == "deliver"]
    assert one.timing(settings) == ("30 7 * * *", "Asia/Tokyo")
