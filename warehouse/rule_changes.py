"""What a change of features.yml moves: the same charges under the old rules and under the new ones.

A build that allocates by other rules than the build before compares both, so that a changed rule is never
taken for a restated bill. Charges, telemetry and prices are the same on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from warehouse.allocate import allocate
from warehouse.features import Features
from warehouse.statements import render
from warehouse.taking import HasConnection

if TYPE_CHECKING:
    from datetime import datetime

RECENT_DAYS = 120  # what alerts look back on
OLD, NEW = "_costs_by_old_rules", "_costs_by_new_rules"


@dataclass(frozen=True)
class RuleMove:
    """One feature's month: US dollars, effective cost before credits, and the days on which it differs."""

    feature: str
    month: date
    old_usd: Decimal
    new_usd: Decimal
    first_charge_date: date
    last_charge_date: date


@dataclass(frozen=True)
class RuleMoveDay:
    """What the rules moved to (or from) a feature on one day: US dollars, effective cost before credits."""

    feature: str
    charge_date: date
    delta_usd: Decimal


def write_rules(features: Features) -> str:
    """The whole content of a features.yml as JSON, which `read_rules` reads back as the same."""
    return features.model_dump_json(by_alias=True, exclude_none=True)


def read_rules(content: str) -> Features | None:
    """What `write_rules` wrote; None where this program no longer reads it."""
    from pydantic import ValidationError

    try:
        return Features.model_validate_json(content)
    except ValidationError:
        return None


def fingerprint(content: str) -> str:
    """Equal where the content of two files is."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def undo_boundaries(features: Features, *, after: date, through: date) -> Features | None:
    """The rules without what begins or ends to hold on a day in (`after`, `through`]; None where nothing does.

    The file is the same before and after such a day, and yet the day moves cost from one feature to another.
    """
    kept = []
    for rule in features.rules:
        ends = rule.valid_to is not None and after <= rule.valid_to < through
        if rule.valid_from is None or not after < rule.valid_from <= through:
            kept.append(rule.model_copy(update={"valid_to": None}) if ends else rule)
    undone = tuple(kept)
    return None if undone == features.rules else features.model_copy(update={"rules": undone})


def compare_rules(wh: HasConnection, old: Features, new: Features) -> tuple[list[RuleMove], list[RuleMoveDay]]:
    """Allocate by `old`, then by `new`; core.allocations then says what `new` says. Months, and the last
    RECENT_DAYS days.

    Runs inside the caller's transaction, if there is one.
    """
    for features, table in ((old, OLD), (new, NEW)):
        allocate(wh, features)
        wh.con.execute(render("rules/daily_costs.sql", table=table))
    moves = [RuleMove(*row) for row in wh.con.execute(render("rules/moved.sql", old=OLD, new=NEW)).fetchall()]
    recent = render("rules/moved_days.sql", old=OLD, new=NEW)
    days = [RuleMoveDay(*row) for row in wh.con.execute(recent, [RECENT_DAYS]).fetchall()]
    for table in (OLD, NEW):
        wh.con.execute(f"DROP TABLE temp.main.{table}")
    return moves, days


def record_rules(
    state: Any,
    *,
    previous: Mapping[str, Any] | None,
    content: str,
    moves: list[RuleMove],
    who: str,
    now: datetime,
    days: list[RuleMoveDay] | None = None,
) -> None:
    """Note the version of the rules that a build has allocated by, and what it moved. The same rules again: nothing.

    `previous`: the newest of `state.list_rule_versions()`.
    """
    new = fingerprint(content)
    if previous is not None and previous["fingerprint"] == new:
        return
    version = 1 if previous is None else previous["version"] + 1
    stamp = {"version": version, "recorded_at": now, "who": who}
    state.save_rules(
        {**stamp, "fingerprint": new, "content": content},
        [
            {
                **stamp,
                "feature": move.feature,
                "month": move.month,
                "old_fingerprint": previous["fingerprint"] if previous else "",
                "new_fingerprint": new,
                "old_effective_cost_before_credits_usd": move.old_usd,
                "new_effective_cost_before_credits_usd": move.new_usd,
                "first_charge_date": move.first_charge_date,
                "last_charge_date": move.last_charge_date,
            }
            for move in moves
        ],
        [
            {
                "version": version,
                "feature": day.feature,
                "charge_date": day.charge_date,
                "delta_effective_cost_before_credits_usd": day.delta_usd,
            }
            for day in days or []
        ],
    )
