"""Cron expressions and time zones, checked when the configuration is read: Prefect would say so hours later."""

from __future__ import annotations

import difflib
import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# (name, least, most, names of the values from `least` on)
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, tuple(_MONTHS)),
    ("day of week", 0, 7, tuple(_WEEKDAYS)),
)
_PART = re.compile(r"^(?P<first>\*|[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?(?:/(?P<step>[0-9]{1,2}))?$")


def check_cron(expression: str) -> str:
    """The expression, if it has the five fields of cron. Raises ValueError naming the field."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{expression!r} has {len(fields)} fields; cron has five: minute hour day-of-month month day-of-week, "
            f'for example "30 9 * * *"'
        )
    for text, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        for part in text.lower().split(","):
            _check_part(part, name, least, most, names)
    return " ".join(fields)


def check_timezone(name: str) -> str:
    """The name, if the time zone database has it. Raises ValueError with the nearest one."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, sorted(available_timezones()), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "; write for example Europe/Berlin or UTC"
        raise ValueError(f"{name!r} is no time zone{hint}") from None
    return name


def _check_part(part: str, name: str, least: int, most: int, names: tuple[str, ...]) -> None:
    match = _PART.match(part)
    if match is None:
        raise ValueError(f"{part!r} is no {name}")
    ends = [match["first"]] if match["last"] is None else [match["first"], match["last"]]
    if match["first"] == "*" and match["last"] is not None:
        raise ValueError(f"{part!r} is no {name}")
    numbers = []
    for text in ends:
        if text == "*":
            continue
        if not text.isdigit() and text not in names:
            raise ValueError(f"{text!r} is no {name}")
        number = int(text) if text.isdigit() else least + names.index(text)
        if not least <= number <= most:
            raise ValueError(f"{name} {number} is not between {least} and {most}")
        numbers.append(number)
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise ValueError(f"{name} {part!r} runs backwards")
    if match["step"] is not None and not 1 <= int(match["step"]) <= most:
        raise ValueError(f"{name} {part!r} has a step that is not between 1 and {most}")


Cron = Annotated[str, AfterValidator(check_cron)]
TimeZone = Annotated[str, AfterValidator(check_timezone)]
