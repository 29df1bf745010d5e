"""How `trendbreak explain` shows what it found: on the terminal, or as JSON."""

from __future__ import annotations

import calendar
import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.figures import (
    format_days,
    format_percent,
    format_short_day,
    format_signed_percent,
    format_signed_usd,
    format_usd,
    format_usd_range,
)
from alerts.message.sentences import DIMENSIONS, name_node
from alerts.model import ALL_FEATURES
from flows.commands.terminal import Unbroken, clean
from flows.comparison import EVERY_WEEKDAY, Days
from flows.errors import FlowError
from flows.explain import Explanation

FORMATS = ("table", "json")
_CENT = Decimal("0.01")
_PARTS = {
    "success_rate": "share of them that succeed",
    "known_outcomes": "share of tasks whose outcome is known",
    "tasks": "more or fewer tasks",
    "calls_per_task": "calls per task",
    "retries": "retries",
    "input_tokens_per_call": "input tokens per call",
    "output_tokens_per_call": "output tokens per call",
    "cache_rate": "share read from the cache",
    "model_mix": "mix of models",
    "price": "price of a token",
    "idle": "caused by no call (idle, training)",
}


def show_explanation(found: Explanation, console: Console, *, fmt: str) -> None:
    """Print it. Raises FlowError for an unknown format."""
    if fmt not in FORMATS:
        raise FlowError(f"unknown format {fmt!r}; known: {', '.join(FORMATS)}")
    if fmt == "json":
        console.print_json(json.dumps(to_plain(found)), highlight=False)
        return
    _say(console, f"{name_node(found.feature)}  {_headline(found)}", "bold")
    _say(console, _sentence(found))
    if unit := _unit_sentence(found):
        _say(console, unit)
    if found.incident_id:
        days = "The days are its own" if found.has_incident_days else "The days compared are not its own"
        _say(console, f"About {found.incident_id}. {days}.", "dim")
    if found.parts:
        per = f"dollars per successful {_unit(found)}" if found.is_of_success else "dollars a day"
        _title(console, "Why", f"{per}; the parts add up to the change")
        console.print(_parts(found))
    else:
        _title(console, "Why")
        _say(console, f"  {_without_parts(found)}")
    if found.movers:
        _title(console, "Where", "dollars a day")
        console.print(_movers(found))
    if found.news:
        _title(console, f"New since {format_short_day(found.after.first)}")
        for line in found.news:
            _say(console, f"  {line}")
    _title(console, "Expected")
    _say(console, f"  {_expected(found)}")
    _title(console, "Data")
    for line in _state(found):
        _say(console, f"  {line}")
    _title(console, "To see it yourself", "trendbreak query, or any reader of the snapshot")
    console.print(Unbroken(found.sql), crop=False)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(clean(text), style=style), soft_wrap=True)


def _title(console: Console, title: str, note: str = "") -> None:
    console.print(Text.assemble((f"\n{title}", "bold"), (f"  {note}" if note else "", "dim")))


def _unit(found: Explanation) -> str:
    return found.unit_after.unit if found.unit_after is not None else "task"


def _headline(found: Explanation) -> str:
    if found.is_of_success:
        assert found.unit_before is not None
        percent = Decimal(round(found.change_usd_per_success / found.unit_before.cost_per_success_usd * 100))
        usd = format_signed_usd(found.change_usd_per_success)
        return f"{usd} per successful {_unit(found)} ({format_signed_percent(percent)})"
    change = found.change_percent
    share = "new" if change is None else format_signed_percent(Decimal(round(change)))
    return f"{format_signed_usd(_cents(found.change_usd_per_day))}/day ({share})"


def _sentence(found: Explanation) -> str:
    cost = f"{_span(found.after)} it cost {format_usd(_cents(found.after_usd_per_day))} a day"
    total = f" ({format_usd(_cents(found.after_usd))} in {format_days(found.after_days)})"
    if not found.before_days:
        return f"{cost}{total}; it did not exist {_lower(_span(found.before))}."
    return f"{cost}{total}, {_lower(_span(found.before))} {format_usd(_cents(found.before_usd_per_day))} a day."


def _unit_sentence(found: Explanation) -> str:
    before, after = found.unit_before, found.unit_after
    if before is None or after is None:
        return ""
    usd, was = format_usd(after.cost_per_success_usd), format_usd(before.cost_per_success_usd)
    share, usual = (format_percent(Decimal(round(unit.success_share * 100))) for unit in (after, before))
    return f"Each successful {after.unit} cost {usd}, before {was}; {share} of them succeeded, before {usual}."


def _without_parts(found: Explanation) -> str:
    if found.feature == ALL_FEATURES:
        return "A sum of features has no parts of its own: explain the features that moved."
    if not found.change_usd_per_day:
        return "Nothing changed."
    return "Telemetry does not know this feature in both periods: only where the dollars are can be told."


def _span(days: Days) -> str:
    first, last = _day(days.first, days.last), format_short_day(days.last)
    if days.weekdays != EVERY_WEEKDAY and days.span > 1:
        names = " and ".join(f"{calendar.day_name[day]}s" for day in days.weekdays)
        return f"On the {names} from {first} to {last}"
    return f"On {last}" if days.first == days.last else f"From {first} to {last}"


def _day(day: date, other: date) -> str:
    return format_short_day(day) if day.year == other.year else f"{format_short_day(day)} {day.year}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _cents(usd: Decimal) -> Decimal:
    return usd.quantize(_CENT)


def round_to_cents(
    parts: Iterable[tuple[str, Decimal]], total: Decimal, *, place: Decimal = _CENT
) -> list[tuple[str, Decimal]]:
    """Each to the cent (or to `place`); the largest takes what that leaves, so that what is read adds up too."""
    rounded = [(name, usd.quantize(place)) for name, usd in parts]
    largest = max(range(len(rounded)), key=lambda n: abs(rounded[n][1]))
    rest = total.quantize(place) - sum((usd for _, usd in rounded), Decimal(0))
    return [(name, usd + rest if n == largest else usd) for n, (name, usd) in enumerate(rounded)]


def _parts(found: Explanation) -> Table:
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False, show_edge=False, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    change, has_shares = found.explained_usd, _has_shares(found)
    # A success may cost a fraction of a cent.
    place = min(_CENT, Decimal(1).scaleb(change.adjusted() - 2)) if found.is_of_success and change else _CENT
    for name, usd in round_to_cents(found.parts, change, place=place):
        if usd:
            table.add_row(f"  {_PARTS.get(name, name)}", _signed(usd), _share(usd, change) if has_shares else "")
    table.add_section()
    table.add_row("  change", _signed(change.quantize(place)), "100%" if has_shares else "", style="bold")
    return table


def _share(usd: Decimal, change: Decimal) -> str:
    return format_percent(Decimal(round(usd / change * 100))) if change else ""


def _has_shares(found: Explanation) -> bool:
    """Not where large parts cancel out: 900% of next to nothing says nothing."""
    return max(abs(usd) for _, usd in found.parts) <= 4 * abs(found.explained_usd)


def _signed(usd: Decimal) -> str:
    return f"{'-' if usd < 0 else '+'}${abs(usd):,.{max(2, -int(usd.as_tuple().exponent))}f}"


def _movers(found: Explanation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("", overflow="fold")
    for column in ("before", "now", "change"):
        table.add_column(column, justify="right", no_wrap=True)
    shown = ""
    for mover in found.movers:
        dimension = DIMENSIONS.get(mover.dimension, mover.dimension)
        table.add_row(
            Text(f"  {dimension}" if dimension != shown else ""),
            Text(clean(mover.member) + (" (new)" if mover.is_new else "")),
            f"${mover.before_usd_per_day:,.2f}",
            f"${mover.after_usd_per_day:,.2f}",
            _signed(_cents(mover.change_usd_per_day)),
        )
        shown = dimension
    return table


def _expected(found: Explanation) -> str:
    told = found.expected
    if told is None:
        return "not known: less than 28 days of history before these days"
    ranged = format_usd_range(_cents(told.lower_usd_per_day), _cents(told.upper_usd_per_day))
    text = f"{format_usd(_cents(told.usd_per_day))} a day, single days {ranged} ({told.source})"
    actual = f"; it cost {format_usd(_cents(found.after_usd_per_day))}"
    if told.days_outside is None:
        return text + actual
    return f"{text}{actual}, and {told.days_outside} of {format_days(found.after_days)} were outside"


def _state(found: Explanation) -> list[str]:
    if found.settled_through is None:
        lines = ["nothing of it is settled yet"]
    else:
        lines = [f"settled through {found.settled_through}"]
    if found.provisional_days:
        lines[0] += f"; {found.provisional_days} of {format_days(found.after_days)} are provisional and may be restated"
    if found.waits_for:
        lines.append(f"waits for {found.waits_for}: `trendbreak status` says how late it is")
    if found.estimated_days:
        lines.append(f"{format_days(found.estimated_days)} estimated from usage, until the bill is there")
    if found.unit_after is not None and (share := round(found.unit_after.estimated_share * 100)):
        lines.append(f"{format_percent(Decimal(share))} of what a success cost is estimated: these calls have no bill")
    missing = found.after.count - found.after_days
    if missing > 0:
        lines.append(f"{format_days(missing)} of the period have no data")
    if 0 < found.before_days < found.before.count:
        lines.append(f"it is {format_days(found.before_days)} old in the period that it is compared with")
    return lines


def to_plain(found: Explanation) -> dict[str, Any]:
    """As JSON: money as text with all its digits, days ISO."""
    expected = found.expected
    return {
        "feature": found.feature,
        "incident": found.incident_id or None,
        "before": _period(found.before, found.before_days, found.before_usd_per_day),
        "after": {**_period(found.after, found.after_days, found.after_usd_per_day), "cost_usd": str(found.after_usd)},
        "change_usd_per_day": str(found.change_usd_per_day),
        "change_usd_per_success": str(found.change_usd_per_success) if found.is_of_success else None,
        "weekdays": [calendar.day_name[day] for day in found.after.weekdays],
        "change_percent": None if found.change_percent is None else str(round(found.change_percent, 4)),
        "cost_per_success": {
            name: None
            if unit is None
            else {
                "unit": unit.unit,
                "cost_per_success_usd": str(unit.cost_per_success_usd),
                "success_share": str(round(unit.success_share, 6)),
                "estimated_share": str(unit.estimated_share),
            }
            for name, unit in (("before", found.unit_before), ("after", found.unit_after))
        },
        "parts": [
            {"driver": name, "change_usd_per_success" if found.is_of_success else "change_usd_per_day": str(usd)}
            for name, usd in found.parts
        ],
        "movers": [
            {
                "dimension": mover.dimension,
                "member": mover.member,
                "before_usd_per_day": str(mover.before_usd_per_day),
                "after_usd_per_day": str(mover.after_usd_per_day),
                "change_usd_per_day": str(mover.change_usd_per_day),
                "first_seen": None if mover.first_seen is None else mover.first_seen.isoformat(),
                "is_new": mover.is_new,
            }
            for mover in found.movers
        ],
        "new": list(found.news),
        "expected": None
        if expected is None
        else {
            "usd_per_day": str(expected.usd_per_day),
            "lower_usd_per_day": str(expected.lower_usd_per_day),
            "upper_usd_per_day": str(expected.upper_usd_per_day),
            "source": expected.source,
            "days_outside": expected.days_outside,
        },
        "data": {
            "settled_through": None if found.settled_through is None else found.settled_through.isoformat(),
            "provisional_days": found.provisional_days,
            "estimated_days": found.estimated_days,
            "waits_for": found.waits_for or None,
        },
        "sql": found.sql,
    }


def _period(days: Days, known: int, usd_per_day: Decimal) -> dict[str, Any]:
    return {
        "first_day": days.first.isoformat(),
        "last_day": days.last.isoformat(),
        "days": known,
        "cost_usd_per_day": str(usd_per_day),
    }
