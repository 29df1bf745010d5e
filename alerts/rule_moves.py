"""What a change of features.yml gave to a node or took from it, so that nobody takes it for a change of its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

_BEFORE_DAYS = 28
_LEAST_SHARE = Decimal("0.5")  # of an excess: from here on the rules explain it


@dataclass(frozen=True)
class RuleMoves:
    """One node's. `usd`: day → dollars that it has on that day under the new rules and not under the old ones;
    a day that is not there moved nothing. `through`: the last day compared. `changed_on`: when the rules changed."""

    changed_on: date
    through: date
    usd: Mapping[date, Decimal]

    def measure_step(self, onset: date, last_day: date) -> Decimal:
        """Dollars a day that came with the rules between the days before `onset` and `onset`..`last_day`."""
        last = min(last_day, self.through)
        if last < onset:
            return Decimal(0)
        after = self._mean(onset, last)
        return after - self._mean(onset - timedelta(days=_BEFORE_DAYS), onset - timedelta(days=1))

    def measure_level(self, onset: date, last_day: date) -> Decimal:
        """Dollars a day that the rules moved on `onset`..`last_day`."""
        last = min(last_day, self.through)
        return self._mean(onset, last) if last >= onset else Decimal(0)

    def _mean(self, first: date, last: date) -> Decimal:
        days = (last - first).days + 1
        moved = (self.usd.get(first + timedelta(days=n), Decimal(0)) for n in range(days))
        return sum(moved, Decimal(0)) / days

    def explain(self, excess_usd_per_day: Decimal, onset: date, last_day: date) -> bool:
        """Whether at least half of an excess came with the rules."""
        step = self.measure_step(onset, last_day)
        return excess_usd_per_day != 0 and step / excess_usd_per_day >= _LEAST_SHARE

    def explain_end(self, excess_usd_per_day: Decimal, onset: date, last_day: date) -> bool:
        """Whether at least half of an excess that is gone went with the rules."""
        step = self.measure_step(onset, last_day)
        return excess_usd_per_day != 0 and -step / excess_usd_per_day >= _LEAST_SHARE


def cover_moves(old: RuleMoves, new: RuleMoves) -> RuleMoves:
    """One change as it was compared when it came and as it is compared now: on a day that both know, the larger."""
    days = {
        day: max(old.usd.get(day, Decimal(0)), new.usd.get(day, Decimal(0)), key=abs) for day in {*old.usd, *new.usd}
    }
    return RuleMoves(max(old.changed_on, new.changed_on), max(old.through, new.through), days)


def join_moves(old: RuleMoves | None, new: RuleMoves) -> RuleMoves:
    """Two changes one after the other."""
    if old is None:
        return new
    days = {day: old.usd.get(day, Decimal(0)) + new.usd.get(day, Decimal(0)) for day in {*old.usd, *new.usd}}
    return RuleMoves(max(old.changed_on, new.changed_on), max(old.through, new.through), days)
