"""Cron expressions and time zones, checked when the configuration is read: Prefect would say so hours later."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# (name, least, most, names of the values from `least` on)
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _WEEKDAYS),
)
# February's 29th comes every fourth year.
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"^(?P<first>\*|[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?(?:/(?P<step>[0-9]{1,2}))?$")


def check_cron(expression: str) -> str:
    """The expression, if it has the five fields of cron. Raises ValueError naming the field."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{expression!r} has {len(fields)} fields; cron has five: minute hour day-of-month month day-of-week, "
            f'for example "30 9 * * *"'
        )
    values = [
        {value for part in text.lower().split(",") for value in _read_part(part, name, least, most, names)}
        for text, (name, least, most, names) in zip(fields, _FIELDS, strict=True)
    ]
    # Prefect gives up on these whatever their days of the week are.
    if not any(day <= _LONGEST[month - 1] for day in values[2] for month in values[3]):
        raise ValueError(
            f"{expression!r} never comes: month {fields[3]} has no day {fields[2]} — write a day that it has, "
            f'for example "0 9 1 * *"'
        )
    return " ".join(fields)


def check_timezone(name: str) -> str:
    """The name, if the time zone database has it. Raises ValueError with the nearest one."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Short names look alike and are hours apart: CEST and EST.
        near = difflib.get_close_matches(name, sorted(available_timezones()), n=1, cutoff=0.5) if "/" in name else []
        hint = f"; did you mean {near[0]!r}?" if near else "; write a place such as Europe/Berlin, or UTC"
        raise ValueError(f"{name!r} is no time zone{hint}") from None
    return name


def _read_part(part: str, name: str, least: int, most: int, names: Sequence[str]) -> range:
    """The values of one part of a field."""
    match = _PART.match(part)
    if match is None or (match["first"] == "*" and match["last"] is not None):
        raise ValueError(f"{part!r} is no {name}")
    first, last = least, most
    if match["first"] != "*":
        first = _read_number(match["first"], name, least, most, names)
        last = _read_number(match["last"], name, least, most, names) if match["last"] else first
    if first > last:
        raise ValueError(f"{name} {part!r} runs backwards")
    if match["step"] is None:
        # Prefect reads 9-9 as *: an hour of every day would be every hour.
        if match["last"] and first == last:
            raise ValueError(f"{name} {part!r} is one value — write {match['first']}")
        return range(first, last + 1)
    step = int(match["step"])
    if not 1 <= step <= most:
        raise ValueError(f"{name} {part!r} has a step that is not between 1 and {most}")
    if match["first"] != "*":
        if not match["last"]:
            last = min(most, 6) if names == _WEEKDAYS else most
        if first + step > last:  # as 9-9
            raise ValueError(f"{name} {part!r} is one value — write {match['first']}")
    return range(first, last + 1, step)


def _read_number(text: str, name: str, least: int, most: int, names: Sequence[str]) -> int:
    if not text.isdigit() and text not in names:
        raise ValueError(f"{text!r} is no {name}")
    number = int(text) if text.isdigit() else least + names.index(text)
    if not least <= number <= most:
        raise ValueError(f"{name} {number} is not between {least} and {most}")
    return number


Cron = Annotated[str, AfterValidator(check_cron)]
TimeZone = Annotated[str, AfterValidator(check_timezone)]
