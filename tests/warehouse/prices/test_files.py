"""prices.yml is strict: every problem with its line, its field and what would be right."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from warehouse.prices import PricesError, load_prices, parse_prices

ENTRY = "version: 1\nprices:\n  - provider: openai\n    valid_from: 2026-01-01\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "prices.yml:1: the file must be a mapping"),
        ("version: 2", "prices.yml:1: version: this program reads version 1, not '2'"),
        ("version: 1\nprizes: []", "prices.yml:2: prizes: unknown key; did you mean 'prices'?"),
        (ENTRY, "prices.yml:3: prices[0]: write either `percent:` or `usd_per_million_tokens:`"),
        (
            ENTRY + "    percent: 5\n    percnt: 5",
            "prices.yml:6: prices[0].percnt: unknown key; did you mean 'percent'?",
        ),
        (ENTRY + "    percent: -100", "prices.yml:5: prices[0].percent: input should be greater than -100, not '-100'"),
        (ENTRY + "    percent: nan", "prices.yml:5: prices[0].percent: input should be a finite number, not 'nan'"),
        (ENTRY + "    percent: 1\n    percent: 2", "prices.yml:6: prices[0].percent: this key is written twice"),
        (ENTRY + "    percent: 1\n    valid_to: 2025-01-01", "valid_to is before valid_from 2026-01-01"),
        (ENTRY + "    percent: 1\n    tier: fast", "prices.yml:6: prices[0].tier: input should be 'standard', 'batch'"),
        (
            ENTRY + "    usd_per_million_tokens: {input: -1}",
            "prices.yml:5: prices[0].usd_per_million_tokens.input: input should be greater than or equal to 0",
        ),
        (ENTRY + "    usd_per_million_tokens: {inputs: 1}", "unknown key; did you mean 'input'?"),
        (ENTRY + "    usd_per_million_tokens: {}", "usd_per_million_tokens names no kind of token"),
        ("version: 1\nprices: [{provider: a, percent: 1}]", "prices.yml:2: prices[0].valid_from: this key is required"),
        ("version: 1\nprices: [", "prices.yml:2: not valid YAML"),
    ],
)
def test_what_is_wrong_is_told(text: str, says: str) -> None:
    with pytest.raises(PricesError) as told:
        parse_prices(text)
    assert says in str(told.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(PricesError) as told:
        parse_prices(ENTRY + "    percent: x\n    modell: y\n  - {}\n")
    assert str(told.value).count("prices.yml:") == 4


def test_numbers_are_read_as_they_stand() -> None:
    prices = parse_prices(ENTRY + "    usd_per_million_tokens: {input: 0.1, output: 0.30}").prices[0]
    assert prices.usd_per_million_tokens is not None
    assert prices.usd_per_million_tokens.named() == {"input": Decimal("0.1"), "output": Decimal("0.30")}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="no such file"):
        load_prices(tmp_path / "prices.yml")
