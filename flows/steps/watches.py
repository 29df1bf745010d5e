"""What is watched besides trends: sources that stop, coverage that is lost, budgets in danger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.conditions import Condition, ConditionKind, decide_conditions
from alerts.model import UNALLOCATED, Action, Break, FeaturePanel, Floats, Incident
from alerts.mutes import Mute
from alerts.watches import (
    SourceDays,
    explain_by_split,
    find_budgets,
    find_mutes,
    find_stale_sources,
    find_telemetry_gaps,
    find_untagged,
)
from flows.run import Run

if TYPE_CHECKING:
    from alerts.routing import Routing

BASELINE_DAYS = 120
BY_TELEMETRY = "has lost its telemetry"  # how the reason of a muted break ends,
BY_OUTCOMES = "has lost its outcomes"  # or so


def find_conditions(run: Run) -> tuple[list[Condition], set[ConditionKind]]:
    """The conditions as they are now, and the kinds that this run could judge."""
    conditions = find_stale_sources(_sources(run), as_of=run.as_of, late_days=run.settings.alerts.late_days)
    judged: set[ConditionKind] = {"freshness"}
    if run.panel is None or run.data_through is None:
        return conditions, judged
    alerts = run.settings.alerts
    conditions += find_untagged(
        _coverage(run),
        through=run.data_through,
        max_percent=alerts.max_untagged_percent,
        min_usd_per_day=alerts.min_usd_per_day,
        as_of=run.as_of,
    )
    row = run.warehouse.con.execute("SELECT max(usage_date) FROM core.usage").fetchone()
    conditions += find_telemetry_gaps(
        run.panel,
        unsplit_usd=_unsplit(run, run.panel),
        telemetry_through=row[0] if row else None,
        as_of=run.as_of,
    )
    conditions += find_budgets(
        run.month_ends, least_probability=float(alerts.budget_breach_percent) / 100, as_of=run.as_of
    )
    return conditions, {"freshness", "coverage", "budget"}


def decide_watches(
    run: Run,
    conditions: Sequence[Condition],
    judged: set[ConditionKind],
    ledger: Sequence[Incident],
    routing: Routing,
) -> list[Action]:
    """The actions of all conditions."""
    return decide_conditions(conditions, ledger, judged=judged, now=run.now, as_of=run.as_of, routing=routing)


def list_mutes(run: Run, conditions: Sequence[Condition], breaks: Sequence[Break]) -> dict[str, Mute]:
    """Nodes whose new breaks come from lost telemetry: the features themselves, and what is unallocated as far as
    splits that could not give it away explain its rise."""
    mutes = find_mutes(conditions)
    if run.panel is None or not any(condition.lost == "telemetry" and condition.holds for condition in conditions):
        return mutes
    loose = _unsplit(run, run.panel)
    for found in breaks:
        if found.node == UNALLOCATED and explain_by_split(
            loose,
            start=run.panel.start,
            onset=found.onset,
            last_day=found.last_day,
            excess_usd_per_day=found.excess_usd_per_day,
        ):
            mutes[UNALLOCATED] = Mute(found.onset, f"a split {BY_TELEMETRY}", "up")
    return mutes


def _unsplit(run: Run, panel: FeaturePanel) -> Floats:
    """What splits could not give away, on the panel's days."""
    loose = np.zeros(panel.cost_usd.shape[1])
    for row in _coverage(run):
        place = (row["charge_date"] - panel.start).days
        if 0 <= place < len(loose):
            loose[place] += float(row["unallocated_by_split_usd"])
    return loose


def _coverage(run: Run) -> list[dict[str, Any]]:
    from warehouse.reads import read_coverage_days

    return read_coverage_days(run.warehouse.con, days=BASELINE_DAYS)


def _sources(run: Run) -> list[SourceDays]:
    from warehouse.reads import read_charge_days, read_freshness

    charged = read_charge_days(run.warehouse.con, as_of=run.as_of)
    configured = {source.name for source in run.settings.sources}
    return [
        SourceDays(
            name=row["source_name"],
            days_late=row["days_late"],
            data_through=row["data_through"],
            last_charge_date=row["last_charge_date"],
            **charged.get(row["source_name"], {}),
            failure=run.failures.get(row["source_name"], ""),
        )
        for row in read_freshness(run.warehouse.con, as_of=run.as_of)
        if row["source_name"] in configured
    ]
