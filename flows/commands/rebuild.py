"""`trendbreak rebuild`: the warehouse anew, from what was landed. No source is asked, and the state store only read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from connectors.errors import ConnectorError
from flows.errors import FlowError
from flows.run import Home, Run, open_run
from flows.settings import Settings
from flows.steps.ingest import replay_landed, settle_takeovers

if TYPE_CHECKING:
    from warehouse.landing import LandedDelivery

BESIDE = ".rebuild"  # the new warehouse grows here; the old one stands until it is whole


def rebuild(settings: Settings, console: Console, *, as_of: date | None = None, now: datetime | None = None) -> bool:
    """Load landing into an empty warehouse, build, publish, and put it in the old one's place; True when all is in.

    The deliveries that spoke at the last build are loaded in their order; without the record of a build (an older
    home), every landed delivery in the order of fetching. What cannot be loaded is named, and fetched anew by the
    next run. Raises ReconciliationError, the old warehouse untouched, when landing adds up to something else.
    """
    home = Home(settings.home)
    again = _rebuild_file if settings.warehouse is None else _rebuild_lake
    run, loaded = again(settings, home, as_of=as_of, now=now)
    for source, failure in sorted(run.failures.items()):
        console.print(Text(f"{source}: {failure}", style="red"), soft_wrap=True)
    console.print(Text(f"rebuilt from {loaded} landed deliveries, as of {run.as_of}; published: {home.published}"))
    return not run.failures


def _rebuild_file(settings: Settings, home: Home, *, as_of: date | None, now: datetime | None) -> tuple[Run, int]:
    """Beside the old file, whose place the new one takes once it is whole and published."""
    from flows.steps import build
    from warehouse.landing import Landing
    from warehouse.publish import publish
    from warehouse.store import hold_warehouse, replace_warehouse

    beside = home.root / BESIDE
    with hold_warehouse(home.root):
        shutil.rmtree(beside, ignore_errors=True)
        aside = settings.model_copy(update={"home": beside, "state": settings.state_url})
        with open_run(aside, as_of=as_of, now=now) as run:
            run.landing = Landing(home.landing)
            if as_of is None:
                run.as_of = _last_day(run) or run.as_of
            loaded = _replay(run)
            build.build_warehouse(run)
            publish(run.warehouse, run.state, published=home.published, now=run.now)
        replace_warehouse(beside, home.root)
        shutil.rmtree(beside, ignore_errors=True)
    return run, loaded


def _rebuild_lake(settings: Settings, home: Home, *, as_of: date | None, now: datetime | None) -> tuple[Run, int]:
    """In one transaction of the lake: readers and other runs have the old tables until the new ones are whole."""
    from warehouse.lake import retry_conflicts

    left_out: dict[str, _Unloadable] = {}
    while True:
        try:
            return retry_conflicts(partial(_replay_lake, settings, home, left_out, as_of=as_of, now=now))
        except _Unloadable as error:  # it has spoilt the transaction: once more, without it
            left_out[error.delivery_id] = error


def _replay_lake(
    settings: Settings,
    home: Home,
    left_out: Mapping[str, _Unloadable],
    *,
    as_of: date | None,
    now: datetime | None,
) -> tuple[Run, int]:
    from flows.steps import build
    from warehouse.publish import publish
    from warehouse.store import empty_lake

    with open_run(settings, as_of=as_of, now=now) as run:
        whole = run.warehouse
        if as_of is None:
            run.as_of = _last_day(run) or run.as_of
        for known in left_out.values():
            run.fail(known.source_name, str(known))
        with whole.turn("build"):
            with whole.as_one() as run.warehouse:
                _check_landed(run)  # in the transaction: what others land from now on refuses its commit
                empty_lake(run.warehouse)
                loaded = _replay(run, left_out)
                build.build_warehouse(run)
            run.warehouse = whole
            publish(whole, run.state, published=home.published, now=run.now)
        return run, loaded


def _check_landed(run: Run) -> None:
    """Raise FlowError when the lake holds what this home did not land: other machines did, and it would be lost."""
    landed = {(one.source_name, one.delivery_id) for one in run.landing.deliveries()}
    current = run.warehouse.con.execute(
        "SELECT source_name, delivery_id FROM ops.deliveries WHERE is_current ORDER BY ALL"
    ).fetchall()
    missing = [f"{source} ({delivery})" for source, delivery in current if (source, delivery) not in landed]
    if missing:
        raise FlowError(
            f"the lake holds {len(missing)} deliveries that were not landed in this home, such as {missing[0]}: "
            "a rebuild here would lose them — rebuild where they were landed, or copy that home's landing folder here"
        )


class _Unloadable(Exception):
    """A landed delivery cannot be loaded."""

    def __init__(self, delivery: LandedDelivery, why: str) -> None:
        super().__init__(why)
        self.source_name, self.delivery_id = delivery.source_name, delivery.delivery_id


def _last_day(run: Run) -> date | None:
    """The day of the newest run: the same day settles the same days."""
    days: list[date] = [row["as_of"] for row in run.state.list_runs()]
    return days[-1] if days else None


def _replay(run: Run, left_out: Mapping[str, _Unloadable] | None = None) -> int:
    """Load every delivery that spoke, but for those `left_out`; returns how many were loaded.

    What cannot be loaded is noted, or, where some may be left out, raised.
    """
    from warehouse.errors import WarehouseError
    from warehouse.record import has_record, restore_record

    sources = {source.name: source for source in run.settings.sources}
    count = 0
    for delivery, loaded_at in _deliveries(run):
        source = sources.get(delivery.source_name)
        if source is None:
            run.fail(delivery.source_name, "trendbreak.yml no longer names this source: what it landed is left out")
            continue
        if left_out is not None and delivery.delivery_id in left_out:
            continue
        try:
            replay_landed(run, source, delivery, loaded_at=loaded_at)
        except (ConnectorError, WarehouseError, FlowError) as error:
            if left_out is not None:
                raise _Unloadable(delivery, str(error)) from error
            run.fail(delivery.source_name, str(error))
            continue
        count += 1
    settle_takeovers(run)
    if has_record(run.landing.root):
        restore_record(run.warehouse, run.landing.root, failed=run.failures)
    return count


def _deliveries(run: Run) -> list[tuple[LandedDelivery, datetime]]:
    """What to load, and when it was loaded, in the order of loading."""
    from warehouse.record import has_record, read_loaded

    landed = {(one.source_name, one.delivery_id): one for one in run.landing.deliveries()}
    if not has_record(run.landing.root):
        return [(one, one.fetched_at) for one in landed.values()]
    found = []
    for loaded in read_loaded(run.warehouse.con, run.landing.root):
        delivery = landed.get((loaded.source_name, loaded.delivery_id))
        if delivery is None:
            run.fail(loaded.source_name, f"{loaded.scope}: its landed delivery {loaded.delivery_id} is gone")
            continue
        found.append((replace(delivery, scope=loaded.scope), loaded.loaded_at.astimezone(UTC)))
    return found
