"""Breaks that are not told, because a loss of telemetry or of outcomes would fake them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from alerts.model import Break, Direction

_TOLERANCE = timedelta(days=3)  # an onset is an estimate


@dataclass(frozen=True)
class Mute:
    """Why breaks of a node that began on or after `since` are not told: they would be faked. Unit costs in any
    case, costs in one direction, or in none where `direction` is None."""

    since: date
    reason: str
    direction: Direction | None = "down"

    def covers(self, found: Break) -> bool:
        is_fake = found.kind in ("unit_cost", "zero_success") or found.direction == self.direction
        return is_fake and found.onset >= self.since - _TOLERANCE
