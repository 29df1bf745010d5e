"""`trendbreak status`: sources and how late they are, the last runs, coverage, open incidents, waiting messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.report import figures
from flows.run import Home
from flows.settings import Settings

RUNS_SHOWN = 3


def show_status(settings: Settings, console: Console, *, now: datetime) -> bool:
    """Print it; True when every configured source is in and not late, the last run went well, and no message waits."""
    from flows.report.fill import build_report, is_late
    from warehouse.reads import open_snapshot, read_freshness, read_published_at, read_reported, read_telemetry_issues
    from warehouse.state import StateStore

    home = Home(settings.home)
    today = now.date()
    with open_snapshot(home.published) as snapshot:
        published_at = read_published_at(snapshot)
        freshness = {row["source_name"]: row for row in read_freshness(snapshot, as_of=today)}
        reported = read_reported(snapshot)
        issues = read_telemetry_issues(snapshot)
    state = StateStore(settings.state_url)
    waiting = state.pending()
    runs = state.list_runs()[-RUNS_SHOWN:]
    console.print(Text(f"published {published_at:%Y-%m-%d %H:%M} UTC: {home.published}"))
    console.print(_sources(settings, freshness))
    for line in _telemetry(issues):
        console.print(Text(line))
    if reported["data_through"] is not None:
        report = build_report(
            home.published,
            state,
            organization=settings.organization,
            as_of=reported["as_of"],
            generated_at=published_at,
            through=reported["data_through"],
        )
        if report.coverage is not None:
            console.print(Text(_coverage_line(report.coverage, through=reported["data_through"])))
        console.print(Text(figures.plural(len(report.incidents), "open incident")))
        for incident in report.by_severity():
            console.print(Text(f"  [{incident.severity}] {incident.title}"))
    for run in reversed(runs):
        console.print(Text(_run_line(run), style="" if run["status"] == "completed" else "yellow"))
    for letter in waiting:
        reason = letter["error"] or "nobody has said yet whether it arrived; `trendbreak run` asks, and sends it if not"
        title = letter["payload"]["message"]["title"]
        console.print(Text(f"not delivered to {letter['channel']}: {title} — {reason}", style="red"))
    missing = [source.name for source in settings.sources if source.name not in freshness]
    for name in missing:
        console.print(Text(f"{name}: nothing loaded yet — `trendbreak check` says why", style="yellow"))
    late = [freshness[source.name] for source in settings.sources if is_late(freshness.get(source.name, _NOT_IN))]
    for row in late:
        console.print(Text(_late_line(row, today), style="yellow"))
    failed = bool(runs) and runs[-1]["status"] not in ("completed", "running")
    return not (missing or late or waiting or failed)


_NOT_IN: Mapping[str, Any] = {"days_late": None}


def _late_line(row: Mapping[str, Any], today: date) -> str:
    since = (today - row["last_fetched_at"].date()).days
    fetched = "last fetched today" if since <= 0 else f"last fetched {figures.plural(since, 'day')} ago"
    return (
        f"{row['source_name']}: {figures.plural(row['days_late'], 'day')} late; its newest day is "
        f"{row['data_through']}, {fetched} — `trendbreak run` fetches, `trendbreak check` says what is wrong"
    )


def _coverage_line(coverage: Any, *, through: date) -> str:
    owned, rest = coverage.allocated_usd, coverage.unallocated_usd
    share = figures.percent(owned / (owned + rest)) if owned + rest > 0 else figures.UNKNOWN
    return (
        f"30 days to {through}: {figures.usd(owned)} on AI belong to features ({share}), {figures.usd(rest)} to none; "
        f"{figures.usd(coverage.shared_usd)} shared; {figures.usd(coverage.not_ai_usd)} are not AI; "
        f"{figures.usd(coverage.unclassified_usd or Decimal(0))} look like AI and are unclassified"
    )


def _run_line(run: Mapping[str, Any]) -> str:
    ended = run["finished_at"] or run["started_at"]
    line = f"run {run['started_at']:%Y-%m-%d %H:%M} UTC: {run['status']}"
    if run["finished_at"] is not None:
        line += f", {(ended - run['started_at']).total_seconds():.0f} s"
    failures = (run["details"] or {}).get("failures") or {}
    return f"{line}; failed: {', '.join(sorted(failures))}" if failures else line


def _sources(settings: Settings, freshness: Mapping[str, Mapping[str, Any]]) -> Table:
    from flows.report.fill import late_note

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("source", "type", "newest day", "settled through", "last fetched", "state"):
        table.add_column(column)
    for source in settings.sources:
        row = freshness.get(source.name, {})
        fetched = row.get("last_fetched_at")
        cells = (
            source.name,
            source.type,
            row.get("data_through"),
            row.get("settled_through"),
            f"{fetched:%Y-%m-%d %H:%M}" if fetched else None,
            (late_note(row) or "fresh") if row else "nothing loaded",
        )
        table.add_row(*(Text("–" if cell is None else str(cell)) for cell in cells))
    return table


def _telemetry(issues: list[dict[str, object]]) -> list[str]:
    """One line per telemetry source that has something wrong; `trendbreak query telemetry` has the rest."""
    found: dict[str, list[str]] = {}
    for row in issues:
        text = f"{str(row['issue']).replace('_', ' ')} {row['occurrences']:,} ({row['treatment']})"
        found.setdefault(str(row["source_name"]), []).append(text)
    return [f"telemetry {name}: {', '.join(texts)}; see `trendbreak query telemetry`" for name, texts in found.items()]
