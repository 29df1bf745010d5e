"""Buttons, over a real WebSocket with an unmodified slack_sdk; read back from what Slack and the store keep."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alerts.feedback import apply_answers
from alerts.message import RenderContext
from alerts.outbox import deliver_pending
from alerts.sinks import DeliveryRefused
from alerts.slack import SlackSink
from alerts.socket import Listener
from tests.alerts.outbox.letters import open_store, run_day
from tests.alerts.stories import AS_OF, make_break
from tests.servers.slack import APP_TOKEN, BOT_USER, TOKEN, Fault, SlackServer, serve
from tests.servers.slack_socket import SocketGate, make_click, open_gate
from warehouse.state import StateStore

MAYA = "U012AB3CD"
ROOT = Path(__file__).parents[3]


class World:
    """A store, a Slack with its Socket Mode, and a listener that runs through all tests of this file."""

    def __init__(self, folder: Path, slack: SlackServer, gate: SocketGate) -> None:
        self.folder, self.slack, self.gate = folder, slack, gate
        self.store: StateStore = open_store(folder)
        self.sink = SlackSink(TOKEN, base_url=slack.base_url, interactive=True, timeout_seconds=5)
        self.delivering = threading.Lock()

    def deliver(self) -> None:
        with self.delivering:
            deliver_pending(self.store, self.sink, now=datetime.now(UTC))

    @contextmanager
    def listening(self, *, app_token: str = APP_TOKEN, recheck_seconds: float = 3600) -> Iterator[Listener]:
        listener = Listener(
            self.store,
            app_token=app_token,
            bot_token=TOKEN,
            clock=lambda: datetime.now(UTC),
            context=lambda: RenderContext(as_of=AS_OF),
            deliver=self.deliver,
            base_url=self.slack.base_url,
            retry_seconds=0.2,
            recheck_seconds=recheck_seconds,
            ping_seconds=0.2,
        )
        opened = self.gate.opened
        listener.start()
        self.gate.wait_for_connection(opened=opened + 1)
        try:
            yield listener
        finally:
            listener.stop()


class Story:
    """One open incident, and its message in Slack."""

    def __init__(self, world: World, node: str) -> None:
        self.world, self.node = world, node
        run_day(world.store, [make_break(node=node)], node=node)
        world.deliver()
        self.parent = world.slack.posts()[-1]
        self.whispers_before = len(world.slack.whispers)

    @property
    def row(self) -> dict[str, Any]:
        [row] = [row for row in self.world.store.list_incidents() if row["node"] == self.node]
        return row

    @property
    def status(self) -> str:
        return str(self.row["status"])

    @property
    def whispers(self) -> list[dict[str, Any]]:
        return self.world.slack.whispers[self.whispers_before :]

    def replies(self) -> list[str]:
        return [reply["blocks"][0]["text"]["text"] for reply in self.world.slack.thread(self.parent)]

    def click(self, answer: str, *, envelope_id: str | None = None, **changes: Any) -> str:
        return self.world.gate.send(self.make_click(answer, **changes), envelope_id=envelope_id)

    def make_click(self, answer: str, **changes: Any) -> dict[str, Any]:
        [block] = [block for block in self.parent["blocks"] if block["type"] == "actions"]
        click: dict[str, Any] = {
            "action_id": f"trendbreak_{answer}",
            "block_id": block["block_id"],
            "channel_id": self.parent["channel"],
            "message_ts": self.parent["ts"],
            "user_id": MAYA,
        }
        return make_click(**{**click, **changes})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serve() as slack:
        slack.add_channel("other")
        for channel in slack.channels.values():
            channel.members.append(MAYA)
        with open_gate(slack) as gate:
            made = World(tmp_path_factory.mktemp("home"), slack, gate)
            with made.listening():
                yield made
            made.store.close()


@pytest.fixture
def story(world: World, request: pytest.FixtureRequest) -> Story:
    return Story(world, request.node.name)


def wait_for(condition: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_a_click_is_acknowledged_applied_and_told(story: Story) -> None:
    envelope = story.click("expected")
    assert story.world.gate.wait_for_ack(envelope) < 3
    wait_for(story.replies)
    wait_for(lambda: story.parent["blocks"][0]["text"]["text"].startswith("✅ Accepted · "))
    assert story.status == "absorbed"
    assert story.replies() == [f"✅ Accepted · {story.node}"]
    [reply] = story.world.slack.thread(story.parent)
    assert "@maya says this is expected" in reply["text"]
    assert not any(block["type"] == "actions" for block in story.parent["blocks"])
    assert [(event["kind"], event["who"]) for event in story.world.store.list_events(story.row["id"])] == [
        ("open", "trendbreak"),
        ("expected", "@maya"),
    ]


# What a thread is told after one click, of a day that is graver and of one that passes the next dollar step.
LATER = {
    "": ["🔴 High · update", "🔺 Escalated"],
    "investigating": ["👀 Investigating", "🔺 Escalated"],
    "expected": ["✅ Accepted"],
    "false_alarm": ["⚪ False alarm"],
    "snooze": ["💤 Snoozed"],
}


@pytest.mark.parametrize("answer", LATER)
def test_replays_that_differ_in_one_click_differ_in_what_is_told_later(story: Story, answer: str) -> None:
    if answer:
        story.world.gate.wait_for_ack(story.click(answer, selected_option={"value": "7"}))
        wait_for(story.replies)
    for changes in ({}, {"excess_usd_total": Decimal("5300.00")}):
        graver = make_break(node=story.node, excess_usd_per_day=Decimal("530.00"), **changes)
        run_day(story.world.store, [graver], node=story.node)
        story.world.deliver()
    assert [title.rsplit(" · ", 1)[0] for title in story.replies()] == LATER[answer]


def test_acknowledged_in_time_while_a_process_builds_into_the_same_home(story: Story) -> None:
    code = "import pathlib, sys, tests.warehouse.published as p; p.make_home(pathlib.Path(sys.argv[1]))"
    build = subprocess.Popen([sys.executable, "-c", code, str(story.world.folder)], cwd=ROOT)
    seconds = []
    try:
        while build.poll() is None or not seconds:
            seconds.append(story.world.gate.wait_for_ack(story.click("investigating")))
            time.sleep(0.2)
    finally:
        build.kill()
        build.wait()
    assert build.returncode == 0
    assert max(seconds) < 3
    wait_for(lambda: story.status == "acknowledged")


def test_a_click_delivered_again_counts_once(story: Story) -> None:
    gate, payload = story.world.gate, story.make_click("investigating")
    first = gate.send(payload)
    gate.wait_for_ack(first)
    gate.send(payload, envelope_id=first)
    gate.wait_for_ack(gate.send(payload))
    wait_for(story.replies)
    with story.world.listening():
        gate.wait_for_ack(gate.send(payload))
        time.sleep(0.3)
    assert story.replies() == [f"👀 Investigating · {story.node}"]


@pytest.mark.parametrize("how", ["drop", "refresh"])
def test_the_listener_survives_a_new_connection(story: Story, how: str) -> None:
    gate = story.world.gate
    before = gate.opened
    getattr(gate, how)()
    gate.wait_for_connection(opened=before + 1)
    wait_for(lambda: len(gate.connections) == 1)
    gate.wait_for_ack(story.click("investigating"))
    wait_for(story.replies)
    assert story.status == "acknowledged"


def test_only_members_of_the_channel_may_answer(story: Story) -> None:
    story.world.gate.wait_for_ack(story.click("expected", user_id="U0STRANGER1", user_name="eve"))
    wait_for(lambda: story.whispers)
    assert story.status == "open"
    [whisper] = story.whispers
    assert whisper["user"] == "U0STRANGER1"
    assert "Only members of this channel" in whisper["text"]
    # From another channel the message cannot have come.
    other = next(c for c in story.world.slack.channels.values() if c.name == "other")
    story.world.gate.wait_for_ack(story.click("expected", channel_id=other.id))
    wait_for(lambda: len(story.whispers) == 2)
    assert story.status == "open"
    assert story.replies() == []


def test_snoozing_by_days_and_by_date(story: Story) -> None:
    today = datetime.now(UTC).date()
    story.click("snooze", selected_option={"value": "7"})
    wait_for(lambda: story.status == "snoozed")
    assert story.row["details"]["snoozed_until"] == str(today + timedelta(days=7))
    story.click("snooze_until", selected_date=str(today + timedelta(days=20)))
    wait_for(lambda: len(story.replies()) == 2)
    assert story.row["details"]["snoozed_until"] == str(today + timedelta(days=20))
    story.click("snooze_until", selected_date=str(today))
    wait_for(lambda: story.whispers)
    assert "a day in the future" in story.whispers[0]["text"]
    assert len(story.replies()) == 2


def test_what_is_not_ours_is_acknowledged_and_left_alone(story: Story) -> None:
    gate = story.world.gate
    before = story.world.store.list_feedback()
    for changes in ({"action_id": "someone_elses"}, {"block_id": "x"}, {"action_id": "trendbreak_snooze"}):
        gate.wait_for_ack(story.click("expected", **changes))
    gate.wait_for_ack(gate.send({"type": "view_submission"}))
    assert story.world.store.list_feedback() == before


def test_acknowledged_in_time_while_the_store_is_busy(story: Story) -> None:
    busy = sqlite3.connect(story.world.folder / "state.sqlite", isolation_level=None, check_same_thread=False)
    busy.execute("BEGIN IMMEDIATE")
    release = threading.Timer(1.0, lambda: busy.execute("ROLLBACK"))
    release.start()
    assert story.world.gate.wait_for_ack(story.click("investigating")) < 3
    wait_for(story.replies)
    release.join()
    busy.close()


def test_clicks_wait_for_slack_to_come_back(story: Story) -> None:
    slack = story.world.slack
    slack.fault_for_ever["conversations.members"] = Fault("status", 503)
    story.world.gate.wait_for_ack(story.click("investigating"))
    wait_for(lambda: len(slack.called("conversations.members (status)")) >= 2)
    assert story.status == "open"
    slack.fault_for_ever.clear()
    wait_for(story.replies)
    assert story.status == "acknowledged"


def test_the_last_of_two_clicks_counts_though_the_first_could_not_be_checked(story: Story) -> None:
    now = datetime.now(UTC)
    for n, answer in enumerate(("investigating", "snooze")):
        story.world.store.add_feedback(
            f"{story.node}/{n}",
            story.row["id"],
            f"clicked:{answer}",
            "@maya",
            now + timedelta(milliseconds=n),
            until=now + timedelta(days=7) if answer == "snooze" else None,
            text=f'{{"user_id": "{MAYA}", "channel_id": "{story.parent["channel"]}"}}',
        )
    story.world.slack.fail_next("conversations.members", Fault("status"), Fault("error", error="missing_scope"))
    with story.world.listening(recheck_seconds=0.2):  # nobody clicks again
        wait_for(lambda: len(story.replies()) == 2)
    assert [title.split(" · ")[0] for title in story.replies()] == ["👀 Investigating", "💤 Snoozed"]
    assert story.status == "snoozed"


def test_a_click_that_slack_does_not_let_be_checked_holds_up_no_other(story: Story) -> None:
    lost = story.world.slack.add_channel(f"lost-{len(story.world.slack.channels)}")
    run_day(story.world.store, [make_break(node="lost")], node="lost")
    [row] = [row for row in story.world.store.list_incidents() if row["node"] == "lost"]
    [letter] = [letter for letter in story.world.store.pending() if letter["incident_id"] == row["id"]]
    story.world.store.mark_sending(letter["key"], datetime.now(UTC))
    story.world.store.mark_sent(letter["key"], datetime.now(UTC), lost.id, "1.1")
    del story.world.slack.channels[lost.id]  # the bot was thrown out of a private channel

    block = f"trendbreak_{row['id']}_0123abcd"
    story.world.gate.wait_for_ack(story.click("expected", channel_id=lost.id, block_id=block))
    story.world.gate.wait_for_ack(story.click("expected"))
    wait_for(story.replies)
    assert story.status == "absorbed"


def test_a_click_that_a_killed_listener_left_is_taken_up(story: Story) -> None:
    story.world.store.add_feedback(
        f"{MAYA}/1.2/expected",
        story.row["id"],
        "clicked:expected",
        "@maya",
        datetime.now(UTC),
        text=f'{{"user_id": "{MAYA}", "channel_id": "{story.parent["channel"]}"}}',
    )
    with story.world.listening():
        wait_for(story.replies)
    assert story.status == "absorbed"


def test_a_run_that_saves_over_a_click_does_not_lose_it(story: Story) -> None:
    before = story.row
    story.world.gate.wait_for_ack(story.click("expected"))
    wait_for(story.replies)
    wait_for(lambda: not story.world.store.pending())
    story.world.store.save_incident(before)
    assert story.status == "open"
    apply_answers(story.world.store, context=RenderContext(as_of=AS_OF), now=datetime.now(UTC))
    story.world.deliver()
    assert story.status == "absorbed"
    assert len(story.replies()) == 1


def test_an_incident_that_nobody_knows_is_not_answered_for(story: Story) -> None:
    story.world.gate.wait_for_ack(story.click("expected", block_id="trendbreak_inc-000000000000_0123abcd"))
    wait_for(lambda: story.whispers)
    assert story.status == "open"


def test_a_wrong_app_token_names_its_cure(world: World) -> None:
    with pytest.raises(DeliveryRefused, match="connections:write") as refused, world.listening(app_token="xapp-wrong"):
        pass
    assert "xapp-wrong" not in str(refused.value)


def test_the_bot_itself_is_a_member(world: World) -> None:
    channel = next(iter(world.slack.channels.values()))
    assert world.sink.is_member(channel.id, BOT_USER)
    assert not world.sink.is_member(channel.id, "U0STRANGER1")
