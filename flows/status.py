"""`trendbreak status`: sources, how far they are, coverage, unclassified dollars, open incidents, waiting messages."""

from __future__ import annotations

from decimal import Decimal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.report import figures
from flows.run import Home
from flows.settings import Settings


def show_status(settings: Settings, console: Console) -> bool:
    """Print it; True when every configured source is in and no message waits."""
    from flows.report.fill import build_report
    from warehouse.reads import open_snapshot, read_freshness, read_published_at
    from warehouse.state import StateStore

    home = Home(settings.home)
    with open_snapshot(home.published) as snapshot:
        published_at = read_published_at(snapshot)
        freshness = {row["source_name"]: row for row in read_freshness(snapshot)}
    state = StateStore(settings.state_url)
    waiting = state.pending()
    settled = [row["settled_through"] for row in freshness.values() if row["settled_through"]]
    console.print(Text(f"published {published_at:%Y-%m-%d %H:%M} UTC: {home.published}"))
    console.print(_sources(settings, freshness))
    missing = [source.name for source in settings.sources if source.name not in freshness]
    if settled:
        report = build_report(
            home.published,
            state,
            organization=settings.organization,
            as_of=published_at.date(),
            generated_at=published_at,
            through=max(settled),
        )
        if report.coverage is not None:
            console.print(
                Text(
                    f"last 30 days: {figures.usd(report.coverage.allocated_usd)} belong to features, "
                    f"{figures.usd(report.coverage.unallocated_usd)} to none; "
                    f"{figures.usd(report.coverage.unclassified_usd or Decimal(0))} look like AI and are unclassified"
                )
            )
        console.print(Text(figures.plural(len(report.incidents), "open incident")))
        for incident in report.by_severity():
            console.print(Text(f"  [{incident.severity}] {incident.title}"))
    for letter in waiting:
        reason = f": {letter['error']}" if letter["error"] else ""
        console.print(Text(f"waits to be sent to {letter['channel']}{reason}", style="yellow"))
    for name in missing:
        console.print(Text(f"{name}: nothing loaded yet — `trendbreak check` says why", style="yellow"))
    return not missing and not waiting


def _sources(settings: Settings, freshness: dict[str, dict[str, object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("source", "type", "newest day", "settled through", "last fetched"):
        table.add_column(column)
    for source in settings.sources:
        row = freshness.get(source.name, {})
        newest = row.get("last_charge_date") or row.get("delivered_through")
        fetched = row.get("last_fetched_at")
        cells = (
            source.name,
            source.type,
            newest,
            row.get("settled_through"),
            f"{fetched:%Y-%m-%d %H:%M}" if fetched else None,
        )
        table.add_row(*(Text("–" if cell is None else str(cell)) for cell in cells))
    return table
