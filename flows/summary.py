"""What a run did, as plain data: for the terminal, for Prefect's artifact, and for `ops.runs`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

from rich.console import Console
from rich.text import Text

from flows.commands.terminal import clean, shown_path
from flows.logs import log_event
from flows.report import figures
from flows.run import Home, Run
from flows.serving.metrics import write_metrics


@dataclass(frozen=True)
class SourceLine:
    """What one source brought: deliveries that changed something, rows of the bill, restated days."""

    name: str
    deliveries: int
    source_rows: int
    restated_days: int
    failure: str = ""


@dataclass(frozen=True)
class RunSummary:
    """Money is US dollars. `told` are (severity, title, sink status) of the messages of this run, and of those of
    earlier runs that this one had still to deliver."""

    run_id: str
    as_of: date
    data_through: date | None
    sources: tuple[SourceLine, ...]
    failures: dict[str, str]
    notes: tuple[str, ...]
    notices: tuple[str, ...]
    features: int
    breaks: int
    told: tuple[tuple[str, str, str], ...]
    undelivered: tuple[str, ...]  # messages that are not where they belong, each with the cure
    seconds: dict[str, float]
    home: Home


def summarise(run: Run) -> RunSummary:
    """The run in a few lines, and its row in the state store."""
    delivered = {one.key: one for one in run.delivered}  # of several tries the last
    own = {message.idempotency_key for message in run.messages}
    told = [
        (m.severity, m.title, delivered[m.idempotency_key].status if m.idempotency_key in delivered else "waiting")
        for m in run.messages
    ]
    told += [
        (one.severity, one.title, f"{one.status}, {_whence(one.channel)}")
        for key, one in delivered.items()
        if key not in own
    ]
    summary = RunSummary(
        run_id=run.run_id,
        as_of=run.as_of,
        data_through=run.data_through,
        sources=tuple(_source_line(run, source.name) for source in run.sources),
        failures=dict(run.failures),
        notes=tuple(dict.fromkeys(run.notes)),
        notices=tuple(dict.fromkeys(run.notices)),
        features=len(run.features.features.keys() & set(run.panel.features)) if run.panel else 0,
        breaks=len(run.breaks),
        told=tuple(told),
        undelivered=list_undelivered(run),
        seconds=dict(run.seconds),
        home=run.home,
    )
    record_run(run)
    _log(summary)
    try:
        write_metrics(run.home, run.state)
    except OSError as error:
        # What watches the run must not fail it; the gap shows in the monitoring itself.
        log_event("metrics not written", level=logging.ERROR, run=run.run_id, error=str(error))
    return summary


def _whence(channel: str) -> str:
    from alerts.outbox import WEBHOOK

    return "to the webhook" if channel == WEBHOOK else "of an earlier run"


def list_undelivered(run: Run) -> tuple[str, ...]:
    """What the last try of this run could not deliver: title, reason, cure."""
    words = {"waiting": "waits", "failed": "refused by"}
    return tuple(
        f"{one.title}: {words[one.status]} {one.sink + ' — ' if one.status == 'failed' else '— '}{one.detail}"
        for one in {one.key: one for one in run.delivered}.values()
        if one.status in words
    )


def record_run(run: Run, *, status: str | None = None) -> None:
    """The run's row in the state store, as far as it has come. `status`: default by what failed so far."""
    undelivered = list_undelivered(run)
    run.state.save_run(
        {
            "run_id": run.run_id,
            "as_of": run.as_of,
            "started_at": run.now,
            "finished_at": run.present(),
            "status": status or ("failed" if run.failures or undelivered else "completed"),
            "details": {
                "failures": dict(run.failures),
                "undelivered": list(undelivered),
                "seconds": dict(run.seconds),
                "breaks": len(run.breaks),
                "sources": [source.name for source in run.sources],
            },
        }
    )


def _log(summary: RunSummary) -> None:
    """What the terminal shows, as events."""
    run = summary.run_id
    for line in summary.sources:
        log_event(
            "source failed" if line.failure else "source read",
            level=logging.ERROR if line.failure else logging.INFO,
            run=run,
            source=line.name,
            deliveries=line.deliveries,
            rows=line.source_rows,
            restated_days=line.restated_days,
            **({"error": line.failure} if line.failure else {}),
        )
    for notice in summary.notices:
        log_event("notice", level=logging.WARNING, run=run, text=notice)
    for severity, title, status in summary.told:
        log_event("message", run=run, severity=severity, title=title, status=status)
    log_event(
        "run done",
        run=run,
        status="failed" if summary.failures or summary.undelivered else "completed",
        as_of=summary.as_of,
        data_through=summary.data_through,
        features=summary.features,
        breaks=summary.breaks,
        seconds=round(sum(summary.seconds.values()), 3),
    )


def _source_line(run: Run, name: str) -> SourceLine:
    loads = [load for load in run.loads.get(name, []) if load.was_loaded and load.is_news]
    return SourceLine(
        name=name,
        deliveries=len(loads),
        source_rows=sum(load.source_rows for load in loads),
        restated_days=sum(load.restatements for load in loads),
        failure=run.failures.get(name, ""),
    )


def show_summary(summary: RunSummary, console: Console) -> None:
    """A few lines on the terminal; nothing from outside is read as markup."""
    for line in summary.sources:
        if line.failure:
            continue
        plural = "y" if line.deliveries == 1 else "ies"
        news = (
            f"{line.deliveries} new deliver{plural}, {line.source_rows:,} row{'s' if line.source_rows != 1 else ''}"
            if line.deliveries
            else "nothing new"
        )
        restated = f", {figures.plural(line.restated_days, 'past day')} restated" if line.restated_days else ""
        console.print(Text(f"{line.name}: {news}{restated}"), soft_wrap=True)
    for note in summary.notes:
        console.print(Text(f"  {clean(note)}", style="dim"), soft_wrap=True)
    for notice in summary.notices:
        console.print(Text(clean(notice), style="yellow"), soft_wrap=True)
    through = f"settled data through {summary.data_through}" if summary.data_through else "no settled data yet"
    console.print(
        Text(
            f"{through}; {figures.plural(summary.features, 'feature')}; {figures.plural(summary.breaks, 'break')}; "
            f"{figures.plural(len(summary.told), 'message')}"
        )
    )
    for severity, title, status in summary.told:
        console.print(Text(clean(f"  [{severity}] {title} ({status})")), soft_wrap=True)
    console.print(Text(f"published: {shown_path(summary.home.published)}"), soft_wrap=True)
    if summary.data_through is not None:
        console.print(Text(f"report: {shown_path(summary.home.report)}"), soft_wrap=True)


def summary_markdown(summary: RunSummary) -> str:
    """The same for Prefect's artifact."""
    lines = [
        f"# Daily run of {summary.as_of}",
        f"Settled data through **{summary.data_through or '–'}**, {summary.features} features, "
        f"{summary.breaks} breaks, {len(summary.told)} messages.",
        "",
        "| source | deliveries | rows | restated days | failure |",
        "|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {_cell(line.name)} | {line.deliveries} | {line.source_rows} | {line.restated_days} "
        f"| {_cell(line.failure)} |"
        for line in summary.sources
    ]
    lines += ["", "| severity | message | delivery |", "|---|---|---|"]
    lines += [f"| {severity} | {_cell(title)} | {status} |" for severity, title, status in summary.told]
    lines += ["", *(f"- {_cell(text)}" for text in (*summary.notices, *summary.notes))]
    return "\n".join(lines)


def _cell(text: Any) -> str:
    """Text from bills must not break out of its table cell, nor become a link or HTML."""
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return "".join(f"\\{character}" if character in "\\`*_[]|" else character for character in escaped)
