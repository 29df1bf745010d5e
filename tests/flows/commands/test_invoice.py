"""`trendbreak invoice`, through the command line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from flows.commands.invoice import _read_amount
from tests.flows.command import trendbreak
from tests.flows.small_bill import bill_lines, first_day, write_small_home


def test_an_invoice_is_compared_with_the_charges_of_its_month(ran: Path) -> None:
    assert "no invoice is recorded yet" in trendbreak("invoice", "list", cwd=ran).stdout
    month = f"{first_day():%Y-%m}"
    lines = [line for line in bill_lines(first_day(), 60)[1:] if line.split(",")[5].startswith(month)]
    billed = sum((Decimal(line.split(",")[0]) for line in lines), Decimal(0))
    exact = trendbreak("invoice", "add", "drop", month, f"{billed:.2f}", "USD", cwd=ran)
    assert exact.returncode == 0, exact.stderr
    assert "unexplained" not in exact.stdout
    assert f"invoice {billed:,.2f} USD" in exact.stdout
    dearer = trendbreak("invoice", "add", "drop", month, f"{billed + 100:.2f}", "USD", cwd=ran)
    assert "unexplained +" in dearer.stdout
    listed = trendbreak("invoice", "list", cwd=ran).stdout
    assert listed.count("invoice ") == 1  # the second replaced the first
    assert "unexplained +" in listed


def test_an_amount_has_as_many_decimals_as_a_charge() -> None:
    assert _read_amount("5033.995571679860") == Decimal("5033.995571679860")
    assert _read_amount("-12.50") == Decimal("-12.5")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("dorp", "2026-01", "1", "USD"), "did you mean 'drop'?"),
        (("drop", "January", "1", "USD"), "'January' is no month"),
        (("drop", "2026-01", "1,234.50", "USD"), "'1,234.50' is no amount"),
        (("drop", "2026-01", "nan", "USD"), "'nan' is no amount"),
        (("drop", "2026-01", "1_000", "USD"), "'1_000' is no amount"),
        (("drop", "2026-01", "0.1234567890123", "USD"), "more than 12 decimals"),
        (("drop", "2026-01", "1234567890123456", "USD"), "at most 15 digits before the point"),
        (("drop", "2026-01", "1", "dollars"), "'dollars' is no currency"),
    ],
)
def test_what_cannot_be_an_invoice_is_refused(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    from rich.console import Console

    from flows.commands.invoice import add_invoice
    from flows.errors import FlowError
    from flows.settings import load_settings

    settings = load_settings(write_small_home(tmp_path, days=1))
    with pytest.raises(FlowError, match=told.replace("?", r"\?")):
        add_invoice(settings, *arguments, Console())
    assert not (tmp_path / "data").exists()
