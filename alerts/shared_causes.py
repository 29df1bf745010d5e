"""One excess, two nodes: the features that carry it, and the sum of all features that they share it with.

Which of them the detector calls the highest that explains it may change from one day to the next: five features are
beyond their limits today, four tomorrow. Whoever was told of the one is not told again of the other, and the thread
that was opened goes on for as long as either is over its limit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from alerts.model import ALL_FEATURES, LIVE, Break, Direction, Incident

_ONSET_DAYS = 3  # an onset is an estimate
_MOST = Decimal("0.5")  # of an excess: from here on it is the same one
_BY_HAND = frozenset({"expected", "false_alarm", "resolve"})

BreakKey = tuple[str, Direction, date]


@dataclass(frozen=True)
class Cover:
    """`incidents`: id → the breaks of other nodes that tell of its excess now. `breaks`: those that an incident of
    another node has told already → that node."""

    incidents: Mapping[str, tuple[Break, ...]]
    breaks: Mapping[BreakKey, str]


def key_of(found: Break) -> BreakKey:
    return (found.node, found.direction, found.onset)


def find_cover(breaks: Collection[Break], ledger: Iterable[Incident]) -> Cover:
    """What is told already of `breaks` by incidents of the sum and of single features, and the reverse."""
    told = [incident for incident in ledger if incident.status in LIVE or incident.status in ("resolved", "absorbed")
            or incident.details.get("feedback") in _BY_HAND]  # fmt: skip
    by_incident: dict[str, tuple[Break, ...]] = {}
    by_break: dict[BreakKey, str] = {}
    for found in breaks:
        if found.node == ALL_FEATURES:
            parts = [one for one in told if one.node != ALL_FEATURES and _is_same(one, found)]
            untold = [one for one in parts if not _has_own_break(one, breaks)]
            by_incident.update({one.id: (found,) for one in untold})
            speaking = [one.excess_usd_per_day for one in parts if _still_speaks(one, found)]
            if _carries(speaking, found.excess_usd_per_day):
                by_break[key_of(found)] = "its features"
    for incident in told:
        if incident.node != ALL_FEATURES or _has_own_break(incident, breaks):
            continue
        own = tuple(found for found in breaks if found.node != ALL_FEATURES and _is_same(incident, found))
        if _carries([found.excess_usd_per_day for found in own], incident.excess_usd_per_day):
            by_incident[incident.id] = own
            by_break.update({key_of(found): "all features" for found in own if _still_speaks(incident, found)})
    return Cover(by_incident, by_break)


def _is_same(incident: Incident, found: Break) -> bool:
    return incident.direction == found.direction and abs((incident.onset - found.onset).days) <= _ONSET_DAYS


def _has_own_break(incident: Incident, breaks: Iterable[Break]) -> bool:
    return any(found.node == incident.node and _is_same(incident, found) for found in breaks)


def _still_speaks(incident: Incident, found: Break) -> bool:
    """Its thread is open, or somebody has answered it, or it has told of all these days and of their end."""
    if incident.status in LIVE or incident.status == "absorbed" or incident.details.get("feedback") in _BY_HAND:
        return True
    return incident.status == "resolved" and found.last_day <= incident.last_day


def _carries(parts_usd: Iterable[Decimal], whole_usd: Decimal) -> bool:
    return whole_usd != 0 and sum(parts_usd, Decimal(0)) / whole_usd >= _MOST
