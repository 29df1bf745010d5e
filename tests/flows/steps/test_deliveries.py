"""What a run says of its alerts: in its exit code, in red, in its summary and in the snapshot."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from flows.summary import summarise
from tests.flows.command import trendbreak, trendbreak_process
from tests.flows.daily_home import DailyHome, daily_lines
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from tests.servers import slack

AS_OF = date(2026, 11, 22)
FIRST = AS_OF - timedelta(days=61)


@pytest.fixture
def server() -> Iterator[slack.SlackServer]:
    with slack.serve() as server:
        yield server


def write_storm(home: DailyHome, *, days: int = 60, storm_days: int = 5) -> None:
    calm = daily_lines("chat", FIRST, days - storm_days) + daily_lines("search", FIRST, days, usd=40)
    storm = daily_lines("chat", FIRST + timedelta(days=days - storm_days), storm_days, factor=Decimal("2.5"))
    home.bill("drop", calm + storm)


def slack_line(server: slack.SlackServer) -> str:
    return f'slack: {{token: "${{BOT}}", channel: "#ai-costs", base_url: "{server.base_url}"}}\n'


def test_a_refused_message_makes_the_command_fail_in_red_with_the_cure(
    tmp_path: Path, server: slack.SlackServer
) -> None:
    write_small_home(tmp_path, extra=slack_line(server))
    bill = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=4)
    (tmp_path / "inbox" / "bill.csv").write_text("\n".join(bill) + "\n")
    server.is_token_revoked = True
    refused = trendbreak_process("run", "--direct", cwd=tmp_path, BOT=slack.TOKEN, FORCE_COLOR="1")
    assert refused.returncode == 1
    assert "the bot token was revoked" in refused.stderr
    assert "install the Slack app again" in refused.stderr
    assert "\x1b[31m" in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
    status = trendbreak("status", cwd=tmp_path, BOT=slack.TOKEN)
    assert status.returncode == 1
    assert "not delivered to #ai-costs" in status.stdout
    assert "install the Slack app again" in " ".join(status.stdout.split())

    server.is_token_revoked = False
    healed = trendbreak("run", "--direct", cwd=tmp_path, BOT=slack.TOKEN)
    assert healed.returncode == 0, healed.stderr
    assert "(sent, of an earlier run)" in healed.stdout
    assert len(server.posts()) == 1


def test_the_flow_fails_too_when_slack_is_down_longer_than_it_waits(
    tmp_path: Path, server: slack.SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOT", slack.TOKEN)
    home = DailyHome(tmp_path, extra=slack_line(server))
    home.write()
    write_storm(home)
    server.fault_for_ever["*"] = slack.Fault("status", 503)
    run = home.run(AS_OF)
    summary = summarise(run)
    assert len(summary.undelivered) == 1
    assert "Slack answers 503" in summary.undelivered[0]
    assert home.ask("SELECT status FROM ops.runs") == [("failed",)]
    server.fault_for_ever.clear()
    later = summarise(home.run(AS_OF + timedelta(days=1), hour=10))
    assert later.undelivered == ()
    assert len(server.posts()) == 1


def test_the_snapshot_knows_what_became_of_its_own_run(
    tmp_path: Path, server: slack.SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOT", slack.TOKEN)
    home = DailyHome(tmp_path, extra=slack_line(server))
    home.write()
    write_storm(home)
    home.run(AS_OF)
    assert home.ask("SELECT status, channel_id IS NOT NULL FROM ops.outbox") == [("sent", True)]
    assert home.ask("SELECT status, finished_at >= started_at FROM ops.runs") == [("completed", True)]
    home.run(AS_OF, hour=10)
    assert home.ask("SELECT status FROM ops.runs") == [("completed",), ("completed",)]
    assert home.ask("SELECT count(*) FROM ops.outbox") == [(1,)]


def test_a_token_that_comes_later_gets_the_open_incidents_of_the_folder_once(
    tmp_path: Path, server: slack.SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = DailyHome(tmp_path)
    home.write()
    write_storm(home)
    home.run(AS_OF)
    [message] = (tmp_path / "data" / "outbox").glob("*.json")
    assert json.loads(message.read_text())["blocks"]
    assert len(list((tmp_path / "data" / "outbox").glob("*.png"))) == 1
    home.extra = slack_line(server)
    home.write()
    monkeypatch.setenv("BOT", slack.TOKEN)
    summary = summarise(home.run(AS_OF, hour=10))
    assert [told[2] for told in summary.told] == ["sent, of an earlier run"]
    [post] = server.posts()
    assert "chat" in post["text"]
    assert "before Slack could be reached" in json.dumps(post["blocks"])
    assert any(block["type"] == "image" for block in post["blocks"])
    home.run(AS_OF, hour=11)
    assert len(server.posts()) == 1


def test_no_feature_can_take_the_name_of_the_total(tmp_path: Path) -> None:
    write_small_home(tmp_path)
    rules = tmp_path / "features.yml"
    rules.write_text(rules.read_text().replace("support_chat", "all features"))
    done = trendbreak("run", "--direct", cwd=tmp_path)
    assert done.returncode == 2
    assert "belongs to the program" in done.stderr
