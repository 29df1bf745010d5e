"""Public holidays as planned events. They are all called "holiday": one regressor, one kind of day."""

from __future__ import annotations

from datetime import date, timedelta

from alerts.forecast.panel import PlannedEvent

HOLIDAY = "holiday"


def us_federal_holidays(start: date, end: date) -> tuple[PlannedEvent, ...]:
    """United States federal holidays (5 U.S.C. 6103) from `start` to `end`, both included, on their own day; one that
    falls on a Saturday or Sunday also on the weekday it is observed on."""
    days: set[date] = set()
    for year in range(start.year, end.year + 2):  # New Year's Day may be observed in the year before
        fixed = [date(year, 1, 1), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25)]
        if year >= 2021:
            fixed.append(date(year, 6, 19))
        for day in fixed:
            days.add(day)
            if day.weekday() == 5:
                days.add(day - timedelta(days=1))
            elif day.weekday() == 6:
                days.add(day + timedelta(days=1))
        days.update(
            (
                _nth_weekday(year, 1, 0, 3),
                _nth_weekday(year, 2, 0, 3),
                _nth_weekday(year, 6, 0, 1) - timedelta(days=7),  # the last Monday of May
                _nth_weekday(year, 9, 0, 1),
                _nth_weekday(year, 10, 0, 2),
                _nth_weekday(year, 11, 3, 4),
            )
        )
    return tuple(PlannedEvent(HOLIDAY, day, day) for day in sorted(days) if start <= day <= end)


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
