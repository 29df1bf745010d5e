"""`trendbreak status`: sources and how late they are, the last runs, coverage, open incidents, waiting messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.commands.terminal import clean, shown_path
from flows.report import figures
from flows.report.data import Coverage, IncidentRow, WatchRow, group_watches
from flows.run import Home
from flows.settings import Settings

RUNS_SHOWN = 3


def show_status(settings: Settings, console: Console, *, now: datetime) -> bool:
    """Print it; True when every configured source is in and not late, the last run went well, and no message waits but
    for the end of the quiet hours or for the daily limit."""
    from alerts.holding import find_held
    from alerts.incidents import incident_from_row
    from flows.report.fill import build_report, is_late, list_watches
    from flows.steps.delivery import describe_held, posting_rules
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
    incidents = {row["id"]: incident_from_row(row) for row in state.list_incidents()}
    held = find_held(state.outbox(), incidents, posting_rules(settings), now=now)
    waiting = [letter for letter in state.pending() if letter["incident_id"] not in held]
    runs = state.list_runs()[-RUNS_SHOWN:]
    missing = [source.name for source in settings.sources if source.name not in freshness]
    late = [freshness[source.name] for source in settings.sources if is_late(freshness.get(source.name, _NOT_IN))]
    _say(console, f"published {published_at:%Y-%m-%d %H:%M} UTC: {shown_path(home.published)}")
    console.print(Text("\nSources", style="bold"))
    console.print(_sources(settings, freshness))
    for line in _telemetry(issues):
        _say(console, line)
    for name in missing:
        _say(console, f"{name}: nothing loaded yet — `trendbreak check` says why", style="yellow")
    for row in late:
        _say(console, _late_line(row, today), style="yellow")
    if late:
        _say(console, "`trendbreak run` fetches, `trendbreak check` says what is wrong", style="yellow")
    breaks: tuple[IncidentRow, ...] = ()
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
            _section(console, "Where the dollars are", f"30 days to {figures.day(reported['data_through'])}")
            console.print(_coverage(report.coverage))
        breaks = report.by_severity()
    _show_incidents(console, breaks, list_watches(incidents.values()))
    _section(console, "Last runs")
    for run in reversed(runs):
        _say(console, f"  {_run_line(run)}", style="" if run["status"] == "completed" else "yellow")
    for line in describe_held(held.values()):
        _say(console, line)
    for letter in waiting:
        reason = letter["error"] or "nobody has said yet whether it arrived; `trendbreak run` asks, and sends it if not"
        title = letter["payload"]["message"]["title"]
        _say(console, f"not delivered to {letter['channel']}: {title} — {reason}", style="red")
    failed = bool(runs) and runs[-1]["status"] not in ("completed", "running")
    return not (missing or late or waiting or failed)


def _say(console: Console, text: str, style: str = "") -> None:
    # Never wrapped: what is copied stays whole.
    console.print(Text(clean(text), style=style), soft_wrap=True)


def _section(console: Console, title: str, note: str = "") -> None:
    console.print(Text.assemble((f"\n{title}", "bold"), (f"  {note}" if note else "", "dim")))


def _show_incidents(console: Console, breaks: Iterable[IncidentRow], watches: Iterable[WatchRow]) -> None:
    """Every open incident, by kind."""
    groups = [("Breaks of trends", [(row.severity, row.title, row.onset) for row in breaks])]
    for heading, rows in group_watches(watches):
        groups.append((heading, [(row.severity, row.title, row.since) for row in rows]))
    total = sum(len(lines) for _, lines in groups)
    _section(console, "Open incidents", str(total) if total else "none")
    for heading, lines in groups:
        if lines:
            _say(console, f"  {heading}", style="dim")
        for severity, title, since in lines:
            _say(console, f"    {severity:<8}{title}, since {figures.day(since)}")


_NOT_IN: Mapping[str, Any] = {"days_late": None}


def _late_line(row: Mapping[str, Any], today: date) -> str:
    since = (today - row["last_fetched_at"].date()).days
    fetched = "last fetched today" if since <= 0 else f"last fetched {figures.plural(since, 'day')} ago"
    return (
        f"{row['source_name']}: {figures.plural(row['days_late'], 'day')} late; its newest day is "
        f"{row['data_through']}, {fetched}"
    )


def _coverage(coverage: Coverage) -> Table:
    owned, rest = coverage.allocated_usd, coverage.unallocated_usd
    share = f"{figures.percent(owned / (owned + rest))} of what is spent on AI" if owned + rest > 0 else ""
    unclassified = coverage.unclassified_usd or Decimal(0)
    rows = (
        ("features", owned, share),
        ("no feature yet", rest, "`trendbreak query unallocated` lists it" if rest > 0 else ""),
        ("shared pools", coverage.shared_usd, ""),
        ("not AI", coverage.not_ai_usd, ""),
        ("unclassified", unclassified, "looks like AI, of no known kind" if unclassified > 0 else ""),
    )
    grid = Table.grid(padding=(0, 2), pad_edge=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim", overflow="fold")
    for label, amount_usd, note in rows:
        grid.add_row(Text(label), Text(figures.usd(amount_usd)), Text(note))
    return grid


def _run_line(run: Mapping[str, Any]) -> str:
    ended = run["finished_at"] or run["started_at"]
    line = f"run {run['started_at']:%Y-%m-%d %H:%M} UTC: {run['status']}"
    if run["finished_at"] is not None:
        line += f", {(ended - run['started_at']).total_seconds():.0f} s"
    failures = (run["details"] or {}).get("failures") or {}
    return f"{line}; failed: {', '.join(sorted(failures))}" if failures else line


def _sources(settings: Settings, freshness: Mapping[str, Mapping[str, Any]]) -> Table:
    from flows.report.fill import late_note

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in ("source", "type", "newest day", "settled", "last fetched", "state"):
        table.add_column(column, overflow="fold")
    for source in settings.sources:
        row = freshness.get(source.name, {})
        fetched = row.get("last_fetched_at")
        cells = (
            source.name,
            source.type,
            row.get("data_through"),
            row.get("settled_through"),
            f"{figures.day(fetched)} {fetched:%H:%M}" if fetched else None,
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
