"""events.yml: what is known in advance — launches, migrations, price changes, holidays.

    version: 1
    holidays: us_federal                # optional
    events:
      - name: autumn launch
        kind: launch                    # launch | migration | price_change | other
        start: 2026-09-01
        end: 2026-09-14                 # optional: without it the change stays
        features: [support_chat]        # optional: all
        expected_change: "+30%"         # optional: without it nobody can say, and expectations only widen

The forecast takes them into account from the day they are written down; a break that begins with one, and is no
larger than it announces, opens no incident.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from flows.errors import SettingsError
from flows.settings.errors import explain, nearest
from flows.settings.strict_yaml import StrictYamlError, load_strict_yaml

if TYPE_CHECKING:
    from alerts.breaks import ExpectedChange
    from alerts.forecast import PlannedEvent

_PERCENT = re.compile(r"^([+-]?\d+(?:\.\d+)?)\s*%$")


def _read_change(value: object) -> object:
    if isinstance(value, str):
        found = _PERCENT.match(value.strip())
        if not found:
            raise ValueError('write a percentage with its sign, as "+30%" or "-15%"')
        return float(found.group(1)) / 100
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'write it as a percentage: "+30%", not {value}')
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EventEntry(_Strict):
    """One entry of `events`. `expected_change`: +0.3 is +30%; None when nobody can say."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    kind: Literal["launch", "migration", "price_change", "other"] = "other"
    start: date
    end: date | None = None
    features: tuple[str, ...] | None = None
    expected_change: Annotated[float | None, BeforeValidator(_read_change), Field(ge=-1.0, le=100.0)] = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> EventEntry:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"it ends on {self.end}, before it starts on {self.start}")
        if self.features is not None and not self.features:
            raise ValueError("`features` is empty: name some, or leave the key out for all")
        return self


class EventsFile(_Strict):
    """The whole file."""

    version: Literal[1]
    holidays: Literal["us_federal"] | None = None
    events: tuple[EventEntry, ...] = ()


def load_events(path: Path | None, known_features: Iterable[str]) -> EventsFile:
    """Read and check the file; without a path there are no events. Raises SettingsError naming the entry and key."""
    if path is None:
        return EventsFile(version=1)
    if not path.is_file():
        raise SettingsError(f"{path}: no such file — create it, or take `events` out of trendbreak.yml")
    try:
        raw = load_strict_yaml(path.read_text(encoding="utf-8-sig"))
    except (StrictYamlError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: the file must be a mapping with the keys `version: 1` and `events`")
    try:
        found = EventsFile.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(explain(str(path), error.errors(include_url=False), EventsFile)) from None
    known = sorted(known_features)
    for place, entry in enumerate(found.events):
        for feature in entry.features or ():
            if feature not in known:
                raise SettingsError(
                    f"{path}: events[{place}] ({entry.name}).features: unknown feature {feature!r}"
                    f"{nearest(feature, known)} — features.yml has: {', '.join(known) or 'none'}"
                )
    return found


def list_planned_events(file: EventsFile, features: Sequence[str], *, first: date, last: date) -> list[PlannedEvent]:
    """The events as the forecast reads them; `features` are the panel's rows, `first` to `last` the days looked at."""
    from alerts.forecast import PlannedEvent, us_federal_holidays

    rows = {name: place for place, name in enumerate(features)}
    out: list[PlannedEvent] = []
    for entry in file.events:
        series = None
        if entry.features is not None:
            series = tuple(rows[name] for name in entry.features if name in rows)
            if not series:
                continue
        out.append(PlannedEvent(entry.name, entry.start, entry.end, series, entry.expected_change))
    if file.holidays == "us_federal":
        out.extend(us_federal_holidays(first, last))
    return out


def list_expected_changes(file: EventsFile, features: Sequence[str]) -> Mapping[str, list[ExpectedChange]]:
    """Node → changes that detection need not report."""
    from alerts.breaks import ALL_FEATURES, ExpectedChange

    expected: dict[str, list[ExpectedChange]] = {}
    for entry in file.events:
        change = entry.expected_change
        changes = [ExpectedChange(entry.start, (entry.end or entry.start) + timedelta(days=1), change)]
        if entry.end is not None:  # and back again
            back = None if change is None or change <= -1.0 else 1.0 / (1.0 + change) - 1.0
            changes.append(ExpectedChange(entry.end + timedelta(days=1), entry.end + timedelta(days=2), back))
        for node in entry.features if entry.features is not None else (*features, ALL_FEATURES):
            expected.setdefault(node, []).extend(changes)
    return expected
