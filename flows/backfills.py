"""Past days, asked for again: month by month, each month recorded as soon as it is in.

    plan (which months of which sources) ─ recorded ─▶ per month: fetch, load, record ─▶ once: build … report

The warehouse's lock is held for one month at a time, so that the daily run comes through in between.
What is killed goes on where it was: the same command finds the unfinished backfill and skips what is in.
"""

from __future__ import annotations

import getpass
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from connectors.base import FetchPrice, Priced, Window
from connectors.errors import ConnectorError
from connectors.registry import connector_class
from flows.errors import BackfillFailed, FlowError, SettingsError
from flows.report.figures import plural
from flows.run import Run, open_run
from flows.settings import Settings, SourceSettings, connect_source
from flows.steps import ingest
from flows.steps.direct import execute
from flows.steps.order import finish_steps
from flows.summary import RunSummary, summarise

if TYPE_CHECKING:
    from connectors.base import DeliveryRef
    from warehouse.state import StateStore

LOCK_WAIT_SECONDS = 3600.0  # a daily run that is on comes first
EARLIEST = date(2000, 1, 1)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Backfill:
    """Half-open `window`; `source` None means all. `backfill_id` is its key in ops.backfills."""

    backfill_id: str
    window: Window
    source: str | None
    reason: str
    who: str
    started_at: datetime
    is_resumed: bool = False


@dataclass(frozen=True)
class PlannedWindow:
    """What one source offers for one month: deliveries, those that are in already, and the price of the others."""

    source_name: str
    window: Window
    deliveries: int
    loaded: int
    prices: tuple[FetchPrice, ...] = ()
    failure: str = ""

    @property
    def usd(self) -> Decimal:
        return sum((price.usd for price in self.prices), Decimal(0))


def month_windows(window: Window) -> list[Window]:
    """`window` cut at the first day of each month, oldest first."""
    parts, start = [], window.start
    while start < window.end:
        following = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
        parts.append(Window(start, min(following, window.end)))
        start = following
    return parts


def check_days(first: date, last: date, *, as_of: date) -> Window:
    """`first` to `last`, both inclusive, as a window. Raises FlowError where it cannot be asked for."""
    if last < first:
        raise FlowError(f"--until {last} is before --since {first}")
    if first < EARLIEST:
        raise FlowError(f"--since {first} is before {EARLIEST}: no source goes back so far")
    if last >= as_of:
        raise FlowError(
            f"--until {last} is not over yet — use --until {as_of - timedelta(days=1)} or earlier; "
            "`trendbreak run` reads the present"
        )
    return Window(first, last + timedelta(days=1))


def run_backfill(
    settings: Settings,
    *,
    first: date,
    last: date,
    reason: str,
    source: str | None = None,
    as_of: date | None = None,
    now: datetime | None = None,
    say: Say,
) -> RunSummary:
    """Load every month of every source, then build, forecast, detect, publish and deliver once.

    A backfill of the same days and source that did not finish is taken up again. Raises BackfillFailed, after
    everything else is done, when a month could not be read: the same call tries just these again.
    """
    if not reason.strip():
        raise FlowError("--reason is empty: ops.backfills keeps why past days were read again")
    now = now or datetime.now(UTC)
    window = check_days(first, last, as_of=as_of or now.date())
    sources = _sources(settings, source)
    state = _open_state(settings)
    backfill = _begin(state, window, source, reason.strip(), now)
    windows = _record_plan(state, backfill, sources)
    waiting = [row for row in windows if row["status"] != "loaded"]
    again = f", taken up again: {len(windows) - len(waiting)} of {len(windows)} are in" if backfill.is_resumed else ""
    days = f"{window.start} to {window.end - timedelta(days=1)}"
    what = f"{plural(len(sources), 'source')}, {plural(len(windows), 'window')}"
    say(f"backfill {backfill.backfill_id}: {days}, {what}{again}")
    started = time.monotonic()
    by_name = {one.name: one for one in sources}
    for done, row in enumerate(waiting, 1):
        part = Window(row["window_start"], row["window_end"])
        is_last = part.end == window.end
        outcome = _load_window(settings, by_name[row["source_name"]], part, as_of=as_of, is_last=is_last)
        state.save_backfill_windows([{**row, **outcome}])
        say(_progress_line(row, outcome, done, len(waiting), time.monotonic() - started))
    with open_run(settings, as_of=as_of, only_source=source, wait_seconds=LOCK_WAIT_SECONDS) as run:
        finish_steps(run, execute)
        summary = summarise(run)
    rows = state.list_backfill_windows(backfill.backfill_id)
    failed = [row for row in rows if row["status"] == "failed"]
    _save(state, backfill, "failed" if failed else "completed", finished_at=datetime.now(UTC))
    if failed:
        raise BackfillFailed(
            {f"{row['source_name']} {row['window_start']:%Y-%m}": row["error"] or "" for row in failed}, summary
        )
    return summary


def plan_backfill(
    settings: Settings, *, first: date, last: date, source: str | None = None, as_of: date | None = None
) -> Iterator[PlannedWindow]:
    """What a backfill would fetch and what that costs; nothing is fetched or written."""
    from warehouse.reads import open_snapshot, read_loaded_identities

    window = check_days(first, last, as_of=as_of or datetime.now(UTC).date())
    sources = _sources(settings, source)
    loaded: set[tuple[str, str, str]] = set()
    published = settings.home / "published" / "trendbreak.duckdb"
    if published.exists():
        with open_snapshot(published) as snapshot:
            loaded = read_loaded_identities(snapshot)
    for one in sources:
        for part in month_windows(window):
            yield _plan_window(settings, one, part, loaded, is_last=part.end == window.end)


def _plan_window(
    settings: Settings, source: SourceSettings, part: Window, loaded: set[tuple[str, str, str]], *, is_last: bool
) -> PlannedWindow:
    import os

    try:
        connector = connect_source(source, os.environ, home=settings.home)
        is_telemetry = connector.kind == "telemetry"
        offered = connector.discover(part)
        refs = [ref for ref in offered if speaks_for(ref, part, is_last=is_last, is_telemetry=is_telemetry)]
        new = [ref for ref in refs if ref.identity is None or (source.name, ref.scope, ref.identity) not in loaded]
        prices = tuple(connector.price(ref) for ref in new) if isinstance(connector, Priced) else ()
    except (ConnectorError, SettingsError) as error:
        return PlannedWindow(source.name, part, 0, 0, failure=str(error))
    return PlannedWindow(source.name, part, len(refs), len(refs) - len(new), prices)


def speaks_for(ref: DeliveryRef, part: Window, *, is_last: bool, is_telemetry: bool = False) -> bool:
    """Whether a delivery belongs to this month of the backfill.

    A source may offer later deliveries for the same days (what is exported today speaks of yesterday): those
    belong to the later months, and after the last one to the last. A file of telemetry says only when it is read of
    which days it speaks, and is offered for any: it belongs to the last month, so that it is read once and counts as
    spoken for up to the backfill's end.
    """
    if is_telemetry and ref.replaces == "scope":
        return is_last
    return part.start < ref.window.end and (is_last or ref.window.start < part.end)


def _load_window(
    settings: Settings, source: SourceSettings, part: Window, *, as_of: date | None, is_last: bool
) -> dict[str, Any]:
    """Fetch and load one month of one source; the columns of its row in ops.backfill_windows."""
    from warehouse.errors import WarehouseError

    with open_run(settings, as_of=as_of, only_source=source.name, wait_seconds=LOCK_WAIT_SECONDS) as run:
        try:
            ingest.sweep(run)
            is_telemetry = connector_class(source.type).kind == "telemetry"
            wants = partial(speaks_for, part=part, is_last=is_last, is_telemetry=is_telemetry)
            with run.warehouse.turn(f"source {source.name}"):
                landed = ingest.fetch_source(run, source, part, wants=wants)
                ingest.load_source(run, source, landed)
        except (ConnectorError, WarehouseError, SettingsError) as error:
            run.fail(source.name, str(error))
        return _outcome(run, source.name)


def _outcome(run: Run, name: str) -> dict[str, Any]:
    loads = [load for load in run.loads.get(name, []) if load.was_loaded]
    failure = run.failures.get(name)
    return {
        "status": "failed" if failure else "loaded",
        "finished_at": run.present(),
        "deliveries": len(loads),
        "source_rows": sum(load.source_rows for load in loads),
        "restated_days": sum(load.restatements for load in loads),
        "error": failure,
    }


def _progress_line(row: dict[str, Any], outcome: dict[str, Any], done: int, of: int, seconds: float) -> str:
    left = seconds / done * (of - done)
    loads = "1 delivery" if outcome["deliveries"] == 1 else f"{outcome['deliveries']} deliveries"
    what = outcome["error"] or f"{loads}, {outcome['source_rows']:,} rows" + (
        f", {plural(outcome['restated_days'], 'past day')} restated" if outcome["restated_days"] else ""
    )
    remaining = f", about {_duration(left)} left" if done < of else ""
    return f"{row['window_start']:%Y-%m} {row['source_name']}: {what} ({done} of {of}{remaining})"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _sources(settings: Settings, name: str | None) -> tuple[SourceSettings, ...]:
    sources = (settings.source(name),) if name else settings.sources
    if not sources:
        raise FlowError("no source is configured — `sources` in trendbreak.yml is empty")
    return sources


def _open_state(settings: Settings) -> StateStore:
    from warehouse.state import StateStore

    state = StateStore(settings.state_url)
    state.create()
    return state


def _begin(state: StateStore, window: Window, source: str | None, reason: str, now: datetime) -> Backfill:
    """The unfinished backfill of these days and this source, else a new one."""
    last = window.end - timedelta(days=1)
    for row in reversed(state.list_backfills()):
        if row["status"] != "completed" and (row["first_day"], row["last_day"], row["source"]) == (
            window.start, last, source,
        ):  # fmt: skip
            known = Backfill(
                row["backfill_id"], window, source, row["reason"], row["who"], row["started_at"], is_resumed=True
            )
            _save(state, known, "running", finished_at=None)
            return known
    made = Backfill(f"bf-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", window, source, reason, getpass.getuser(), now)
    _save(state, made, "running", finished_at=None)
    return made


def _save(state: StateStore, backfill: Backfill, status: str, *, finished_at: datetime | None) -> None:
    state.save_backfill(
        {
            "backfill_id": backfill.backfill_id,
            "first_day": backfill.window.start,
            "last_day": backfill.window.end - timedelta(days=1),
            "source": backfill.source,
            "reason": backfill.reason,
            "who": backfill.who,
            "started_at": backfill.started_at,
            "finished_at": finished_at,
            "status": status,
        }
    )


def _record_plan(state: StateStore, backfill: Backfill, sources: tuple[SourceSettings, ...]) -> list[dict[str, Any]]:
    """Every window's row; those that are recorded already keep what is known of them."""
    known = {
        (row["source_name"], row["window_start"]): row for row in state.list_backfill_windows(backfill.backfill_id)
    }
    rows = [
        known.get((source.name, part.start))
        or {
            "backfill_id": backfill.backfill_id,
            "source_name": source.name,
            "window_start": part.start,
            "window_end": part.end,
            "status": "waiting",
        }
        for part in month_windows(backfill.window)
        for source in sources
    ]
    state.save_backfill_windows(row for row in rows if row["status"] == "waiting")
    return rows
