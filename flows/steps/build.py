"""From loaded charges to published marts."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from connectors.registry import connector_class
from flows.report.figures import plural
from flows.run import LATE_DAYS, RULE_MEMORY_DAYS, Run
from flows.steps.drivers import write_drivers
from flows.steps.ingest import is_partitioned

MOST_NAMED = 8  # features named in one notice


def build_warehouse(run: Run) -> None:
    """Settle, allocate, build every model, check, reconcile: one transaction. A mismatch stops the run.

    Every feature is settled as far as its own sources are. `run.data_through` is the newest day that all features
    whose sources are on time have settled; a source that is late is named, with the features that wait for it.
    """
    from warehouse.books import TABLES as BOOKS
    from warehouse.build import build
    from warehouse.commitments import Commitment
    from warehouse.record import write_record
    from warehouse.rule_changes import read_rules, record_rules, undo_boundaries, write_rules
    from warehouse.series import read_settled
    from warehouse.watermarks import charges_to_come, spoken_through

    spoken = spoken_through(run.warehouse, as_of=run.as_of)
    for name, rows, day in charges_to_come(run.warehouse, after=max(run.as_of, run.now.date())):
        run.notices.append(
            f"{name}: {plural(rows, 'charge')} of days to come, the last of {day}: they count when their day is there"
        )
    due: dict[str, date] = {}
    settles = settle_days(run)
    known = run.state.watermarks()
    for source in run.settings.sources:
        if source.name in spoken:
            due[source.name] = run.as_of - timedelta(days=1 + settles[source.name])
            run.settled_through[source.name] = min(due[source.name], spoken[source.name])
            position = run.settled_through[source.name].isoformat()
            if known.get(source.name) != position:
                run.state.set_watermark(source.name, position, run.now)
    rules = write_rules(run.features)
    versions = run.state.list_rule_versions()
    previous = versions[-1] if versions else None
    run.built = build(
        run.warehouse,
        features=run.features,
        run_id=run.run_id,
        now=run.now,
        as_of=run.as_of,
        settled_through=run.settled_through,
        due_through=due,
        prices=run.prices,
        books=run.state.export(BOOKS),
        commitments=[
            Commitment(
                name=one.name,
                source_name=one.source,
                kind=one.kind,
                granted_usd=one.granted_usd,
                valid_from=one.valid_from,
                valid_to=one.valid_to,
                provider=one.provider,
            )
            for one in run.settings.commitments
        ],
        settle_days=settles,
        old_features=read_rules(previous["content"]) if previous and previous["content"] != rules else None,
        unbounded_features=undo_boundaries(
            run.features, after=run.as_of - timedelta(days=RULE_MEMORY_DAYS), through=run.as_of
        ),
    )
    # A run that is killed here compares again the next time: the state store still has the old rules.
    record_rules(
        run.state,
        previous=previous,
        content=rules,
        moves=list(run.built.rule_moves),
        who=run.who,
        now=run.now,
        days=list(run.built.rule_move_days),
    )
    run.warehouse.commit(lambda: write_drivers(run.warehouse.con), "models")
    # Also these: what is not noted is found and booked again.
    run.state.add_corrections(run.built.corrections)
    write_record(run.warehouse, run.landing.root)
    settled = read_settled(run.warehouse.con)
    days = {row["feature"]: row["settled_through"] for row in settled}
    run.feature_through = days
    run.data_through = run.built.data_through
    run.notices.extend(_tell_late_sources(settled, run.settled_through, due))


def settle_days(run: Run) -> dict[str, int]:
    """Per source, how many days after its end a day counts as settled: as measured where its deliveries tell."""
    from warehouse.watermarks import measured_settle_days

    days: dict[str, int] = {}
    for source in run.settings.sources:
        connector = connector_class(source.type)
        measured = None
        if is_partitioned(source.type):
            measured = measured_settle_days(run.warehouse, source.name, as_of=run.as_of)
        days[source.name] = connector.settle_days if measured is None else measured
    return days


def _tell_late_sources(
    settled: list[dict[str, Any]], settled_through: dict[str, date], due: dict[str, date]
) -> list[str]:
    """One notice per late source that features wait for."""
    newest = max((row["settled_through"] for row in settled), default=None)
    notices = []
    for source, day in sorted(settled_through.items()):
        waiting = [row["feature"] for row in settled if source in (row["waits_for"] or "").split(", ")]
        late_days = (due[source] - day).days
        if not waiting or late_days < LATE_DAYS:
            continue
        names = ", ".join(waiting[:MOST_NAMED]) + (", …" if len(waiting) > MOST_NAMED else "")
        others = f"; other features are judged up to {newest}" if newest is not None and newest > day else ""
        notices.append(
            f"{source} is {late_days} days late: its charges end on {day}, and what it "
            f"bills waits there ({names}){others} — `trendbreak check` tests the source; if it has ended, take it out "
            f"of trendbreak.yml"
        )
    return notices


def publish_snapshot(run: Run) -> None:
    """Swap the published file; readers that are open keep the one they have.

    `ops.runs` and `ops.outbox` in it are to say what became of this run. Where nothing waits to be sent, that is
    known now; otherwise `refresh_snapshot` publishes once more after the delivery.
    """
    _publish(run, status="running" if run.state.pending() else None)


def refresh_snapshot(run: Run) -> None:
    """Publish once more when messages were sent or refused after the snapshot was made."""
    if run.delivered:
        _publish(run, status=None)


def _publish(run: Run, *, status: str | None) -> None:
    from flows.summary import record_run
    from warehouse.publish import publish

    record_run(run, status=status)
    try:
        publish(run.warehouse, run.state, published=run.home.published, now=run.now)
    except BaseException:
        record_run(run, status="failed")
        raise
