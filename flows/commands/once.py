"""`trendbreak run`: one daily run with progress on the terminal, as a Prefect flow or directly."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.text import Text

from flows.commands.terminal import clean
from flows.errors import AlertsUndelivered, RunIncomplete, SourcesFailed
from flows.run import open_run, progress
from flows.serving import brief_server
from flows.settings import Settings
from flows.summary import RunSummary, summarise


class Progress:
    """One line per finished step, with its wall seconds since the line before; a failed one says why, in short."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.perf_counter()

    def __call__(self, label: str, failure: str) -> None:
        now = time.perf_counter()
        mark, style = ("✗", "bold red") if failure else ("✓", "green")
        line = Text.assemble("  ", (mark, style), f" {label:<28} ", (f"{now - self._last:6.1f} s", "dim"))
        if failure:
            # The whole reason follows after the run.
            first = clean(failure.strip().splitlines()[0])
            room = max(self._console.width - 4, 40)
            line.append("\n    " + (first if len(first) <= room else first[: room - 1] + "…"), style="red")
        self._console.print(line, soft_wrap=True)
        self._last = now


def execute(
    config: Path,
    settings: Settings,
    *,
    as_of: date | None,
    source: str | None,
    direct: bool,
    console: Console,
    hourly: bool = False,
) -> RunSummary:
    """Run the steps and return what they did; what failed is in the summary, not raised. `hourly`: those of the
    estimated lane, without Prefect."""
    with progress(Progress(console)):
        if hourly:
            from flows.steps.direct import execute as execute_directly
            from flows.steps.hourly import run_hours

            with open_run(settings, as_of=as_of, only_source=source) as run:
                run_hours(run, execute_directly)
                return summarise(run)
        if direct:
            from flows.steps.direct import run_direct

            with open_run(settings, as_of=as_of, only_source=source) as run:
                run_direct(run)
                return summarise(run)
        # What fails is in the summary, in one line; Prefect would log each with its traceback too.
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
        brief_server.check_named_server()
        server = brief_server.start(settings.home / "prefect")
        from flows.daily import daily

        if server is not None:
            server.wait_until_healthy()
        try:
            return daily(config=str(config), as_of=as_of, source=source)
        except RunIncomplete as error:
            return error.summary


def run_once(
    config: Path,
    settings: Settings,
    *,
    as_of: date | None,
    source: str | None,
    direct: bool,
    console: Console,
    hourly: bool = False,
) -> None:
    """Run, show what happened, and raise RunIncomplete when a source is not in or an alert is not out."""
    from flows.summary import show_summary

    summary = execute(config, settings, as_of=as_of, source=source, direct=direct, console=console, hourly=hourly)
    show_summary(summary, console)
    if summary.failures:
        raise SourcesFailed(summary.failures, summary)
    if summary.undelivered:
        raise AlertsUndelivered(summary)
