"""The parts of a change: exact, without residual, and on the driver that changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.drivers import DRIVERS, KINDS, SUCCESS_DRIVERS, ModelTraffic, Outcomes, Period, explain_change

PRICES = {  # US dollars per million tokens
    "large": {"input": Decimal(3), "cache_read": Decimal("0.3"), "cache_write": Decimal("3.75"), "output": Decimal(15)},
    "small": {
        "input": Decimal("0.25"),
        "cache_read": Decimal("0.025"),
        "cache_write": Decimal(0),
        "output": Decimal(2),
    },
}


@dataclass(frozen=True)
class World:
    """A feature of two models; every driver is one number."""

    days: int = 28
    tasks: int = 100_000
    calls_per_task: Decimal = Decimal("2.5")
    retries: Decimal = Decimal("0.04")  # per first call
    large_share: Decimal = Decimal("0.7")
    input_tokens: Mapping[str, int] = field(default_factory=lambda: {"large": 6000, "small": 2000})
    output_tokens: Mapping[str, int] = field(default_factory=lambda: {"large": 500, "small": 200})
    cache_rate: Decimal = Decimal("0.6")
    price: Decimal = Decimal(1)
    idle_usd: Decimal = Decimal(900)

    def period(self) -> Period:
        first = int(self.tasks * self.calls_per_task)
        models = []
        for name, share in (("large", self.large_share), ("small", 1 - self.large_share)):
            calls, retries = int(first * (1 + self.retries) * share), int(first * self.retries * share)
            whole = calls * self.input_tokens[name]
            cached = int(whole * self.cache_rate)
            tokens = {
                "input": whole - cached,
                "cache_read": cached,
                "cache_write": 0,
                "output": calls * self.output_tokens[name],
            }
            prices = PRICES[name]
            cost = sum((tokens[kind] * prices[kind] for kind in KINDS), Decimal(0)) / 1_000_000 * self.price
            models.append(ModelTraffic("acme", name, calls, retries, tokens, prices, cost))
        return Period(self.days, self.tasks, models, self.idle_usd)


BEFORE = World()
shares = st.decimals("0.01", 1, places=4)


# Driver → the field of World that it is, and what it becomes: little and much, less and more, to nothing and from it.
SIZES: Mapping[str, tuple[str, tuple[object, ...]]] = {
    "tasks": ("tasks", (10_000, 95_000, 104_000, 170_000, 900_000)),
    "calls_per_task": ("calls_per_task", (Decimal(1), Decimal("2.4"), Decimal("2.6"), Decimal(4), Decimal(20))),
    "retries": ("retries", (Decimal(0), Decimal("0.01"), Decimal("0.06"), Decimal("0.5"), Decimal(3))),
    "input_tokens_per_call": (
        "input_tokens",
        tuple({"large": 6000 * n // 20, "small": 2000 * n // 20} for n in (2, 19, 21, 30, 200)),
    ),
    "output_tokens_per_call": (
        "output_tokens",
        tuple({"large": 500 * n // 20, "small": 200 * n // 20} for n in (2, 18, 22, 40, 200)),
    ),
    "cache_rate": ("cache_rate", tuple(Decimal(rate) for rate in ("0", "0.05", "0.55", "0.65", "0.95", "1"))),
    "model_mix": ("large_share", tuple(Decimal(share) for share in ("0", "0.2", "0.68", "0.72", "1"))),
    "price": ("price", tuple(Decimal(factor) for factor in ("0.2", "0.97", "1.03", "1.25", "6"))),
    "idle": ("idle_usd", tuple(Decimal(usd) for usd in ("0", "850", "960", "3000", "90000"))),
}
CHANGES = [(driver, {name: value}) for driver, (name, values) in SIZES.items() for value in values]


def test_every_driver_is_tried() -> None:
    assert set(SIZES) == set(DRIVERS)


@pytest.mark.parametrize(("driver", "change"), CHANGES, ids=[f"{d}-{next(iter(c.values()))}" for d, c in CHANGES])
@pytest.mark.parametrize("days", [28, 7])
def test_one_driver_changes_and_it_is_named(driver: str, change: dict[str, Any], days: int) -> None:
    after = replace(BEFORE, **change)
    if days == 7:  # the same a day in a shorter period
        after = replace(after, days=7, tasks=after.tasks // 4, idle_usd=after.idle_usd / 4)
    told = explain_change(BEFORE.period(), after.period())
    change = told.change_usd
    assert abs(change) > 1
    assert told.parts[driver] / change >= Decimal("0.95")
    assert all(abs(usd / change) <= Decimal("0.02") for name, usd in told.parts.items() if name != driver)
    assert told.ranked()[0][0] == driver
    assert sum(told.parts.values()) == change


def test_retries_of_one_model_are_no_change_of_mix() -> None:
    def period(*, large_first: int, large_retries: int, small_retries: int) -> Period:
        traffic = []
        for name, first, retries in (
            ("large", large_first, large_retries),
            ("small", 10_000 - large_first, small_retries),
        ):
            calls = first + retries
            tokens = {"input": calls * 1000, "cache_read": 0, "cache_write": 0, "output": calls * 100}
            prices = PRICES[name]
            cost = sum((tokens[kind] * prices[kind] for kind in KINDS), Decimal(0)) / 1_000_000
            traffic.append(ModelTraffic("acme", name, calls, retries, tokens, prices, cost))
        return Period(7, 10_000, traffic)

    before = period(large_first=4000, large_retries=400, small_retries=0)
    stormy = explain_change(before, period(large_first=4000, large_retries=3000, small_retries=0))
    assert {driver for driver, usd in stormy.parts.items() if usd} == {"retries"}
    mixed = explain_change(before, period(large_first=8000, large_retries=800, small_retries=0))
    assert mixed.parts["model_mix"] / mixed.change_usd >= Decimal("0.95")
    assert max(abs(mixed.parts[name] / mixed.change_usd) for name in DRIVERS if name != "model_mix") <= Decimal("0.02")
    # What the larger one could not do is asked of the smaller, which nobody asks first.
    fallback = explain_change(
        period(large_first=10_000, large_retries=0, small_retries=300),
        period(large_first=10_000, large_retries=0, small_retries=900),
    )
    assert sum(fallback.parts.values()) == fallback.change_usd > 0


def test_by_hand() -> None:
    # One model, one kind: $100 → $300. Calls ×2, tokens per call ×1.5: L = 200 / ln 3; ln 2 and ln 1.5 of it.
    weights = dict.fromkeys(KINDS, Decimal(1))
    before = Period(1, 10, [ModelTraffic("p", "m", 10, 0, {"input": 100}, weights, Decimal(100))])
    after = Period(1, 20, [ModelTraffic("p", "m", 20, 0, {"input": 300}, weights, Decimal(300))])
    parts = explain_change(before, after).parts
    assert parts["tasks"].quantize(Decimal("0.0001")) == Decimal("126.1860")
    assert parts["input_tokens_per_call"].quantize(Decimal("0.0001")) == Decimal("73.8140")
    assert parts["tasks"] + parts["input_tokens_per_call"] == 200


def test_what_begins_belongs_to_what_was_zero() -> None:
    weights = dict.fromkeys(KINDS, Decimal(1))
    old = ModelTraffic("p", "old", 10, 0, {"input": 100}, weights, Decimal(50))
    new = ModelTraffic("p", "new", 10, 0, {"input": 100}, weights, Decimal(80))
    half = ModelTraffic("p", "old", 10, 0, {"input": 100}, weights, Decimal(50))
    begun = explain_change(Period(1, 0, []), Period(1, 10, [new]))
    assert begun.parts["tasks"] == 80
    assert begun.label == "growth"
    replaced = explain_change(Period(1, 10, [old]), Period(1, 10, [new]))
    assert replaced.parts["model_mix"] == 30
    ended = explain_change(Period(1, 20, [half, new]), Period(1, 10, [half]))
    assert sum(ended.parts.values()) == -80
    free = explain_change(
        Period(1, 10, [ModelTraffic("p", "old", 10, 0, {"input": 100}, weights, Decimal(0))]), Period(1, 10, [old])
    )
    assert free.parts["price"] == 50


def test_cost_up_and_unit_cost_flat_is_growth() -> None:
    told = explain_change(
        replace(BEFORE, idle_usd=Decimal(0)).period(), replace(BEFORE, idle_usd=Decimal(0), tasks=180_000).period()
    )
    assert told.label == "growth"
    assert told.by_label()["growth"] == pytest.approx(told.change_usd, rel=Decimal("0.001"))


def test_without_task_ids_a_first_call_is_a_task() -> None:
    before, after = (replace(BEFORE, tasks=n, idle_usd=Decimal(0)).period() for n in (100_000, 150_000))
    told = explain_change(replace(before, tasks=None), after)
    assert told.parts["tasks"] / told.change_usd > Decimal("0.99")


def test_refunds_and_calls_without_tokens_leave_no_residual() -> None:
    weights = dict.fromkeys(KINDS, Decimal(1))
    before = Period(3, None, [ModelTraffic("p", "m", 10, 0, {}, weights, Decimal("-7.1"))])
    after = Period(7, None, [ModelTraffic("p", "m", 20, 3, {"input": 5}, weights, Decimal("13.3"))], Decimal("0.1"))
    told = explain_change(before, after)
    assert sum(told.parts.values()) == told.change_usd == told.after_usd - told.before_usd


def test_a_period_without_days_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        explain_change(Period(0, None, []), Period(1, None, []))


COUNT = st.integers(0, 10**9)
MONEY = st.decimals(-(10**6), 10**9, places=12, allow_nan=False)
WEIGHT = st.decimals(0, 100, places=3, allow_nan=False)


@st.composite
def periods(draw: st.DrawFn) -> Period:
    models = []
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        calls = draw(COUNT)
        models.append(
            ModelTraffic(
                provider=draw(st.sampled_from([None, "p"])),
                model=name,
                calls=calls,
                retries=draw(st.integers(0, calls)),
                tokens={kind: draw(COUNT) for kind in KINDS},
                weights={kind: draw(WEIGHT) for kind in KINDS},
                cost_usd=draw(MONEY),
            )
        )
    return Period(draw(st.integers(1, 40)), draw(st.one_of(st.none(), COUNT)), models, draw(MONEY))


@given(periods(), periods())
@settings(max_examples=150, deadline=None)
def test_parts_add_up_whatever_the_periods(before: Period, after: Period) -> None:
    told = explain_change(before, after)
    assert set(told.parts) == set(DRIVERS)
    assert sum(told.parts.values()) == told.change_usd == after.cost_usd_per_day - before.cost_usd_per_day
    back = explain_change(after, before)
    for driver in DRIVERS:
        assert abs(told.parts[driver] + back.parts[driver]) <= Decimal("1e-9")


def test_fewer_successes_make_a_success_dearer_at_the_same_cost() -> None:
    half, most = Outcomes(Decimal(1), Decimal("0.5")), Outcomes(Decimal(1), Decimal("0.83"))
    told = explain_change(BEFORE.period(), BEFORE.period(), outcomes=(most, half))
    assert told.after_usd / told.before_usd == pytest.approx(Decimal("1.66"))
    assert told.parts["success_rate"] == told.change_usd > 0
    assert {name for name, usd in told.parts.items() if usd} == {"success_rate"}
    # Fine-tuning costs a day more, and a success nothing.
    plain = BEFORE.period()
    tuned = replace(plain, idle_usd=plain.idle_usd + 5000, training_usd=Decimal(5000))
    by_day = explain_change(plain, tuned)
    assert by_day.parts["idle"] == by_day.change_usd > 0
    assert explain_change(plain, tuned, outcomes=(most, most)).change_usd == 0
    # More work at the same cost of each, outcomes that come for fewer tasks, and longer prompts: nothing is left over.
    longer = replace(
        BEFORE, tasks=140_000, idle_usd=Decimal(1260), input_tokens={"large": 9000, "small": 3000}, days=14
    )
    both = explain_change(BEFORE.period(), longer.period(), outcomes=(most, Outcomes(Decimal("0.6"), Decimal("0.83"))))
    assert set(both.parts) == set(SUCCESS_DRIVERS)
    assert sum(both.parts.values()) == both.change_usd
    assert both.parts["success_rate"] == 0
    assert both.ranked()[0][0] == "known_outcomes"
    assert both.parts["input_tokens_per_call"] > 0
    assert abs(both.parts["idle"]) < both.change_usd / 1000


@given(st.tuples(shares, shares, shares, shares), st.integers(0, 5), st.integers(1, 900_000))
@settings(max_examples=40, deadline=None)
def test_parts_of_a_success_add_up(of: tuple[Decimal, ...], retries: int, tasks: int) -> None:
    outcomes = Outcomes(of[0], of[1]), Outcomes(of[2], of[3])
    after = replace(BEFORE, tasks=tasks, retries=Decimal(retries) / 10, idle_usd=Decimal(retries) * -7)
    told = explain_change(BEFORE.period(), after.period(), outcomes=outcomes)
    assert sum(told.parts.values()) == told.change_usd
