"""A message as JSON and back: how the outbox keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, get_args

import numpy as np

from alerts.model import ChartSeries, Fact, Message, Section, Severity

_SERIES = ("actual", "expected", "lower", "upper")


def message_to_json(message: Message) -> dict[str, Any]:
    """A Message as JSON, its chart included (NaN as null)."""
    plain: dict[str, Any] = {name: getattr(message, name) for name in Message.__dataclass_fields__}
    plain["facts"] = [[fact.label, fact.text] for fact in message.facts]
    plain["sections"] = [[section.title, list(section.lines)] for section in message.sections]
    plain["links"] = [list(link) for link in message.links]
    for name in ("why", "where", "footnotes", "changes"):
        plain[name] = list(plain[name])
    for name in ("onset", "last_day"):
        day: date | None = plain[name]
        plain[name] = day.isoformat() if day else None
    if message.chart is not None:
        plain["chart"] = chart_to_json(message.chart)
    return plain


def chart_to_json(chart: ChartSeries) -> dict[str, Any]:
    """A chart's series as JSON (NaN as null)."""
    series = {name: _floats_to_json(getattr(chart, name)) for name in _SERIES}
    return {"start": chart.start.isoformat(), "metric": chart.metric, "unit": chart.unit, **series}


def chart_from_json(plain: Mapping[str, Any]) -> ChartSeries:
    """The reverse of `chart_to_json`."""
    series = {
        name: np.array([np.nan if figure is None else figure for figure in plain[name]], dtype=np.float64)
        for name in _SERIES
    }
    return ChartSeries(date.fromisoformat(plain["start"]), plain["metric"], plain["unit"], **series)


def _floats_to_json(figures: np.ndarray[Any, np.dtype[np.float64]]) -> list[float | None]:
    return [round(float(figure), 6) if np.isfinite(figure) else None for figure in figures]


def message_from_json(plain: Mapping[str, Any]) -> Message:
    """The reverse of `message_to_json`. Raises ValueError on an unknown severity."""
    fields = {name: plain[name] for name in Message.__dataclass_fields__ if name in plain}
    if fields["severity"] not in get_args(Severity):
        raise ValueError(f"unknown severity {fields['severity']!r} in a stored message")
    fields["facts"] = tuple(Fact(label, text) for label, text in plain["facts"])
    fields["sections"] = tuple(Section(title, tuple(lines)) for title, lines in plain.get("sections", ()))
    fields["links"] = tuple((text, address) for text, address in plain.get("links", ()))
    for name in ("why", "where", "footnotes", "changes"):
        fields[name] = tuple(plain.get(name, ()))
    for name in ("onset", "last_day"):
        fields[name] = date.fromisoformat(plain[name]) if plain.get(name) else None
    if plain.get("chart"):
        fields["chart"] = chart_from_json(plain["chart"])
    return Message(**fields)
