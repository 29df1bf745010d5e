"""From decision to receipt, with the real state store and a local Slack; read back from what Slack stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alerts.holding import PostingRules, hold_threads
from alerts.message import RenderContext
from alerts.outbox import Delivered, deliver_pending, move_threads
from alerts.routing import FeatureRoute, Routing
from alerts.sinks import DeliveryDelayed, FolderSink, Letter, Receipt, RefusingSink, Sink
from alerts.slack import SlackSink
from tests.alerts.outbox.letters import Clock, open_store, run_day
from tests.alerts.stories import AS_OF, NEWEST, last, make_break, make_chart, new_key, unit_cost
from tests.servers.slack import TOKEN, Fault, SlackServer, serve
from warehouse.state import StateStore

VISIBLE_AFTER = 60.0


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with serve() as server:
        server.add_channel("support-ai")
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = open_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_sink(slack: SlackServer, *, visible_after_seconds: float = VISIBLE_AFTER) -> SlackSink:
    return SlackSink(TOKEN, base_url=slack.base_url, timeout_seconds=5, visible_after_seconds=visible_after_seconds)


def statuses(delivered: list[Delivered]) -> list[str]:
    return [one.status for one in delivered]


GRAVER = make_break(excess_usd_per_day=Decimal("530.00"))


def test_one_incident_one_thread(store: StateStore, slack: SlackServer, clock: Clock) -> None:
    sink = make_sink(slack)
    run_day(store, [replace(make_break(), chart=make_chart())])
    assert statuses(deliver_pending(store, sink, now=clock())) == ["sent"]
    run_day(store, [make_break()])
    assert deliver_pending(store, sink, now=clock()) == []
    run_day(store, [GRAVER])
    run_day(store, [last(GRAVER, NEWEST, through=NEWEST + timedelta(days=2))], as_of=AS_OF + timedelta(days=2))
    assert statuses(deliver_pending(store, sink, now=clock())) == ["sent", "sent"]

    parent, *replies = slack.posts()
    assert [reply["thread_ts"] for reply in replies] == [parent["ts"]] * 2
    assert [message["metadata"]["event_payload"]["action"] for message in slack.posts()] == [
        "open",
        "update",
        "resolve",
    ]
    assert parent["blocks"][0]["text"]["text"].startswith("✅ Resolved · support_chat")
    assert any(block["type"] == "image" for block in parent["blocks"])
    assert deliver_pending(store, sink, now=clock()) == []


@pytest.mark.parametrize(("usd", "told"), [((40, 50), 0), ((40, 500), 1), ((500, 40), 2)])
def test_bursts_that_come_together_are_for_the_digest_as_those_that_come_alone(
    store: StateStore, slack: SlackServer, clock: Clock, usd: tuple[int, int], told: int
) -> None:
    through = NEWEST + timedelta(days=7)
    bursts = [
        last(make_break(onset=day, excess_usd_per_day=Decimal(size)), day, through=through)
        for size, day in zip(usd, (NEWEST, NEWEST + timedelta(days=4)), strict=True)
    ]
    for _ in range(2):
        run_day(store, bursts, through=through, digest_below_usd_per_day=Decimal(100))
        deliver_pending(store, make_sink(slack), now=clock())
    assert len(slack.posts()) == told
    [row] = store.list_incidents()
    assert bool(row["details"].get("digest_only")) == (told == 0)


def test_channels_that_look_alike_have_a_roll_up_each(store: StateStore) -> None:
    channels = ("#ai-costs", "#ai_costs", "#費用", "#コスト")
    names = [(f"{channel} {n}", channel) for channel in channels for n in range(2)]
    routing = Routing("#c", features={name: FeatureRoute(channel) for name, channel in names})
    run_day(store, [make_break(node=name) for name, _ in names], routing=routing)
    for _ in range(2):
        assert len(hold_threads(store, PostingRules(daily_messages=1), now=datetime.now(UTC))) == 4
    told = [row for row in store.outbox() if row["payload"].get("names")]
    assert sorted(row["channel"] for row in told) == sorted(channels)
    assert all(row["thread_of"] is None for row in told)


def test_a_day_alerted_and_restated_ends_withdrawn(store: StateStore, slack: SlackServer, clock: Clock) -> None:
    sink = make_sink(slack)
    run_day(store, [make_break()])
    deliver_pending(store, sink, now=clock())
    run_day(store, [])
    deliver_pending(store, sink, now=clock())
    parent, reply = slack.posts()
    assert parent["blocks"][0]["text"]["text"] == "↩️ Withdrawn · support_chat"
    assert reply["blocks"][0]["text"]["text"] == "↩️ Withdrawn · support_chat"
    assert [row["status"] for row in store.list_incidents()] == ["withdrawn"]


def test_a_run_that_dies_between_enqueuing_and_saving_repeats_itself(
    store: StateStore, slack: SlackServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(incident: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "save_incident", die)
        with pytest.raises(KeyboardInterrupt):
            run_day(store, [make_break()])
    run_day(store, [GRAVER])
    deliver_pending(store, make_sink(slack), now=clock())
    assert len(slack.posts()) == 1


UNKNOWN = [Fault("stored_drop"), Fault("stored_status", 502), Fault("drop"), Fault("status", 503)]


@pytest.mark.parametrize("fault", UNKNOWN, ids=lambda fault: fault.kind)
def test_exactly_once_when_nobody_knows(store: StateStore, slack: SlackServer, clock: Clock, fault: Fault) -> None:
    sink = make_sink(slack)
    slack.fail_next("chat.postMessage", fault)
    run_day(store, [make_break(), unit_cost()])
    assert statuses(deliver_pending(store, sink, now=clock())) == ["waiting", "sent"]
    is_stored = fault.kind.startswith("stored")
    outcome = statuses(deliver_pending(store, sink, now=clock.pass_seconds(5)))
    assert outcome == (["found"] if is_stored else ["waiting"])
    deliver_pending(store, sink, now=clock.pass_seconds(VISIBLE_AFTER + 1))
    assert len(slack.keys()) == len(set(slack.keys())) == 2
    assert store.pending() == []


@pytest.mark.parametrize("is_reply", [False, True])
def test_history_that_shows_late_is_waited_for(
    store: StateStore, slack: SlackServer, clock: Clock, is_reply: bool
) -> None:
    sink = make_sink(slack)
    run_day(store, [make_break()])
    if is_reply:
        deliver_pending(store, sink, now=clock())
        run_day(store, [GRAVER])
    slack.fail_next("chat.postMessage", Fault("stored_drop"))
    assert statuses(deliver_pending(store, sink, now=clock())) == ["waiting"]
    slack.history_delay_seconds = 3600
    [waiting] = deliver_pending(store, sink, now=clock.pass_seconds(20))
    assert waiting.status == "waiting"
    assert "40 s to wait" in waiting.detail
    slack.history_delay_seconds = 0
    assert statuses(deliver_pending(store, sink, now=clock.pass_seconds(20))) == ["found"]
    assert len(slack.posts()) == 1 + is_reply


def test_the_card_is_edited_also_when_the_reply_was_found(store: StateStore, slack: SlackServer, clock: Clock) -> None:
    sink = make_sink(slack)
    run_day(store, [make_break()])
    deliver_pending(store, sink, now=clock())
    run_day(store, [])
    slack.fail_next("chat.update", Fault("status", 503))
    assert statuses(deliver_pending(store, sink, now=clock())) == ["waiting"]
    assert statuses(deliver_pending(store, sink, now=clock.pass_seconds(1))) == ["found"]
    parent, _ = slack.posts()
    assert parent["blocks"][0]["text"]["text"] == "↩️ Withdrawn · support_chat"


def test_an_edit_that_is_refused_does_not_send_the_reply_again(
    store: StateStore, slack: SlackServer, clock: Clock
) -> None:
    sink = make_sink(slack)
    run_day(store, [make_break()])
    deliver_pending(store, sink, now=clock())
    run_day(store, [GRAVER])
    slack.fail_next("chat.update", Fault("error", error="restricted_action"))
    [delivered] = deliver_pending(store, sink, now=clock())
    assert delivered.status == "sent"
    assert "not edited" in delivered.detail
    assert deliver_pending(store, sink, now=clock.pass_seconds(1)) == []
    assert len(slack.posts()) == 2


def test_slack_down_for_an_hour(store: StateStore, slack: SlackServer, clock: Clock) -> None:
    sink = make_sink(slack)
    slack.fault_for_ever["*"] = Fault("status", 503)
    for minute in range(0, 60, 10):
        run_day(store, [make_break(excess_usd_per_day=Decimal(412 + 12 * minute)), new_key(), unit_cost()])
        delivered = deliver_pending(store, sink, now=clock.pass_seconds(600))
        assert set(statuses(delivered)) == {"waiting"}
    calls = len(slack.calls)
    assert slack.posts() == []
    slack.fault_for_ever.clear()
    deliver_pending(store, sink, now=clock.pass_seconds(600))
    assert store.pending() == []
    keys = slack.keys()
    assert len(keys) == len(set(keys)) == 3 + 3  # three incidents, three steps of a quarter
    for parent in [message for message in slack.posts() if "thread_ts" not in message]:
        revisions = [int(m["metadata"]["event_payload"]["key"].split("/")[1]) for m in [parent, *slack.thread(parent)]]
        assert revisions == list(range(1, len(revisions) + 1))
    assert calls < 40  # a dead Slack is not asked for every message of every pass


def test_a_silent_slack_is_left_alone_for_the_rest_of_the_pass(
    store: StateStore, slack: SlackServer, clock: Clock
) -> None:
    slack.fault_for_ever["*"] = Fault("drop")
    run_day(store, [make_break(node=f"feature_{n}") for n in range(8)])
    delivered = deliver_pending(store, make_sink(slack), now=clock())
    assert statuses(delivered) == ["waiting"] * 8
    assert delivered[-1].detail == "Slack does not answer at present"
    assert len(slack.calls) <= 3


def test_a_refused_message_holds_up_its_own_thread_only(
    store: StateStore, slack: SlackServer, clock: Clock, tmp_path: Path
) -> None:
    channel = next(c for c in slack.channels.values() if c.name == "support-ai")
    channel.is_member = False
    sink, fallback = make_sink(slack), FolderSink(tmp_path / "outbox")
    run_day(store, [make_break(), unit_cost()])
    run_day(store, [GRAVER, unit_cost()])
    delivered = deliver_pending(store, sink, now=clock(), fallback=fallback)
    assert statuses(delivered) == ["failed", "sent", "failed"]
    assert "/invite @Trendbreak in #support-ai" in delivered[0].detail
    assert "meanwhile sent to the folder" in delivered[0].detail
    assert len(list((tmp_path / "outbox").glob("*.json"))) == 2
    assert [m["channel"] for m in slack.posts()] == [slack.posts("ai-costs")[0]["channel"]]

    # Once the cure is applied, everything goes out, in order; the fallback hears nothing new meanwhile.
    deliver_pending(store, sink, now=clock.pass_seconds(1), fallback=fallback)
    assert len(list((tmp_path / "outbox").glob("*.json"))) == 2
    channel.is_member = True
    assert statuses(deliver_pending(store, sink, now=clock.pass_seconds(1), fallback=fallback)) == ["sent", "sent"]
    parent, reply = slack.posts("support-ai")
    assert reply["thread_ts"] == parent["ts"]


def test_a_token_revoked_after_an_unknown_outcome_never_doubles(
    store: StateStore, slack: SlackServer, clock: Clock
) -> None:
    sink = make_sink(slack)
    run_day(store, [make_break()])
    slack.fail_next("chat.postMessage", Fault("stored_drop"))
    deliver_pending(store, sink, now=clock())
    slack.is_token_revoked = True
    [waiting] = deliver_pending(store, sink, now=clock.pass_seconds(VISIBLE_AFTER + 10))
    assert waiting.status == "waiting"
    assert "the bot token was revoked" in waiting.detail
    slack.is_token_revoked = False
    assert statuses(deliver_pending(store, sink, now=clock.pass_seconds(10))) == ["found"]
    assert len(slack.posts()) == 1


def test_a_token_that_is_missing_for_one_run_neither_loses_nor_doubles(
    store: StateStore, slack: SlackServer, clock: Clock, tmp_path: Path
) -> None:
    run_day(store, [make_break(), unit_cost()])
    slack.fail_next("chat.postMessage", Fault("stored_drop"))
    assert statuses(deliver_pending(store, make_sink(slack), now=clock())) == ["waiting", "sent"]
    run_day(store, [make_break(), unit_cost(), new_key()])
    without = RefusingSink("SLACK_BOT_TOKEN is not set")
    folder = FolderSink(tmp_path / "outbox")
    delivered = deliver_pending(store, without, now=clock.pass_seconds(VISIBLE_AFTER + 10), fallback=folder)
    assert statuses(delivered) == ["waiting", "failed"]
    assert [path.stem for path in (tmp_path / "outbox").glob("*.json")] == ["001-open-unallocated"]
    assert statuses(deliver_pending(store, make_sink(slack), now=clock.pass_seconds(1))) == ["found", "sent"]
    assert len(slack.keys()) == len(set(slack.keys())) == 3


def test_a_429_that_lasts_needs_no_reading_back(store: StateStore, slack: SlackServer, clock: Clock) -> None:
    sink = make_sink(slack)
    run_day(store, [make_break()])
    slack.fail_next("chat.postMessage", Fault("status", 429, retry_after=600))
    assert statuses(deliver_pending(store, sink, now=clock())) == ["waiting"]
    assert statuses(deliver_pending(store, sink, now=clock.pass_seconds(1))) == ["sent"]
    assert slack.called("conversations.history") == []


def test_what_the_folder_was_told_comes_to_slack_once_there_is_a_token(
    store: StateStore, slack: SlackServer, clock: Clock, tmp_path: Path
) -> None:
    folder = FolderSink(tmp_path / "outbox")
    run_day(store, [replace(make_break(), chart=make_chart()), unit_cost(), new_key()])
    assert statuses(deliver_pending(store, folder, now=clock())) == ["sent"] * 3
    run_day(store, [GRAVER, unit_cost()])  # the third is withdrawn before Slack is there
    deliver_pending(store, folder, now=clock())
    context = RenderContext(as_of=AS_OF)
    assert move_threads(store, folder, context=context, now=clock()) == []

    sink = make_sink(slack)
    for _ in range(2):  # a process that dies in between only repeats itself
        moved = move_threads(store, sink, context=context, now=clock(), found={})
    assert moved == []
    assert sorted(statuses(deliver_pending(store, sink, now=clock()))) == ["sent", "sent"]
    assert move_threads(store, sink, context=context, now=clock()) == []
    assert deliver_pending(store, sink, now=clock()) == []
    first, second = slack.posts()
    assert all("thread_ts" not in post for post in (first, second))
    told = json.dumps([first, second])
    assert "+$530" in told  # as it stands now
    assert told.count("before Slack could be reached") == 2
    run_day(store, [last(GRAVER, NEWEST, through=NEWEST + timedelta(days=2)), unit_cost()])
    deliver_pending(store, sink, now=clock())
    assert len([post for post in slack.posts() if "thread_ts" in post]) == 1


class DeadSink:
    """A sink that takes nothing and cannot be read back."""

    def holds(self, thread: Receipt) -> bool:
        return True

    name = "dead"
    can_find = False
    visible_after_seconds = 0.0

    def find(self, letter: Letter, *, since: datetime) -> Receipt | None:
        raise AssertionError("a sink without read-back is not asked")

    def prepare(self, letter: Letter) -> Letter:
        return letter

    def send(self, letter: Letter) -> Receipt:
        raise DeliveryDelayed("nobody is there", is_unknown=True)

    def edit(self, letter: Letter) -> None:
        raise AssertionError("nothing to edit")


def test_a_sink_without_read_back_is_tried_again(store: StateStore, tmp_path: Path, clock: Clock) -> None:
    dead: Sink = DeadSink()
    run_day(store, [make_break()])
    for _ in range(2):
        assert statuses(deliver_pending(store, dead, now=clock.pass_seconds(1))) == ["waiting"]
    assert statuses(deliver_pending(store, FolderSink(tmp_path), now=clock.pass_seconds(1))) == ["sent"]
