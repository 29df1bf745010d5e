"""How numbers are written for people: in the page and on the terminal as in the messages of alerts."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from alerts.figures import format_likely, format_percent, format_signed_usd, format_usd

UNKNOWN = "–"


def usd(amount_usd: Decimal | None) -> str:
    """$12,480 · $48 · $9.85 · $0.37 · $0.0042."""
    return UNKNOWN if amount_usd is None else format_usd(amount_usd)


def signed_usd(amount_usd: Decimal | None) -> str:
    return UNKNOWN if amount_usd is None else format_signed_usd(amount_usd)


def percent(share: Decimal | None) -> str:
    """0.073 → 7.3%, 0.42 → 42%."""
    return UNKNOWN if share is None else format_percent(share * 100)


def likely(probability: Decimal) -> str:
    """0.7 → 70% likely. A forecast is never sure: over 99% likely, under 1% likely."""
    return f"{format_likely(float(probability))} likely"


def change(now: Decimal | None, before: Decimal | None) -> Decimal | None:
    """The relative change, 0.12 for 12% more; None where there is nothing to compare with."""
    if now is None or before is None or before <= 0:
        return None
    return (now - before) / before


def signed_percent(share: Decimal | None) -> str:
    """+12%, -3%, ±0%: whole percents."""
    if share is None:
        return UNKNOWN
    whole = (share * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    if whole == 0:
        return "±0%"
    return f"{'+' if whole > 0 else '-'}{abs(whole):,f}%"


def day(when: date | None) -> str:
    """18 Oct"""
    return UNKNOWN if when is None else f"{when.day} {when:%b}"


def long_day(when: date) -> str:
    """Sunday 18 October 2026"""
    return f"{when:%A} {when.day} {when:%B %Y}"


def title(slug: str) -> str:
    """support_chat → Support chat; `shared: tax` → Shared: tax; `shared: not AI` → Not AI."""
    text = "not AI" if slug == "shared: not AI" else slug.replace("_", " ")
    return text[:1].upper() + text[1:]


def plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
