"""Figures as people read them: `$1,234`, `+112%`, `Thu 12 Nov`. Decimal in, text out, no locale."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _round(figure: Decimal, places: int) -> Decimal:
    return figure.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def format_usd(usd: Decimal) -> str:
    """US dollars: whole from $10 on, cents below, two significant digits below ten cents where cents do not say it."""
    size = abs(usd)
    if size == 0:
        return "$0"
    if _round(size, 2) >= 10:
        text = f"{_round(size, 0):,}"
    elif _round(size, 2) >= Decimal("0.10") or size == _round(size, 2):
        text = f"{_round(size, 2):,}".removesuffix(".00")
    elif size < Decimal("0.000001"):
        return "less than $0.000001"
    else:
        text = f"{_round(size, 1 - size.adjusted()):f}"
    return f"-${text}" if usd < 0 else f"${text}"


def format_price(usd: Decimal) -> str:
    """A price in US dollars: cents, and up to four digits below $10 where it has them: `$0.125`, `$12.50`, `$20`."""
    if usd < Decimal("0.01"):
        return format_usd(usd)
    whole, _, cents = f"{_round(usd, min(max(3 - usd.adjusted(), 2), 4)):,}".partition(".")
    cents = cents.rstrip("0")
    return f"${whole}.{cents:0<2}" if cents else f"${whole}"


def format_signed_usd(usd: Decimal) -> str:
    """Like `format_usd`, with the sign always there: `+$412`, `-$38.50`."""
    return format_usd(usd) if usd < 0 else f"+{format_usd(usd)}"


def format_usd_range(lower: Decimal, upper: Decimal) -> str:
    """`$330 to $410`; one figure where both ends print alike. A spend cannot be expected below zero."""
    low, high = format_usd(max(lower, Decimal(0))), format_usd(max(upper, Decimal(0)))
    return low if low == high else f"{low} to {high}"


def format_percent(percent: Decimal) -> str:
    """`112` → `112%`; one decimal below ten; thousands separated."""
    places = 1 if abs(percent) < 10 and percent != percent.to_integral_value() else 0
    return f"{_round(percent, places):,}%"


def format_signed_percent(percent: Decimal) -> str:
    text = format_percent(percent)
    return text if text.startswith("-") else f"+{text}"


def format_likely(probability: float) -> str:
    """`70%`; a forecast is never sure: `over 99%`, `under 1%`."""
    if probability > 0.99:
        return "over 99%"
    return "under 1%" if probability < 0.01 else format_percent(Decimal(round(probability * 100)))


def format_count(count: Decimal) -> str:
    """A count of tasks, calls, retries: whole from 10 on, else one decimal where there is a fraction."""
    places = 0 if abs(count) >= 10 or count == count.to_integral_value() else 1
    return f"{_round(count, places):,}"


def format_day(day: date, *, today: date) -> str:
    """`Thu 12 Nov`; with the year when it is more than half a year from `today`."""
    text = f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"
    return text if abs((today - day).days) <= 183 else f"{text} {day.year}"


def format_short_day(day: date) -> str:
    """`12 Nov`."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def format_days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def fit(text: str, limit: int) -> str:
    """At most `limit` characters; cut at the end, with an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"
