"""From series to messages that are sent: detect, decide, enqueue; then deliver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from alerts.feedback import apply_answers, measure_precision
from alerts.incidents import (
    BY_RULES,
    decide,
    find_accepted_levels,
    find_limit_factors,
    incident_from_row,
)
from alerts.model import CONDITION_KINDS, Break, FeaturePanel, Incident, MemberSeries
from alerts.outbox import record_action
from alerts.routing import FeatureRoute, Routing
from alerts.rule_moves import RuleMoves, cover_moves, join_moves
from flows.errors import DeliveriesWaiting
from flows.run import RULE_MEMORY_DAYS, Run
from flows.settings.planned_events import list_expected_changes
from flows.steps.delivery import empty_outbox, make_context
from flows.steps.drivers import add_parts_to_each
from flows.steps.findings import add_findings, recall_findings
from flows.steps.watches import BY_OUTCOMES, BY_TELEMETRY, decide_watches, find_conditions, list_mutes

if TYPE_CHECKING:
    from alerts.breaks import DetectionSettings
    from alerts.message import RenderContext


def find_incidents(run: Run) -> None:
    """Find breaks on settled days, decide what each means for the ledger, and enqueue what is to be told.

    What people answered since the last run is applied first: it changes what is decided.
    """
    newest = None if run.panel is None else run.panel.start + timedelta(days=run.panel.cost_usd.shape[1] - 1)
    # Unsettled days are unknown in the panel: no break of this lane is provisional.
    context = recall_findings(
        run.state,
        make_context(run.features, run.month_ends, as_of=run.as_of, settled_through=newest),
        task_url=run.settings.alerts.task_url,
    )
    run.messages.extend(apply_answers(run.state, context=context, now=run.now))
    ledger = [incident_from_row(row) for row in run.state.list_incidents()]
    conditions, judged = find_conditions(run)
    if run.panel is not None and run.data_through is not None:
        run.breaks = _find_breaks(run, run.panel, ledger)
        run.actions = decide(
            run.breaks,
            ledger,
            now=run.now,
            as_of=run.as_of,
            routing=make_routing(run),
            data_through=run.data_through,
            node_through=run.feature_through,
            rule_moves=_read_rule_moves(run),
            mutes=list_mutes(run, conditions, run.breaks),
        )
    run.actions += decide_watches(run, conditions, judged, ledger, make_routing(run))
    run.notes.extend(
        f"{action.incident.node}: not told, {action.reason}"
        for action in run.actions
        if action.reason.endswith((BY_RULES, BY_TELEMETRY, BY_OUTCOMES))
    )
    record_actions(run, context)
    ledger = [incident_from_row(row) for row in run.state.list_incidents()]
    told = [incident for incident in ledger if incident.kind not in CONDITION_KINDS]
    run.state.save_precision(measure_precision(told, run.state.list_feedback(), now=run.now))


def record_actions(run: Run, context: RenderContext) -> None:
    """Save what was decided, and enqueue what is to be told of it."""
    for action in run.actions:
        context = add_findings(run.warehouse.con, context, [action], run.notes, task_url=run.settings.alerts.task_url)
        message = record_action(
            run.state,
            action,
            context=context,
            now=run.now,
            digest_below_usd_per_day=run.settings.alerts.digest_below_usd_per_day,
        )
        if message is not None:
            run.messages.append(message)


def make_detection(run: Run, ledger: Sequence[Incident], features: Sequence[str]) -> DetectionSettings:
    """The settings of both lanes' detectors, with what people answered and what is planned for `features`."""
    from alerts.breaks import DetectionSettings

    alerts = run.settings.alerts
    return DetectionSettings(
        min_usd_per_day=alerts.min_usd_per_day,
        min_percent=alerts.min_percent,
        false_alerts_per_month=alerts.false_alerts_per_month,
        limit_factors=find_limit_factors(ledger, as_of=run.as_of),
        accepted_levels=find_accepted_levels(ledger, as_of=run.as_of),
        expected_changes=list_expected_changes(run.events, features),
    )


def _find_breaks(run: Run, panel: FeaturePanel, ledger: list[Incident]) -> list[Break]:
    from alerts.breaks import find_breaks
    from alerts.hourly import confirm_estimates
    from warehouse.series import read_members

    through = panel.start + timedelta(days=panel.cost_usd.shape[1] - 1)
    members = [
        MemberSeries(**member)
        for member in read_members(run.warehouse.con, features=panel.features, start=panel.start, through=through)
    ]
    detection = make_detection(run, ledger, panel.features)
    own = find_breaks(panel, members, detection)
    billed = confirm_estimates(ledger, panel, through=run.feature_through, found=own)
    return add_parts_to_each(run.warehouse.con, own + billed, run.notes)


def deliver_messages(run: Run) -> None:
    """Send what the outbox holds: to Slack with a token, else to a folder.

    Raises DeliveriesWaiting when a message could not go now; it stays in the outbox for the next try.
    """
    context = make_context(run.features, run.month_ends, as_of=run.as_of, settled_through=run.data_through)
    delivered = empty_outbox(
        run.settings,
        run.home,
        run.state,
        run.environment,
        context=recall_findings(run.state, context, task_url=run.settings.alerts.task_url),
        now=run.present(),
        notices=run.notices,
        found={action.incident.id: action.found for action in run.actions if action.found is not None},
    )
    run.delivered.extend(delivered)
    waiting = [one.title for one in delivered if one.status == "waiting"]
    if waiting:
        raise DeliveriesWaiting("waiting to be sent: " + "; ".join(waiting))


def _read_rule_moves(run: Run) -> dict[str, RuleMoves]:
    """What changes of features.yml within the detector's memory moved, by feature; and what moved on the days from
    which its rules hold or no longer hold, in a file that stayed the same."""
    moves: dict[str, RuleMoves] = {}
    bounded = _read_boundary_moves(run)
    versions = run.state.list_rule_versions()
    introducing = _find_introducing(run, versions) if bounded else None
    for version in versions:
        changed_on = version["recorded_at"].date()
        if (run.as_of - changed_on).days > RULE_MEMORY_DAYS:
            continue
        days: dict[str, dict[date, Decimal]] = {}
        for row in run.state.list_rule_change_days(version=version["version"]):
            moved = row["delta_effective_cost_before_credits_usd"]
            days.setdefault(row["feature"], {})[row["charge_date"]] = moved
        for feature, usd in days.items():
            through = max(max(usd), changed_on - timedelta(days=1))
            moved = RuleMoves(changed_on, through, usd)
            if version["version"] == introducing and feature in bounded:
                moved = cover_moves(moved, bounded.pop(feature))
            moves[feature] = join_moves(moves.get(feature), moved)
    for feature, moved in bounded.items():
        moves[feature] = join_moves(moves.get(feature), moved)
    return moves


def _read_boundary_moves(run: Run) -> dict[str, RuleMoves]:
    days: dict[str, dict[date, Decimal]] = {}
    for day in run.built.boundary_move_days if run.built is not None else ():
        days.setdefault(day.feature, {})[day.charge_date] = day.delta_usd
    return {feature: RuleMoves(min(usd), max(usd), usd) for feature, usd in days.items()}


def _find_introducing(run: Run, versions: Sequence[Mapping[str, Any]]) -> int | None:
    """The version that brought the rules whose days are bounded: its own comparison tells the same moves again, as far
    as bills had come by then."""
    from warehouse.rule_changes import read_rules, undo_boundaries

    after = run.as_of - timedelta(days=RULE_MEMORY_DAYS)
    undone = undo_boundaries(run.features, after=after, through=run.as_of)
    bounded = [rule for rule in run.features.rules if undone is not None and rule not in undone.rules]
    before: Sequence[Any] | None = None
    for version in versions:
        rules = read_rules(version["content"])
        here = rules.rules if rules is not None else ()
        if before is not None and any(rule in here and rule not in before for rule in bounded):
            return int(version["version"])
        before = here
    return None


def make_routing(run: Run) -> Routing:
    """Channels and owners of features.yml."""
    return Routing(
        default_channel=run.settings.slack.channel,
        features={
            name: FeatureRoute(channel=feature.channel, owner=feature.owner)
            for name, feature in run.features.features.items()
        },
    )
