"""What-ifs against figures worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from alerts.whatifs import (
    DayOfWork,
    Range,
    batched_cost_usd,
    break_even_retries,
    break_even_tokens,
    break_even_usd_per_hour,
    cached_cost_usd,
    cascade_cost_usd,
    cost_per_attempt,
    cost_per_million_tokens_usd,
    pod_usd_per_month,
    pods_needed,
    quantized_cost_usd,
    realised_saving,
    router_cost_usd,
    saving_range,
)

CENT = Decimal("0.01")
D = Decimal


def test_route_by_hand() -> None:
    day = D(500) * D("1.90")  # 500M tokens
    assert day == 950
    cheap = day / 15
    assert router_cost_usd(day, cheap, share=D("0.7")).quantize(CENT) == D("329.33")
    assert router_cost_usd(day, cheap, share=D("0.7"), classifier_usd=D(10)).quantize(CENT) == D("339.33")
    assert cascade_cost_usd(day, cheap, escalated=D("0.3")).quantize(CENT) == D("348.33")


def test_a_cheaper_model_that_needs_more_tokens() -> None:
    attempt = cost_per_attempt(D("3.50"), D(15), token_ratio=D(3))
    assert attempt == D("0.70")
    # Per success it costs the same at 70% relative success, more below.
    assert attempt / D("0.70") == 1
    assert attempt / D("0.69") > 1


def test_self_hosting_by_hand() -> None:
    assert pod_usd_per_month(D(19)) == 13_870
    assert round(break_even_tokens(D(19), D(15)) / 1_000_000) == 925
    assert (break_even_tokens(D(19), D("3.50")) / 10**9).quantize(CENT) == D("3.96")
    assert break_even_tokens(D(19), D(15), ops_usd_per_month=D(1130)) == 1_000_000_000
    # The folklore of 20 to 100 million a month against $15: hardware for 41 cents to $2.05 an hour.
    assert break_even_usd_per_hour(D(20_000_000), D(15)).quantize(CENT) == D("0.41")
    assert break_even_usd_per_hour(D(100_000_000), D(15)).quantize(CENT) == D("2.05")
    assert cost_per_million_tokens_usd(D(19), D(2800)).quantize(D("0.001")) == D("1.885")


def test_as_many_pods_as_the_traffic_needs() -> None:
    # 2,800 tokens a second for half of 730 hours: 3,679.2M a month.
    assert pods_needed(D(3_679_200_000), D(2800), utilisation=D("0.5")) == 1
    assert pods_needed(D(3_679_200_001), D(2800), utilisation=D("0.5")) == 2
    assert pods_needed(D(0), D(2800), utilisation=D("0.5")) == 1


def test_cache_batch_and_quantize() -> None:
    prices = {"input": D(3), "cache_read": D("0.3"), "cache_write": D("3.75"), "output": D(15)}
    tokens = {"input": 10**6, "cache_read": 0, "cache_write": 0, "output": 10**5}
    # .4M at $3, .48M read at .3, .12M written at 3.75, .1M out at $15.
    cached = cached_cost_usd(tokens, prices, cacheable_share=D("0.6"), hit_rate=D("0.8"))
    assert cached == D("1.2") + D("0.144") + D("0.45") + D("1.5")
    assert batched_cost_usd(D(100), D(50), share=D("0.4")) == 80
    assert quantized_cost_usd(D(160), gain=D("1.6"), retries=D(0), new_retries=D("0.1")) == 110
    assert break_even_retries(gain=D("1.6"), retries=D("0.05")) == D("0.68")
    with pytest.raises(ValueError, match="positive"):
        quantized_cost_usd(D(1), gain=D(0), retries=D(0), new_retries=D(0))


def test_an_answer_is_a_range() -> None:
    share, traffic = Range(D("0.4"), D("0.6"), D("0.8")), Range(D("0.9"), D(1), D("1.2"))
    saving = saving_range(lambda share: 100 - router_cost_usd(D(100), D(10), share=share), traffic, share=share)
    assert saving == Range(D("32.4"), D(54), D("86.4"))
    loss = saving_range(lambda share: -10 * share, traffic, share=share)
    assert (loss.low, loss.expected, loss.high) == (D("-9.6"), D(-6), D("-3.6"))
    with pytest.raises(ValueError, match="goes up"):
        Range(D(2), D(1), D(3))


def test_a_realised_saving_is_of_the_unit_cost() -> None:
    # $1 a task becomes 60 cents while tasks double: 40 cents × 200 a day × 365 / 12.
    before = [DayOfWork(D(100) + n % 3, 100) for n in range(28)]
    after = [DayOfWork(D(120) + n % 3, 200) for n in range(14)]
    saved = realised_saving(before, after)
    assert saved is not None
    mean = (D(2827) / 2800 - D(1693) / 2800) * 200 * 365 / 12
    assert saved.expected.quantize(CENT) == mean.quantize(CENT)
    assert D(0) < saved.expected - saved.low < D(60)
    assert (saved.high - saved.expected).quantize(CENT) == (saved.expected - saved.low).quantize(CENT)


def test_too_few_days_say_nothing() -> None:
    day = DayOfWork(D(1), 1)
    assert realised_saving([day] * 28, [day] * 6) is None
    assert realised_saving([day] * 28, [DayOfWork(D(1), 0)] * 14) is None
    flat = realised_saving([day] * 28, [day] * 14)
    assert flat == Range.exactly(0)
