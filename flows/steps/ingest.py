"""Bring each source's news in: discover → fetch → land (fetch_source), parse → load (load_source)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.base import DropFolder, HourlyMeter, Restating, Window
from connectors.errors import ConnectorError, CredentialError, PermissionDenied, TransientError
from connectors.object_storage import ExportOptions
from connectors.registry import connector_class
from flows.run import Folder, Run
from flows.settings import SourceSettings
from flows.steps.threads import side_by_side

if TYPE_CHECKING:
    from connectors.base import Connector, DeliveryRef
    from warehouse.errors import WarehouseError
    from warehouse.landing import LandedDelivery
    from warehouse.load import LoadResult
    from warehouse.overlap import Neighbours
    from warehouse.terms import Terms

FIRST_DAY = date(2000, 1, 1)  # before any export
FOR_EVER = 100_000  # days
# What stands in until a fuller source of the same account comes, and from which period on it gives way to it.
TAKEN_OVER_BY = {"aws_cost_explorer": "aws_data_exports"}


def fetch_source(
    run: Run,
    source: SourceSettings,
    window: Window | None = None,
    *,
    wants: Callable[[DeliveryRef], bool] | None = None,
) -> list[LandedDelivery]:
    """Fetch and land what has changed. A delivery whose identity is loaded already is not fetched again.

    `window`: the days to ask for; by default those that the source may still change or that are not in.
    `wants`: of what the source offers for these days only this.

    A delivery that cannot be landed is noted as the source's failure, and the others are still fetched, except
    after a refused credential or permission: it would be refused for each of them.
    Raises ConnectorError where the source as a whole cannot be read, and TransientError for what can pass; what was
    landed before stands in `run.landed`, and is not fetched again when the step is tried again.
    """
    from warehouse.load import loaded_identities
    from warehouse.watermarks import spoken_since

    connector = run.connect(source)
    terms = _terms(run, source)
    loaded = loaded_identities(run.warehouse, source.name, terms)
    asked = window or _due_window(run, source, connector)
    due = _within(asked, terms)
    watches = window is None and isinstance(connector, Restating)
    if due is None and not watches:
        return []
    if due is not None and asked.start == FIRST_DAY:
        run.whole_reads.add(source.name)
    is_first = window is None and wants is None and spoken_since(run.warehouse, source.name) is None
    landed = []
    wanted = []
    offered = set()
    offers: Iterable[DeliveryRef] = connector.discover(due) if due is not None else ()
    if window is None and isinstance(connector, Restating):
        # A source that counts no more, since another took over, may still restate what it counts for.
        restated = connector.discover_restated(due.start if due else asked.start, asked.start)
        offers = chain(offers, (ref for ref in restated if _within(ref.window, terms) is not None))
    for ref in offers:
        offered.add(ref.scope)
        if wants is not None and not wants(ref):
            continue
        # A folder offers all its files, whatever the days that were asked for.
        is_folder = isinstance(connector, DropFolder) or (ref.replaces == "scope" and ref.window == due)
        if is_first and not is_folder and due is not None and ref.window.start == due.start:
            kept = _kept_days(connector)
            is_all = kept is not None and due.start == run.as_of - timedelta(days=kept)
            why = f"the provider gives {kept} days" if is_all else "raise backfill_days to have older days"
            run.notes.append(f"{source.name}: read from {due.start} on; {why}")
            is_first = False
        if ref.identity is not None and (ref.scope, ref.identity) in loaded:
            continue
        wanted.append(ref)
    with closing(_land_each(run, source, connector, wanted)) as outcomes:
        for ref, outcome in zip(wanted, outcomes, strict=False):
            if isinstance(outcome, TransientError):
                raise outcome
            if not isinstance(outcome, Exception):
                landed.append(outcome)
                continue
            run.fail(source.name, str(outcome))
            if isinstance(outcome, CredentialError) or (
                isinstance(outcome, PermissionDenied) and ref.replaces == "window"
            ):
                break
        else:
            if isinstance(connector, DropFolder):
                run.folders[source.name] = Folder(offered=frozenset(offered), copies=dict(connector.copies))
    return landed


def _land_each(
    run: Run, source: SourceSettings, connector: Connector, refs: list[DeliveryRef]
) -> Generator[LandedDelivery | ConnectorError | WarehouseError, None, None]:
    """What came of each ref, in their order; several are fetched at once where the connector may be asked so.

    What was landed in this run already is not fetched again. Closed early, what has not begun is left.
    """
    from warehouse.errors import WarehouseError

    known = run.landed.setdefault(source.name, {})

    def land(ref: DeliveryRef) -> LandedDelivery | ConnectorError | WarehouseError:
        offer = (ref.scope, ref.window, ref.identity)
        try:
            if offer not in known:
                payloads = connector.fetch(ref)
                known[offer] = run.landing.store(ref, payloads, source_type=connector.type, fetched_at=run.now)
            return known[offer]
        except (ConnectorError, WarehouseError) as error:
            return error

    at_once = getattr(connector, "fetches_at_once", 1)
    # The first goes alone: a key that is refused is refused once.
    alone = 1 if at_once > 1 else len(refs)
    yield from map(land, refs[:alone])
    yield from side_by_side(land, refs[alone:], at_once)


def load_source(run: Run, source: SourceSettings, landed: list[LandedDelivery]) -> None:
    """Load landed deliveries, each in one transaction; what is loaded already changes nothing.

    A delivery that cannot be loaded is noted as the source's failure and leaves the warehouse as it was.
    """
    from warehouse.errors import WarehouseError
    from warehouse.watermarks import mark_history_read

    connector = run.connect(source)
    terms, neighbours = _terms(run, source), _neighbours(run, source)
    for delivery in landed:
        try:
            result = _load_landed(run, connector, delivery, terms, neighbours, now=run.now)
        except (ConnectorError, WarehouseError) as error:
            run.fail(source.name, str(error))
            continue
        run.loads.setdefault(source.name, []).append(result)
        if result.was_loaded:
            run.notes.extend(f"{source.name}: {note}" for note in result.notes)
    _settle_folder(run, source)
    for other in run.settings.sources:
        if TAKEN_OVER_BY.get(other.type) == source.type:
            _apply_bounds(run, other)
    if source.name in run.whole_reads and source.name not in run.failures:
        mark_history_read(run.warehouse, source.name, now=run.now)


def replay_landed(run: Run, source: SourceSettings, delivery: LandedDelivery, *, loaded_at: datetime) -> None:
    """Load a landed delivery again as it was loaded at `loaded_at`, on the terms of today's configuration."""
    from warehouse.overlap import Neighbours

    neighbours = Neighbours(
        configured=frozenset(other.name for other in run.settings.sources), are_parts=is_partitioned(source.type)
    )
    _load_landed(run, run.connect(source), delivery, _terms(run, source), neighbours, now=loaded_at)


def settle_takeovers(run: Run) -> None:
    """After a replay: sources that a fuller one has taken over give way to it."""
    for source in run.settings.sources:
        if source.type in TAKEN_OVER_BY:
            _apply_bounds(run, source)


def _load_landed(
    run: Run, connector: Connector, delivery: LandedDelivery, terms: Terms, neighbours: Neighbours, *, now: datetime
) -> LoadResult:
    from warehouse.load import load_delivery

    parsed = connector.parse(delivery.files)
    return load_delivery(
        run.warehouse,
        delivery,
        parsed.parts,
        notes=parsed.notes,
        now=now,
        rates=[(rate.currency, rate.valid_from, rate.usd_per_unit) for rate in run.settings.currency_rates],
        not_after=_not_after(run),
        neighbours=neighbours,
        terms=terms,
        tag_keys=terms.tag_keys,
    )


def is_partitioned(source_type: str) -> bool:
    """Whether deliveries of such a source are partitions of one table, see connectors.base.Connector."""
    return bool(getattr(connector_class(source_type), "is_partitioned", False))


def meters_hours(source: SourceSettings) -> bool:
    """Whether the source's provider meters usage by the hour."""
    return hasattr(connector_class(source.type), "discover_hours")


def load_hours(run: Run, source: SourceSettings) -> int:
    """Ask a source that meters by the hour for what is new, and load it; returns the rows.

    From the midnight before the newest hour that is there (what is recent may still change), at most 14 days, to
    the last full hour of the run's clock. A source without hours is left alone.
    """
    from tempfile import TemporaryDirectory

    from warehouse import hours
    from warehouse.landing import Landing

    connector = run.connect(source)
    if not isinstance(connector, HourlyMeter):
        return 0
    now = run.present()
    until = now.replace(minute=0, second=0, microsecond=0)
    earliest = until.date() - timedelta(days=hours.DAYS_KEPT - 1)
    newest = hours.metered_until(run.warehouse, source.name)
    since = max(earliest, newest.date() - timedelta(days=1)) if newest else earliest
    start = datetime.combine(since, time.min, UTC)
    rows = 0
    if start >= until:
        return rows
    # An estimate that is asked for again every hour is not kept as it was sent.
    with TemporaryDirectory() as folder:
        landing = Landing(Path(folder))
        for ref in connector.discover_hours(start, until):
            delivery = landing.store(ref, connector.fetch(ref), source_type=connector.type, fetched_at=now)
            rows += hours.load_hours(run.warehouse, delivery, connector.parse(delivery.files).parts, today=until.date())
    return rows


def _neighbours(run: Run, source: SourceSettings) -> Neighbours:
    """What loading a delivery of the source must know of the other bills."""
    from warehouse.forgetting import read_standing
    from warehouse.overlap import Neighbours

    folder = run.folders.get(source.name)
    vanished: frozenset[str] = frozenset()
    if folder is not None:
        standing = read_standing(run.warehouse, source.name)
        vanished = frozenset(standing.scopes if standing else ()) - folder.offered
    mine = _terms(run, source)
    return Neighbours(
        configured=frozenset(other.name for other in run.settings.sources),
        apart=frozenset(
            other.name
            for other in run.settings.sources
            if not mine.meets(_terms(run, other)) or TAKEN_OVER_BY.get(other.type) == source.type
        ),
        vanished=vanished,
        is_shadow=mine.role == "shadow",
        are_parts=is_partitioned(source.type),
    )


def _terms(run: Run, source: SourceSettings) -> Terms:
    """Of which days the source speaks, and whether it counts; one that may not count yet stays a shadow."""
    from warehouse.terms import Terms

    role = "shadow" if source.name in run.kept_shadows else source.role
    ends = [day for day in (source.until, _taken_over(run, source)) if day is not None]
    # Connectors that are asked by label (BigQuery's) keep to their own list.
    tag_keys = (
        source.options.get("tag_keys") if issubclass(connector_class(source.type).Options, ExportOptions) else None
    )
    return Terms(source.since, min(ends, default=None), role, None if tag_keys is None else tuple(tag_keys))


def _taken_over(run: Run, source: SourceSettings) -> date | None:
    """From which period on a fuller source speaks for the same account: Cost Explorer's history ends there."""
    from warehouse.terms import taken_over_at

    successor = TAKEN_OVER_BY.get(source.type)
    return taken_over_at(run.warehouse, source.name, successor) if successor else None


def _within(window: Window, terms: Terms) -> Window | None:
    """The days of the window that count; None where none does."""
    start = max(window.start, terms.since or window.start)
    end = min(window.end, terms.until or window.end)
    return Window(start, end) if start < end else None


def _apply_bounds(run: Run, source: SourceSettings) -> None:
    from warehouse.terms import apply_bounds

    terms = _terms(run, source)
    restated = apply_bounds(run.warehouse, source.name, terms, now=run.now)
    if restated:
        run.notes.append(f"{source.name}: counts for {terms.bounds} now, which changes {restated} past totals")


def apply_terms(run: Run) -> None:
    """Before anything is read: take out days that count no more, move what counts, or counts no more, to its place."""
    from warehouse.errors import OverlapError
    from warehouse.terms import apply_role

    for source in run.settings.sources:
        _apply_bounds(run, source)
    # What steps aside makes room for what takes its place.
    for source in sorted(run.settings.sources, key=lambda source: source.role != "shadow"):
        try:
            apply_role(run.warehouse, source.name, _terms(run, source), _neighbours(run, source))
        except OverlapError as error:
            run.kept_shadows.add(source.name)
            run.fail(source.name, f"it stays a shadow: {error}")


def _settle_folder(run: Run, source: SourceSettings) -> None:
    """Files that are gone: told, and their charges stay. Files that became copies: what they said before goes."""
    from warehouse.forgetting import forget, read_standing

    folder = run.folders.get(source.name)
    standing = read_standing(run.warehouse, source.name) if folder is not None else None
    if folder is None or standing is None:
        return
    for scope in sorted(set(standing.scopes) - folder.offered):
        original = folder.copies.get(scope)
        if original is not None:
            gone = forget(run.warehouse, source.name, scope, now=run.now)
            run.notes.append(f"{source.name}: {scope} is now a copy of {original}; what it said before is out: {gone}")
            continue
        stands = read_standing(run.warehouse, source.name, scope)
        run.notices.append(
            f"{source.name}: {scope} is gone from its folder and still counts ({stands}); "
            f"`trendbreak forget {source.name} {shlex.quote(scope)}` takes it out"
        )


def tell_retired_sources(run: Run) -> None:
    """Charges of a source that trendbreak.yml no longer names still count: that is told, with the ways out."""
    from warehouse.forgetting import read_standing, standing_sources

    configured = {source.name for source in run.settings.sources}
    for name in standing_sources(run.warehouse):
        if name not in configured:
            run.notices.append(
                f"{name}: trendbreak.yml no longer names this source, and its charges still count "
                f"({read_standing(run.warehouse, name)}); `trendbreak forget {name}` takes them out, "
                f"`trendbreak rename {name} NEW` gives them to a source of another name"
            )


def _not_after(run: Run) -> datetime | None:
    """The end of the run's day where it lies ahead of the clock; else what the delivery's own fetch says."""
    return datetime.combine(run.as_of, time.max, UTC) if run.as_of > run.now.date() else None


def _due_window(run: Run, source: SourceSettings, connector: Connector) -> Window:
    """From the first day not in yet, or from where the source may still restate, to the run's day.

    What is not in yet is asked for as far back as `backfill_days`, or as the provider gives; but the first look at an
    export is at all it holds.
    """
    from warehouse.watermarks import covered_until, is_history_read, spoken_since

    if _has_whole_history(connector) and not is_history_read(run.warehouse, connector.name):
        return Window(FIRST_DAY, run.as_of)
    earliest = run.as_of - timedelta(days=min(run.settings.backfill_days, _kept_days(connector) or FOR_EVER))
    may_change = run.as_of - timedelta(days=connector.restates_days)
    if not _has_whole_history(connector):
        may_change = max(may_change, spoken_since(run.warehouse, connector.name) or run.as_of)
    earliest = min(earliest, may_change)
    earliest = min(max(earliest, source.since or earliest), run.as_of - timedelta(days=1))
    covered = covered_until(run.warehouse, connector.name, earliest)
    start = max(earliest, min(covered, run.as_of) - timedelta(days=connector.restates_days))
    return Window(min(start, run.as_of - timedelta(days=1)), run.as_of)


def _kept_days(connector: Connector) -> int | None:
    """How many days its provider gives; None where it gives all."""
    return getattr(connector, "kept_days", None)


def _has_whole_history(connector: Connector) -> bool:
    return bool(getattr(connector, "whole_history", False))


def apply_rates(run: Run) -> None:
    """Bring what is loaded to today's currency_rates. Raises CurrencyError where a loaded day has no rate any more."""
    from warehouse.rates import apply_rates as apply

    rates = [(rate.currency, rate.valid_from, rate.usd_per_unit) for rate in run.settings.currency_rates]
    run.notes.extend(apply(run.warehouse, rates))


def sweep(run: Run) -> None:
    """Remove what a run that was killed left half-written, and tell what no source speaks for any more."""
    run.landing.sweep()
    tell_retired_sources(run)
    apply_terms(run)
