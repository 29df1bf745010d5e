"""How numbers are written."""

from datetime import date
from decimal import Decimal

import pytest

from flows.report import figures


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("12480.4", "$12,480"),
        ("482.49", "$482"),
        ("0.371", "$0.37"),
        ("0.00423", "$0.0042"),
        ("0", "$0"),
        (None, "–"),
    ],
)
def test_usd_keeps_about_three_digits(amount: str | None, text: str) -> None:
    assert figures.usd(None if amount is None else Decimal(amount)) == text


@pytest.mark.parametrize(
    ("share", "text"), [("0.073", "7.3%"), ("0.42", "42%"), ("0", "0%"), ("1", "100%"), (None, "–")]
)
def test_percent_takes_a_share(share: str | None, text: str) -> None:
    assert figures.percent(None if share is None else Decimal(share)) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [("0.123", "+12%"), ("-0.031", "-3%"), ("0.004", "±0%"), ("-0.004", "±0%"), ("12.514", "+1,251%"), (None, "–")],
)
def test_changes_carry_their_sign(share: str | None, text: str) -> None:
    assert figures.signed_percent(None if share is None else Decimal(share)) == text


def test_change_needs_something_to_compare_with() -> None:
    assert figures.change(Decimal(12), Decimal(10)) == Decimal("0.2")
    assert figures.change(Decimal(12), Decimal(0)) is None
    assert figures.change(None, Decimal(10)) is None
    assert figures.change(Decimal(12), None) is None


def test_words() -> None:
    assert figures.title("support_chat") == "Support chat"
    assert figures.title("shared: tax") == "Shared: tax"
    assert figures.day(date(2026, 10, 8)) == "8 Oct"
    assert figures.day(None) == "–"
    assert figures.plural(1, "incident") == "1 incident"
    assert figures.plural(3, "incident") == "3 incidents"


@pytest.mark.parametrize(
    ("probability", "text"),
    [("0.7", "70% likely"), ("1.00", "over 99% likely"), ("0.99", "99% likely"), ("0", "under 1% likely")],
)
def test_a_forecast_is_never_sure(probability: str, text: str) -> None:
    assert figures.likely(Decimal(probability)) == text
