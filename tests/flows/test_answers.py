"""What a person answers from the terminal reaches the incident, its thread in Slack, and later decisions."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flows.command import trendbreak
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from tests.servers import slack


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, slack.SlackServer, str]]:
    """A home with one open incident that Slack was told of: (folder, server, incident's id)."""
    tmp_path = tmp_path_factory.mktemp("told")
    with slack.serve() as server:
        server.add_channel("ai-costs")
        write_small_home(
            tmp_path, extra=f'slack: {{token: "${{BOT}}", channel: "#ai-costs", base_url: "{server.base_url}"}}\n'
        )
        bill = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=5)
        (tmp_path / "inbox" / "bill.csv").write_text("\n".join(bill) + "\n")
        done = trendbreak("run", "--direct", cwd=tmp_path, BOT=slack.TOKEN)
        assert done.returncode == 0, done.stderr + done.stdout
        [post] = server.posts()
        assert "support_chat" in post["text"]
        assert "support_chat" in json.dumps(post["blocks"])
        listed = trendbreak("incidents", "list", cwd=tmp_path)
        found = re.search(r"inc-[0-9a-f]+", listed.stdout)
        assert found, listed.stdout
        yield tmp_path, server, found.group()


def test_an_answer_is_told_in_the_thread_and_in_the_history(told: tuple[Path, slack.SlackServer, str]) -> None:
    folder, server, incident = told
    assert trendbreak("incidents", "ack", incident, cwd=folder, BOT=slack.TOKEN).returncode == 0
    parent, *_, reply = server.posts()
    assert reply["thread_ts"] == parent["ts"]
    shown = trendbreak("incidents", "show", incident, cwd=folder)
    assert "support_chat" in shown.stdout
    assert "investigating" in shown.stdout
    posts = len(server.posts())
    again = trendbreak("run", "--direct", cwd=folder, BOT=slack.TOKEN)
    assert again.returncode == 0, again.stderr
    assert len(server.posts()) == posts


def test_an_unknown_incident_is_an_error_with_its_cure(told: tuple[Path, slack.SlackServer, str]) -> None:
    folder, _, _ = told
    done = trendbreak("incidents", "resolve", "inc-nothing", cwd=folder, BOT=slack.TOKEN)
    assert done.returncode == 2
    assert "trendbreak incidents list" in done.stderr


def test_a_sample_arrives_and_the_manifest_is_json(told: tuple[Path, slack.SlackServer, str]) -> None:
    folder, server, _ = told
    posts = len(server.posts())
    assert trendbreak("slack", "test", cwd=folder, BOT=slack.TOKEN).returncode == 0
    assert len(server.posts()) == posts + 1
    manifest = json.loads(trendbreak("slack", "manifest", cwd=folder).stdout)
    assert "chat:write" in manifest["oauth_config"]["scopes"]["bot"]


def test_a_token_that_is_not_set_keeps_the_messages_waiting_for_it(tmp_path: Path) -> None:
    with slack.serve() as server:
        server.add_channel("ai-costs")
        write_small_home(
            tmp_path, extra=f'slack: {{token: "${{BOT}}", channel: "#ai-costs", base_url: "{server.base_url}"}}\n'
        )
        bill = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=5)
        (tmp_path / "inbox" / "bill.csv").write_text("\n".join(bill) + "\n")
        without = trendbreak("run", "--direct", cwd=tmp_path)
        assert "BOT is not set" in without.stdout
        assert len(list((tmp_path / "data" / "outbox").glob("*.json"))) == 1
        assert server.posts() == []
        assert trendbreak("run", "--direct", cwd=tmp_path, BOT=slack.TOKEN).returncode == 0
        assert len(server.posts()) == 1
