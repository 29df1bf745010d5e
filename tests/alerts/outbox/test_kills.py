"""kill -9 across the send path: whatever the moment, Slack ends with every message once and in order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.alerts.outbox.letters import open_store, run_day
from tests.alerts.stories import make_break, make_chart, unit_cost
from tests.servers.slack import SlackServer, serve
from warehouse.state import StateStore

HISTORY_DELAY = 0.15
VISIBLE_AFTER = 5.0  # by the senders' clock, which the tests move


class Sender:
    """The process of `sender.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.alerts.outbox.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(self, order: dict[str, object]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        return int(self._read())

    def join(self) -> None:
        assert self._read() == "gone"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def stop(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@pytest.fixture(scope="module")
def sender() -> Iterator[Sender]:
    sender = Sender()
    yield sender
    sender.stop()


class World:
    """A store, a Slack, and senders that come and go."""

    def __init__(self, folder: Path, slack: SlackServer, sender: Sender) -> None:
        self.store: StateStore = open_store(folder)
        self.slack = slack
        self._sender = sender
        self._order: dict[str, object] = {
            "store": f"sqlite:///{folder / 'state.sqlite'}",
            "base_url": slack.base_url,
            "visible_after_seconds": VISIBLE_AFTER,
        }
        self._ahead_seconds = 0.0

    def start(self, *, kill_after_seconds: float | None = None) -> int:
        return self._sender.start(
            {**self._order, "ahead_seconds": self._ahead_seconds, "kill_after_seconds": kill_after_seconds}
        )

    def join(self) -> None:
        self._sender.join()

    def deliver(self) -> None:
        self.start()
        self.join()

    def settle(self) -> None:
        """Slack has done what it was asked and shows it, and the senders' clock knows that it must."""
        while self.slack.active:
            time.sleep(0.005)
        time.sleep(HISTORY_DELAY)
        self._ahead_seconds += VISIBLE_AFTER

    def finish(self) -> None:
        for _ in range(30):
            self.deliver()
            if not self.store.pending():
                return
            self.settle()
        raise AssertionError([(row["key"], row["status"], row["error"]) for row in self.store.pending()])

    def assert_each_once(self, messages: int) -> None:
        keys = self.slack.keys()
        assert len(keys) == len(set(keys)) == messages
        for parent in [message for message in self.slack.posts() if "thread_ts" not in message]:
            thread = [parent, *self.slack.thread(parent)]
            revisions = [int(message["metadata"]["event_payload"]["key"].split("/")[1]) for message in thread]
            assert revisions == list(range(1, len(revisions) + 1))


@contextmanager
def world(folder: Path, sender: Sender) -> Iterator[World]:
    with serve() as slack:
        slack.add_channel("support-ai")
        slack.history_delay_seconds = HISTORY_DELAY
        made = World(folder, slack, sender)
        yield made
        made.store.close()


@pytest.mark.parametrize("call", [1, 2, 3, 5])
@pytest.mark.parametrize("is_stored", [False, True])
def test_killed_before_and_after_slack_has_it(tmp_path: Path, sender: Sender, call: int, is_stored: bool) -> None:
    """The n-th call reaches Slack; the sender dies before Slack does it, or before it answers."""
    with world(tmp_path, sender) as here:
        # Two incidents, one with two replies: four messages, the calls being
        # post, post, post, history (for the card's picture), update, post, history, update.
        run_day(here.store, [make_break(), unit_cost()])
        run_day(here.store, [make_break(excess_usd_per_day=Decimal("530.00")), unit_cost()])
        run_day(here.store, [unit_cost()])
        answer, pid_is_known, victims = here.slack.answer, threading.Event(), [0]

        def answer_and_kill(method: str, arguments: dict[str, object], token: str | None) -> dict[str, object]:
            is_the_one = len(here.slack.calls) + 1 == call and not killed.is_set()
            if is_the_one:
                pid_is_known.wait()
                killed.set()
                if not is_stored:
                    os.kill(victims[0], signal.SIGKILL)
                    return {"ok": False, "error": "the caller is gone"}
            done = answer(method, arguments, token)
            if is_the_one:
                os.kill(victims[0], signal.SIGKILL)
            return done

        killed = threading.Event()
        here.slack.answer = answer_and_kill  # type: ignore[method-assign]
        victims[0] = here.start()
        pid_is_known.set()
        here.join()
        assert killed.is_set()
        here.finish()
        here.assert_each_once(4)


def kill_at_random(folder: Path, sender: Sender, kills: int, seed: int) -> int:
    """Kill `kills` senders, each somewhere on its way; the number of messages that Slack got."""
    rng = random.Random(seed)
    with world(folder, sender) as here:
        here.slack.latency_seconds = 0.01
        run_day(here.store, [make_break(chart=make_chart()), unit_cost()])
        started = time.monotonic()
        here.deliver()
        way = time.monotonic() - started  # of two messages on this machine, as busy as it is
        for kill in range(kills):
            if not here.store.pending():
                node = f"feature_{kill}"
                run_day(here.store, [make_break(node=node, chart=make_chart() if kill % 2 else None)])
                run_day(here.store, [make_break(node=node, excess_usd_per_day=Decimal("530.00"))])
            here.start(kill_after_seconds=rng.uniform(0, 1.3 * way))
            here.join()
            if rng.random() < 0.5:
                here.settle()
        here.finish()
        messages = len(here.store.outbox())
        here.assert_each_once(messages)
        return messages


def test_ten_kills_at_random_moments(tmp_path: Path, sender: Sender) -> None:
    assert kill_at_random(tmp_path, sender, 10, seed=1) >= 4


@pytest.mark.faults
def test_a_hundred_kills_at_random_moments(tmp_path: Path, sender: Sender) -> None:
    assert kill_at_random(tmp_path, sender, 100, seed=2) >= 10
