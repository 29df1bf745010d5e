"""Dated prices: the catalogue's own answers, what a provider's rules make of them, and negotiated prices over them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.prices import PriceBook, parse_prices
from warehouse.prices.book import KINDS, find_listed

DAY = date(2026, 11, 1)
LISTED = [
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-3-5-sonnet"),
    ("openai", "gpt-5-mini"),
    ("openai", "o3"),  # its price fell in 2025
    ("google", "gemini-2.5-pro"),  # dearer above 200k input tokens
    ("deepseek", "deepseek-chat"),  # cheaper at night
    ("openai", "text-embedding-3-small"),
]


@given(
    model=st.sampled_from(LISTED),
    day=st.dates(date(2024, 1, 1), date(2027, 6, 1)),
    at=st.times(),
    tokens=st.tuples(*[st.integers(0, 400_000)] * 4),
    tier=st.sampled_from([None, "batch"]),
)
@settings(max_examples=150, deadline=None)
def test_a_call_costs_what_the_catalogue_says(
    model: tuple[str, str], day: date, at: time, tokens: tuple[int, int, int, int], tier: str | None
) -> None:
    uncached, read, written, output = tokens
    moment = datetime.combine(day, at, UTC)
    if model[1].startswith("text-embedding"):
        output = 0
    band = PriceBook().price(
        "gcp" if model[0] == "google" else model[0],
        model[1],
        day,
        tier=tier or "standard",
        input_tokens=uncached + read + written,
        at=at,
    )
    usage = Usage(
        input_tokens=uncached + read + written, cache_read_tokens=read, cache_write_tokens=written, output_tokens=output
    )
    if band is None:
        # Only a tier may be unknown on a day: there genai-prices silently answers with the standard price.
        assert tier is not None
        return
    told = calc_price(
        usage,
        model[1],
        provider_id=model[0],
        genai_request_timestamp=moment,
        price_context={"processing": "batch"} if tier else None,
    )
    counts = dict(zip(KINDS, (uncached, read, written, output, 0), strict=True))
    assert band.cost_usd(counts) == told.total_price


def test_the_documented_example() -> None:
    # 30k uncached, 60k read at .1, 10k written (5 minutes) at 1.25, 5k out, of $3/$15 per million.
    band = PriceBook().price("anthropic", "claude-sonnet-4-5", DAY, input_tokens=100_000)
    assert band is not None
    cost = band.cost_usd({"input": 30_000, "cache_read": 60_000, "cache_write": 10_000, "output": 5_000})
    assert cost == Decimal("0.09") + Decimal("0.018") + Decimal("0.0375") + Decimal("0.075")


def test_reasoning_costs_what_output_does_where_it_is_not_priced_apart() -> None:
    band = PriceBook().price("openai", "gpt-5-mini", DAY)
    assert band is not None
    assert band.usd_per_million["reasoning"] == band.usd_per_million["output"] == Decimal(2)


def test_a_context_above_the_threshold_makes_every_token_dearer() -> None:
    book = PriceBook()
    short, long = (book.price("anthropic", "claude-sonnet-4-5", DAY, input_tokens=n) for n in (200_000, 200_001))
    assert short is not None
    assert long is not None
    assert (short.usd_per_million["output"], long.usd_per_million["output"]) == (Decimal(15), Decimal("22.5"))


def test_unknown_is_none_never_zero() -> None:
    book = PriceBook()
    assert book.price("self_hosted", "llama-3.1-70b", DAY) is None
    assert book.price("openai", "no-such-model", DAY) is None
    assert book.price("openai", "gpt-5-mini", date(2026, 1, 1), tier="batch") is None
    embedding = book.price("openai", "text-embedding-3-small", DAY)
    assert embedding is not None
    assert embedding.cost_usd({"input": 1_000_000, "output": 0}) == Decimal("0.02")
    assert embedding.cost_usd({"input": 1_000_000, "output": 1}) is None


def test_bedrock_models_by_our_name_are_at_the_global_price() -> None:
    band = PriceBook().price("aws", "claude-sonnet-4-5", DAY)
    assert band is not None
    assert band.usd_per_million["input"] == Decimal(3)  # the regional price is 3.30
    assert find_listed("aws", "nova-pro") is not None


def test_a_resellers_batch_price_is_not_the_makers() -> None:
    assert PriceBook().price("azure", "gpt-5-mini", DAY) is not None
    assert PriceBook().price("azure", "gpt-5-mini", DAY, tier="batch") is None


NEGOTIATED = parse_prices(
    """
version: 1
prices:
  - {provider: openai, valid_from: 2026-03-01, valid_to: 2026-05-31, percent: -10}
  - {provider: openai, model: gpt-5-mini, valid_from: 2026-04-01, percent: -20}
  - {provider: openai, model: gpt-5-mini, account: proj_a, valid_from: 2026-04-01, usd_per_million_tokens: {input: 0.2}}
  - {provider: openai, model: ft-*, valid_from: 2026-03-01, usd_per_million_tokens: {input: 1, output: 4}}
  - {provider: openai, model: ft-*, valid_from: 2026-03-01, above_input_tokens: 1000,
     usd_per_million_tokens: {input: 2}}
  - {provider: openai, model: ft-*, valid_from: 2026-03-01, tier: batch,
     usd_per_million_tokens: {input: 0.5, output: 2}}
"""
)


@pytest.mark.parametrize(
    ("model", "account", "day", "tier", "tokens", "price"),
    [
        ("gpt-5-mini", None, date(2026, 2, 28), "standard", 1, "0.25"),
        ("gpt-5-mini", None, date(2026, 3, 1), "standard", 1, "0.225"),
        ("gpt-5-mini", None, date(2026, 4, 1), "standard", 1, "0.2"),  # the model's entry before the provider's
        ("gpt-5", None, date(2026, 5, 31), "standard", 1, "1.125"),
        ("gpt-5", None, date(2026, 6, 1), "standard", 1, "1.25"),
        ("gpt-5-mini", "proj_a", date(2026, 4, 2), "standard", 1, "0.2"),
        ("gpt-5-mini", "proj_b", date(2026, 4, 2), "standard", 1, "0.2"),
        ("gpt-5-mini", None, date(2026, 11, 1), "batch", 1, "0.1"),  # a percentage is of every tier
        ("ft-support", None, date(2026, 3, 1), "standard", 1000, "1"),
        ("ft-support", None, date(2026, 3, 1), "standard", 1001, "2"),
        ("ft-support", None, date(2026, 3, 1), "batch", 1001, "0.5"),
        ("ft-support", None, date(2026, 2, 1), "standard", 1, None),
        ("ft-support", None, date(2026, 3, 1), "flex", 1, None),
    ],
)
def test_negotiated_prices(
    model: str, account: str | None, day: date, tier: str, tokens: int, price: str | None
) -> None:
    band = PriceBook(NEGOTIATED).price("openai", model, day, account=account, tier=tier, input_tokens=tokens)
    assert (None if band is None else band.usd_per_million["input"]) == (None if price is None else Decimal(price))


def test_what_an_entry_does_not_name_keeps_its_list_price() -> None:
    book = PriceBook(NEGOTIATED)
    own = book.price("openai", "gpt-5-mini", date(2026, 4, 2), account="proj_a")
    new = book.price("openai", "ft-support", date(2026, 4, 2))
    assert own is not None
    assert new is not None
    assert (own.usd_per_million["output"], own.usd_per_million["cache_read"]) == (Decimal(2), Decimal("0.025"))
    # Without a list price: cached tokens as input, reasoning as output.
    assert (new.usd_per_million["cache_read"], new.usd_per_million["reasoning"]) == (Decimal(1), Decimal(4))
    assert new.origin == "prices.yml from 2026-03-01"


def test_bands_do_not_overlap_and_leave_no_hole() -> None:
    book = PriceBook(NEGOTIATED)
    for day in (date(2026, 2, 1), date(2026, 4, 1), date(2026, 5, 31), date(2026, 6, 1)):
        for model in ("gpt-5-mini", "ft-a", "gemini-2.5-pro", "deepseek-chat"):
            provider = {"gemini-2.5-pro": "gcp", "deepseek-chat": "deepseek"}.get(model, "openai")
            bands = book.bands(provider, model)
            for at in (time(0), time(0, 30), time(16, 29), time(23)):
                for tokens in (0, 1, 1000, 1001, 200_000, 200_001):
                    holding = [band for band in bands if band.holds(day, at, tokens)]
                    assert len(holding) == (0 if model == "ft-a" and day < date(2026, 3, 1) else 1)
