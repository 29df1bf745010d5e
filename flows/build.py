"""From loaded charges to published marts."""

from __future__ import annotations

from datetime import timedelta

from connectors.registry import connector_class
from flows.run import Run

ACTIVE_DAYS = 14  # a billing source without a charge for so long does not hold the others' days back


def build_warehouse(run: Run) -> None:
    """Settle, allocate, build every model, check, reconcile: one transaction. A mismatch stops the run."""
    from warehouse.build import build
    from warehouse.rule_changes import read_rules, record_rules, write_rules
    from warehouse.watermarks import charged_through

    charged = charged_through(run.warehouse)
    for source in run.settings.sources:
        if source.name in charged:
            settled = run.as_of - timedelta(days=1 + connector_class(source.type).settle_days)
            run.settled_through[source.name] = min(settled, charged[source.name])
    active = [day for day in run.settled_through.values() if day >= run.as_of - timedelta(days=ACTIVE_DAYS)] or sorted(
        run.settled_through.values()
    )[-1:]
    run.data_through = min(active, default=None)
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
        old_features=read_rules(previous["content"]) if previous and previous["content"] != rules else None,
    )
    # A run that is killed here compares again the next time: the state store still has the old rules.
    record_rules(
        run.state, previous=previous, content=rules, moves=list(run.built.rule_moves), who=run.who, now=run.now
    )


def publish_snapshot(run: Run) -> None:
    """Swap the published file; readers that are open keep the one they have."""
    from warehouse.publish import publish

    publish(run.warehouse, run.state, published=run.home.published, now=run.now)
