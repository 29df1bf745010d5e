"""`trendbreak close`: a month's figures stay as they are; what changes of them later is booked where it is found."""

from __future__ import annotations

from datetime import UTC, date, datetime

from rich.console import Console
from rich.text import Text

from flows.errors import FlowError
from flows.report import figures
from flows.run import open_run
from flows.settings import Settings
from warehouse.features import POOL_PREFIX, UNALLOCATED


def read_month(text: str) -> date:
    """`2026-10` → its first day. Raises FlowError for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise FlowError(f"{text!r} is no month — write it as 2026-10") from None


def close_month(settings: Settings, month: date, console: Console, *, force: bool, now: datetime | None = None) -> None:
    """Build, keep what the month says, build again with it kept, and publish."""
    from flows.steps import build
    from warehouse.books import BooksError, check_closable, freeze_month

    with open_run(settings, now=now) as run, run.warehouse.turn("build"):
        if month >= run.as_of.replace(day=1):
            raise BooksError("is not over yet", where=f"{month:%Y-%m}", cure="close a month after its last day")
        build.build_warehouse(run)
        con = run.warehouse.con
        check_closable(con, month, force=force)
        costs = freeze_month(con, month)
        run.state.close_month({"month": month, "closed_at": run.now, "who": run.who}, costs)
        build.build_warehouse(run)
        build.publish_snapshot(run)
    total_usd = sum((row["effective_cost_usd"] for row in costs), start=type(costs[0]["effective_cost_usd"])(0))
    pools = {row["feature"] for row in costs if row["feature"].startswith(POOL_PREFIX)}
    names = {row["feature"] for row in costs} - pools - {UNALLOCATED}
    whose = [figures.plural(len(names), "feature"), *([figures.plural(len(pools), "shared pool")] if pools else [])]
    console.print(
        Text(
            f"closed {month:%Y-%m}: {' and '.join(whose)}, {total_usd:,.2f} US dollars "
            "effective cost; later changes are booked in the open month: `trendbreak query corrections`"
        )
    )


def list_closed(settings: Settings, console: Console) -> None:
    """The months that are closed, and how many changes of each were booked since."""
    from warehouse.state import StateStore

    state = StateStore(settings.state_url)
    state.create()
    months = state.list_closed_months()
    corrections = state.list_corrections()
    for row in months:
        booked = sum(one["closed_month"] == row["month"] for one in corrections)
        console.print(
            Text(
                f"{row['month']:%Y-%m} closed {row['closed_at']:%Y-%m-%d %H:%M} UTC by {row['who']}; "
                f"{figures.plural(booked, 'correction')}"
            )
        )
    if not months:
        console.print(Text("no month is closed yet — `trendbreak close 2026-10` closes one"))
