"""One excess, two nodes: the features that carry it, and the sum of all features that they share it with.

Which of them the detector calls the highest that explains it may change from one day to the next: five features are
beyond their limits today, four tomorrow. Whoever was told of the one is not told again of the other, and the thread
that was opened goes on for as long as either is over its limit. What is twice as much, or less than half, is not the
same any more: it is told where it is, and the thread that was opened says where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from alerts.model import ALL_FEATURES, LIVE, Break, Direction, Incident

_ONSET_DAYS = 3  # an onset is an estimate
_MOST = Decimal("0.5")  # of an excess: from here on it is the same one
_BY_HAND = frozenset({"expected", "false_alarm", "resolve"})

BreakKey = tuple[str, Direction, date]


@dataclass(frozen=True)
class Cover:
    """`incidents`: id → the breaks of other nodes that tell of its excess now. `breaks`: those that an incident of
    another node has told already → that node. `news`: id → breaks of other nodes where its excess may be now, but so
    much more or less of it, or the bill instead of an estimate, that they are to be told there."""

    incidents: Mapping[str, tuple[Break, ...]]
    breaks: Mapping[BreakKey, str]
    news: Mapping[str, tuple[Break, ...]]


def key_of(found: Break) -> BreakKey:
    return (found.node, found.direction, found.onset)


def find_cover(breaks: Collection[Break], ledger: Iterable[Incident], *, growth_factor: Decimal) -> Cover:
    """What is told already of `breaks` by incidents of the sum and of single features, and the reverse.
    `growth_factor`: from this multiple of what was told or accepted, it is not the same excess any more."""
    told = [incident for incident in ledger if incident.status in LIVE or incident.status in ("resolved", "absorbed")
            or incident.details.get("feedback") in _BY_HAND]  # fmt: skip
    by_incident: dict[str, tuple[Break, ...]] = {}
    by_break: dict[BreakKey, str] = {}
    news: dict[str, tuple[Break, ...]] = {}
    for found in breaks:
        if found.node == ALL_FEATURES:
            parts = [one for one in told if one.node != ALL_FEATURES and _is_same(one, found)]
            untold = [one for one in parts if not _has_own_break(one, breaks)]
            by_incident.update({one.id: (found,) for one in untold if not _is_billed_now(one, found)})
            news.update({one.id: (found,) for one in untold if _is_billed_now(one, found)
                         and _carries([found.excess_usd_per_day], one.excess_usd_per_day)})  # fmt: skip
            speaking = [one for one in parts if _still_speaks(one, found) and not _is_billed_now(one, found)]
            if _carries([_told_usd(one) for one in speaking], found.excess_usd_per_day):
                by_break[key_of(found)] = "its features"
    for incident in told:
        if incident.node != ALL_FEATURES or _has_own_break(incident, breaks):
            continue
        own = tuple(found for found in breaks if found.node != ALL_FEATURES and _is_same(incident, found))
        own_usd = [found.excess_usd_per_day for found in own]
        is_grown = abs(sum(own_usd, Decimal(0))) >= abs(_told_usd(incident)) * growth_factor
        is_billed = any(_is_billed_now(incident, found) for found in own)
        if _carries(own_usd, _told_usd(incident)) and not is_grown and not is_billed:
            by_incident[incident.id] = own
            by_break.update({key_of(found): "all features" for found in own if _still_speaks(incident, found)})
        elif own:
            news[incident.id] = own
    return Cover(by_incident, by_break, news)


def _is_same(incident: Incident, found: Break) -> bool:
    return incident.direction == found.direction and abs((incident.onset - found.onset).days) <= _ONSET_DAYS


def _has_own_break(incident: Incident, breaks: Iterable[Break]) -> bool:
    return any(found.node == incident.node and _is_same(incident, found) for found in breaks)


def _still_speaks(incident: Incident, found: Break) -> bool:
    """Its thread is open, or somebody has answered it, or it had seen all these days when it told of their end."""
    if incident.status in LIVE or _is_accepted(incident):
        return True
    told: Mapping[str, Any] = incident.details.get("break", {})
    seen_through = max(incident.last_day, date.fromisoformat(told.get("data_through", str(incident.last_day))))
    return incident.status == "resolved" and found.last_day <= seen_through


def _is_accepted(incident: Incident) -> bool:
    """Somebody has answered it, or its level is the usual one by now."""
    return incident.status == "absorbed" or incident.details.get("feedback") in _BY_HAND


def _told_usd(incident: Incident) -> Decimal:
    """Dollars a day that people know of: of what was accepted, as much as that, whatever it has grown to since."""
    if _is_accepted(incident):
        return Decimal(str(incident.details.get("accepted_usd_per_day", incident.excess_usd_per_day)))
    return incident.excess_usd_per_day


def _is_billed_now(incident: Incident, found: Break) -> bool:
    """It was told from usage only: what the bill says is news, and has the last word."""
    return is_estimated(incident) and incident.status in LIVE and found.basis == "reported"


def is_estimated(incident: Incident) -> bool:
    """Whether it was told from usage, and no bill has confirmed it yet."""
    told: Mapping[str, Any] = incident.details.get("break", {})
    return told.get("basis") == "estimated"


def _carries(parts_usd: Iterable[Decimal], whole_usd: Decimal) -> bool:
    return whole_usd != 0 and sum(parts_usd, Decimal(0)) / whole_usd >= _MOST
