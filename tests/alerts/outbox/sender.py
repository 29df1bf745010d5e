"""A process that delivers, again and again, to be killed in the middle.

It imports once and forks for every line on its standard input, so that a hundred kills do not cost a hundred
imports. A line is JSON: store (URL), base_url, visible_after_seconds, ahead_seconds (how far its clock is ahead),
kill_after_seconds (null: it may live). It prints the child's pid, and `gone` when the child is. The child does one
pass over the outbox.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

from alerts.chart import draw
from alerts.outbox import deliver_pending
from alerts.slack import SlackSink
from tests.alerts.stories import make_chart
from tests.servers.slack import TOKEN
from warehouse.state import StateStore


def main() -> None:
    draw(make_chart(), title="", onset=None)  # matplotlib is loaded once, not in every child
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            sink = SlackSink(TOKEN, base_url=order["base_url"], visible_after_seconds=order["visible_after_seconds"])
            now = datetime.now(UTC) + timedelta(seconds=order["ahead_seconds"])
            deliver_pending(StateStore(order["store"]), sink, now=now)
            os._exit(0)
        print(child, flush=True)
        if order["kill_after_seconds"] is not None:
            time.sleep(order["kill_after_seconds"])
            os.kill(child, signal.SIGKILL)  # not waited for yet, so the pid is still the child's
        os.waitpid(child, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
