"""Which of the planted breaks a run found, and what it reported that nobody planted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from alerts.model import CONDITION_KINDS
from flows.demo.company import PlantedBreak

# How many days too early a break may be dated and still be the one that was planted. On its first
# days a drift is no larger than the noise around it.
_EARLY_DAYS = 3
_EARLY_DAYS_OF_A_DRIFT = 7
_UNIT_KINDS = {"unit_cost", "zero_success"}


@dataclass(frozen=True)
class Score:
    """`found`: each planted break with the incident that names it, or None. Incidents are the ledger's rows."""

    found: tuple[tuple[PlantedBreak, Mapping[str, Any] | None], ...]
    false: tuple[Mapping[str, Any], ...]

    @property
    def recalled(self) -> int:
        return sum(incident is not None for _, incident in self.found)


def score(planted: Iterable[PlantedBreak], incidents: Iterable[Mapping[str, Any]]) -> Score:
    """Match incidents (rows of the ledger: node, direction, kind, onset, last_day, …) to planted breaks.

    An incident names a planted break when it is of the same node, upward, lasts into it, begins at
    most three days (a drift: seven) before it, and, where only the cost per success was changed, says so. Every
    other incident of a break is false, a second one on the same break too.
    """
    left = [incident for incident in incidents if incident["kind"] not in CONDITION_KINDS]
    found: list[tuple[PlantedBreak, Mapping[str, Any] | None]] = []
    for one in planted:
        match = next((incident for incident in left if _names(incident, one)), None)
        if match is not None:
            left.remove(match)
        found.append((one, match))
    return Score(tuple(found), tuple(left))


def _names(incident: Mapping[str, Any], planted: PlantedBreak) -> bool:
    early_days = _EARLY_DAYS_OF_A_DRIFT if planted.story == "slow_drift" else _EARLY_DAYS
    return (
        incident["node"] == planted.node
        and incident["direction"] == "up"
        and incident["last_day"] >= planted.onset
        and incident["onset"] >= planted.onset - timedelta(days=early_days)
        and (planted.metric == "cost" or incident["kind"] in _UNIT_KINDS)
    )
