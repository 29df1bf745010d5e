"""Drivers from charges and calls, through the marts, to marts.cost_drivers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alerts.explain import choose_label
from alerts.incidents import break_from_json, break_to_json
from alerts.message.details import list_footnotes, list_parts
from alerts.model import Break, FeaturePanel, Incident
from flows.comparison import Days, compare, days_before, drivers_between, find_parts
from flows.steps.drivers import add_parts, add_parts_to_each, write_drivers
from tests.alerts.stories import CONTEXT
from tests.warehouse.ledger import add_calls, add_charges, build_marts, charge, new_warehouse, rows_of
from warehouse.features import parse_features
from warehouse.series import read_feature_panel
from warehouse.store import Warehouse

FIRST = date(2026, 3, 2)
FEATURES_TEXT = "version: 1\nfeatures: {a: {}, b: {}}\nrules: [{when: {sub_account_id: a}, feature: a}]"
FEATURES = parse_features(FEATURES_TEXT)
# gpt-5 at its list prices: $1.25 in, $.125 cached, $10 out. A call of 80k + 20k cached + 10k out costs $.2025.
CALL = {"model": "gpt-5", "feature": "a", "input_tokens": 80_000, "cache_read_tokens": 20_000, "output_tokens": 10_000}
PRICE = Decimal("0.2025")


def world(
    recent_calls: int, *, weekend_calls: int = 10, recent_factor: Decimal = Decimal(1), recent_fields: Any = None
) -> Warehouse:
    """28 days of ten calls (on weekends `weekend_calls`), then 7 of `recent_calls`, billed at list price times
    `recent_factor`, and of five tasks without a bill: what they cost is not known, and they change nothing."""
    wh = new_warehouse()
    calls, charges = [], []
    for offset in range(35):
        day = FIRST + timedelta(days=offset)
        count = recent_calls if offset >= 28 else weekend_calls if day.weekday() >= 5 else 10
        fields = {**CALL, **(recent_fields or {})} if offset >= 28 else CALL
        calls += [{"called_at": f"{day} 10:{n:02d}:00+00", "task_id": f"{offset}-{n}", **fields} for n in range(count)]
        free = {"provider": "acme", "model": "own", "feature": "a"}
        calls += [
            {"called_at": f"{day} 10:{30 + n}:00+00", "task_id": f"{offset}-free-{n}", **free}
            for n in range(5 if offset >= 28 else 0)
        ]
        usd = count * PRICE * (recent_factor if offset >= 28 else 1)
        charges.append(charge(usd, charge_date=day, model="gpt-5", sub_account_id="a"))
        charges.append(charge(1, charge_date=day, provider="aws", ai_kind="other", sub_account_id="a"))
    add_charges(wh, charges)
    add_calls(wh, calls)
    build_marts(wh, FEATURES)
    write_drivers(wh.con)
    return wh


@pytest.fixture(scope="module")
def grown() -> Warehouse:
    return world(16)


def test_what_changed_stands_in_the_mart(grown: Warehouse) -> None:
    rows = rows_of(grown.con, "SELECT * FROM marts.cost_drivers WHERE driver_change_per_day_usd <> 0")
    assert [(row["driver"], row["driver_label"]) for row in rows] == [("tasks", "growth")]
    (row,) = rows
    assert row["baseline_cost_per_day_usd"] == 10 * PRICE + 1
    assert row["driver_change_per_day_usd"] == row["change_per_day_usd"]
    assert (row["baseline_start"], row["period_start"], row["period_end"]) == (
        FIRST,
        FIRST + timedelta(days=28),
        FIRST + timedelta(days=35),
    )


def test_tokens_and_cache_at_list_prices() -> None:
    # All of the input uncached: 100k at 1.25 instead of 80k and 20k at .125: 2.25 cents a call.
    more = (Decimal("0.225") / PRICE).quantize(Decimal("1e-15"))
    wh = world(10, recent_factor=more, recent_fields={"input_tokens": 100_000, "cache_read_tokens": 0})
    rows = rows_of(wh.con, "SELECT driver, driver_change_per_day_usd AS usd FROM marts.cost_drivers")
    parts = {row["driver"]: row["usd"] for row in rows}
    assert parts.pop("cache_rate") == pytest.approx(Decimal("0.225"), abs=Decimal("1e-6"))
    assert all(abs(usd) < Decimal("1e-6") for usd in parts.values())


def test_any_two_periods_and_features_without_telemetry(grown: Warehouse) -> None:
    wh = grown
    halves = ((FIRST, FIRST + timedelta(days=14)), (FIRST + timedelta(days=14), FIRST + timedelta(days=28)))
    told = drivers_between(wh.con, "a", *halves)
    assert told is not None
    assert told.change_usd == 0
    assert set(told.parts.values()) == {Decimal(0)}
    assert drivers_between(wh.con, "unallocated", *halves) is None
    assert drivers_between(wh.con, "nobody", *halves) is None


def test_an_unknown_amount_is_no_change_of_zero() -> None:
    wh = world(10, recent_factor=Decimal("1.4"))
    rows = rows_of(wh.con, "SELECT driver FROM marts.cost_drivers WHERE driver_change_per_day_usd <> 0")
    assert [row["driver"] for row in rows] == ["price"]
    for statement in (  # a currency without a rate
        "UPDATE core.charge_dimensions SET billing_currency = 'EUR' WHERE charge_group IN "
        "(SELECT charge_group FROM core.charge_amounts WHERE charge_date = $day)",
        "UPDATE core.charge_amounts SET effective_cost_usd = NULL WHERE charge_date = $day",
        "UPDATE ops.delivery_days SET billing_currency = 'EUR' WHERE charge_date = $day",
    ):
        wh.con.execute(statement, {"day": FIRST})
    build_marts(wh, FEATURES)
    write_drivers(wh.con)
    assert rows_of(wh.con, "SELECT * FROM marts.cost_drivers") == []


def make_break(**fields: Any) -> Break:
    plain = {
        "node": "a",
        "direction": "up",
        "kind": "cost",
        "label": "unknown",
        "onset": FIRST + timedelta(days=28),
        "last_day": FIRST + timedelta(days=34),
        "is_active": True,
        "data_through": FIRST + timedelta(days=34),
        "score": 2.0,
        **{
            name: Decimal(1) for name in Break.__dataclass_fields__ if name.endswith(("_per_day", "_total", "_percent"))
        },
    }
    return Break(**{**plain, **fields})


def test_a_break_carries_its_parts_and_a_label_that_they_tell(grown: Warehouse) -> None:
    found = add_parts(grown.con, make_break())
    assert [part.driver for part in found.parts if part.change_usd] == ["tasks"]
    assert sum(part.change_usd for part in found.parts) == 6 * PRICE
    assert found.label == "growth"
    assert break_from_json(break_to_json(found)) == found
    assert list_parts(found, CONTEXT) == ["+$1.22/day: more tasks"]
    told = add_parts(grown.con, make_break(label="mix"))
    assert told.label == "mix"


def test_a_break_of_weekends_has_the_parts_of_weekends() -> None:
    wh = world(10, weekend_calls=4)
    found = add_parts(wh.con, make_break(onset=FIRST + timedelta(days=33), is_weekend_only=True))
    assert list_parts(found, CONTEXT) == ["+$1.22/day: more tasks"]  # 6 x $.2025
    between = replace(found, onset=FIRST + timedelta(days=26))
    assert list_parts(between, CONTEXT) == ["+$1.22 per weekend day: more tasks"]


def test_a_bill_that_stays_the_same_has_parts_that_cancel_out_and_no_label() -> None:
    wh = world(16, recent_factor=Decimal(10) / 16)
    found = add_parts(wh.con, make_break(kind="zero_success"))
    assert sum(part.change_usd for part in found.parts) == 0
    assert {part.driver for part in found.parts if abs(part.change_usd) > Decimal("0.01")} == {"tasks", "price"}
    assert found.label == "unknown"


def test_a_break_whose_parts_cannot_be_worked_out_is_told_without_them_and_the_next_with_its_own(
    grown: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    too_early, notes = make_break(onset=date.min), list[str]()  # no calendar has the 28 days before
    told = add_parts_to_each(grown.con, [too_early, make_break()], notes)
    assert told == [too_early, add_parts(grown.con, make_break())]
    assert notes == ["a: its alert does not say why the cost changed (OverflowError: date value out of range)"]
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


def test_the_parts_of_a_success_count_calls_without_a_bill_by_their_estimate_and_add_up() -> None:
    wh = new_warehouse()
    calls, charges = [], []
    unbilled = {"provider": "anthropic", "model": "claude-haiku-4-5", "input_tokens": 100_000, "output_tokens": 0}
    for offset in range(35):
        at = f"{FIRST + timedelta(days=offset)} 10:00:00+00"
        done = {"called_at": at, "feature": "a", "outcome": "ok"}
        calls += [{**done, **CALL, "task_id": f"{offset}-{n}"} for n in range(10)]
        if offset >= 28:  # $.10 each: $1 a million
            calls += [{**done, **unbilled, "task_id": f"{offset}-haiku-{n}"} for n in range(10)]
        if offset == 30:  # what this day cost is not known: it is in neither side
            calls.append({**done, "provider": "acme", "model": "own", "task_id": "acme"})
        usd = 10 * PRICE * (7 if offset == 30 else 1)
        charges.append(charge(usd, charge_date=at[:10], model="gpt-5", sub_account_id="a"))
        charges.append(charge(1, charge_date=at[:10], provider="aws", ai_kind="other", sub_account_id="a"))
    add_charges(wh, charges)
    add_calls(wh, calls)
    features = FEATURES_TEXT.replace("a: {}", "a: {success: {outcomes: [ok], outcome_settles_days: 0}}")
    build_marts(wh, parse_features(features))
    after = Days(FIRST + timedelta(days=28), FIRST + timedelta(days=34))
    compared = compare(wh.con, "a", days_before(after), after)
    # ($2.025 + $1) / 10 = $.3025; ($2.025 + $1 by estimate + $1) / 20 = $.20125, of which $1 / $4.025 are estimated.
    assert compared.unit_before is not None
    assert compared.unit_after is not None
    assert compared.unit_before.cost_per_success_usd == Decimal("0.3025")
    assert compared.unit_after.cost_per_success_usd == Decimal("0.20125")
    assert (compared.unit_before.estimated_share, compared.unit_after.estimated_share) == (0, Decimal("0.248447"))
    # Half of the tasks go to the other model: -$.2025 / 2 + $.10 / 2; the $1 beside them is shared by twice as many.
    parts = dict(find_parts(wh.con, compared, of_success=True))
    assert parts == {"model_mix": Decimal("-0.05125"), "idle": Decimal("-0.05")}
    told = add_parts(wh.con, make_break(kind="unit_cost", history_days=28))
    assert {part.driver for part in told.parts} == {"model_mix", "idle"}
    assert break_from_json(break_to_json(told)) == told
    assert list_footnotes(told, CONTEXT)[-1] == "25% of what a success cost is estimated: these calls have no bill."
    # The bill says nothing of them: what a day cost has moved by the $12.15 that one day was dearer.
    assert sum(usd for _, usd in find_parts(wh.con, compared, of_success=False)) == Decimal("1.735714285714")


def test_the_parts_of_a_success_count_a_model_of_another_providers_bill_once() -> None:
    wh = new_warehouse()
    days = [FIRST, FIRST + timedelta(days=1)]
    for n, day in enumerate(days):
        own = {"called_at": f"{day} 10:00:00+00", "feature": "a", "outcome": "ok", **CALL, "task_id": f"{n}"}
        haiku = {"provider": "anthropic", "model": "claude-haiku-4-5", "input_tokens": 10**6 * (n + 1)}
        add_calls(wh, [own, {**own, **haiku, "task_id": f"{n}-haiku"}])
    aws = {"provider": "aws", "model": "claude-haiku-4-5", "sub_account_id": "a"}
    add_charges(wh, [charge(1, charge_date=day, model="gpt-5", sub_account_id="a") for day in days])
    add_charges(wh, [charge(usd, charge_date=day, **aws) for day, usd in zip(days, (2, 3), strict=True)])
    build_marts(wh, parse_features(FEATURES_TEXT.replace("a: {}", "a: {success: {outcomes: [ok]}}")))
    wh.con.execute("UPDATE marts.feature_unit_economics_daily SET is_outcome_settled = TRUE")
    compared = compare(wh.con, "a", Days(days[0], days[0]), Days(days[1], days[1]))
    assert compared.unit_after is not None
    assert compared.unit_after.cost_per_success_usd == 2  # ($1 + $3) / 2
    assert find_parts(wh.con, compared, of_success=True) == (("idle", Decimal("0.5")),)


@pytest.mark.parametrize("fields", [{"basis": "estimated"}, {"node": "unallocated"}])
def test_breaks_that_have_no_such_parts_stay_as_they_are(grown: Warehouse, fields: dict[str, Any]) -> None:
    found = make_break(**fields)
    assert add_parts(grown.con, found) == found


def test_cost_up_and_unit_cost_flat_is_growth_to_the_detector_too(grown: Warehouse) -> None:
    panel = FeaturePanel(**read_feature_panel(grown.con, through=FIRST + timedelta(days=34)))
    row = panel.features.index("a")
    assert choose_label(panel, row, [], onset=28, last=34) == "growth"


def opened(found: Break) -> Incident:
    moment = datetime(2026, 4, 6, tzinfo=UTC)
    figures = {name: Decimal(1) for name in ("excess_usd_per_day", "excess_usd_total", "excess_percent")}
    return Incident(
        id="inc-1",
        node=found.node,
        direction="up",
        episode=1,
        kind="cost",
        label=found.label,
        severity="medium",
        status="open",
        onset=found.onset,
        last_day=found.last_day,
        opened_at=moment,
        updated_at=moment,
        resolved_at=None,
        channel="#a",
        owner="",
        **figures,
    )


def test_idle_gpu_hours_are_idle() -> None:
    # 8 device hours a day at $4: 6 served calls; then the machine doubles and nobody calls more.
    wh = new_warehouse()
    calls, charges = [], []
    for offset in range(35):
        day, hours = FIRST + timedelta(days=offset), 16 if offset >= 28 else 8
        calls.append(
            {
                "called_at": f"{day} 10:00:00+00",
                "feature": "a",
                "provider": "self_hosted",
                "model": "llama-3.1-70b",
                "task_id": str(offset),
                "gpu_seconds": 6 * 3600,
            }
        )
        charges.append(
            charge(
                hours * 4,
                charge_date=day,
                provider="aws",
                ai_kind="gpu",
                gpu_hours=hours,
                gpu_type="H100",
                resource_id="i-1",
                sub_account_id="a",
            )
        )
    add_charges(wh, charges)
    add_calls(wh, calls)
    build_marts(wh, FEATURES)
    write_drivers(wh.con)
    rows = rows_of(wh.con, "SELECT driver, driver_change_per_day_usd AS usd FROM marts.cost_drivers")
    assert {row["driver"]: row["usd"] for row in rows if row["usd"]} == {"idle": Decimal(32)}


# What changes in the last week, by the feature that is called like its driver; everything else stays.
USUAL: dict[str, Any] = {"tasks": 20, "steps": 2, "retried": 10, "whole": 10_000, "cached": 2_000, "output": 500}
USUAL |= {"large": 10, "factor": Decimal(1), "idle": Decimal(5)}
ONE_CHANGE: dict[str, dict[str, Any]] = {
    "tasks": {"tasks": 30, "large": 15},
    "calls_per_task": {"steps": 3},
    "retries": {"retried": 2},
    "input_tokens_per_call": {"whole": 15_000, "cached": 3_000},
    "output_tokens_per_call": {"output": 800},
    "cache_rate": {"cached": 8_000},
    "model_mix": {"large": 4},
    "price": {"factor": Decimal("1.3")},
    "idle": {"idle": Decimal(9)},
}
PRICES = {"gpt-5": ("1.25", "0.125", "10"), "gpt-5-mini": ("0.25", "0.025", "2")}


def a_day(feature: str, day: date, now: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tasks of some calls on two models, each `retried`th call asked twice, and the bill at list price × factor."""
    calls, bill = [], dict.fromkeys(PRICES, Decimal(0))
    for task in range(now["tasks"]):
        model = "gpt-5" if task < now["large"] else "gpt-5-mini"
        for step in range(now["steps"]):
            attempts = (1, 2) if (task * now["steps"] + step) % now["retried"] == 0 else (1,)
            for attempt in attempts:
                tokens = (now["whole"] - now["cached"], now["cached"], now["output"])
                calls.append(
                    {
                        "called_at": f"{day} 10:{task:02d}:{step * 2 + attempt:02d}+00",
                        "feature": feature,
                        "model": model,
                        "task_id": f"{feature}-{day}-{task}",
                        "attempt": attempt,
                        **dict(zip(("input_tokens", "cache_read_tokens", "output_tokens"), tokens, strict=True)),
                    }
                )
                bill[model] += sum(n * Decimal(usd) / 1_000_000 for n, usd in zip(tokens, PRICES[model], strict=True))
    plain = {"charge_date": day, "sub_account_id": feature}
    charges = [charge(usd * now["factor"], model=model, **plain) for model, usd in bill.items()]
    return calls, [*charges, charge(now["idle"], provider="aws", ai_kind="other", **plain)]


def test_training_is_caused_by_no_call_and_not_told_as_idle() -> None:
    wh = new_warehouse()
    days = [FIRST + timedelta(days=n) for n in range(35)]
    charges = [charge(PRICE, charge_date=day, model="gpt-5", sub_account_id="a") for day in days]
    tuning = {"model": "gpt-5", "workload": "fine_tuning", "sub_account_id": "a"}
    add_charges(wh, [*charges, *(charge(50, charge_date=day, **tuning) for day in days[28:])])
    add_calls(wh, [{"called_at": f"{day} 10:00:00+00", "task_id": str(day), **CALL} for day in days])
    build_marts(wh, FEATURES)
    found = add_parts(wh.con, make_break())
    assert {part.driver: part.change_usd for part in found.parts if part.change_usd} == {"idle": 50}
    assert found.label == "unknown"


def test_of_one_change_in_the_traffic_nearly_all_lands_on_its_driver() -> None:
    wh = new_warehouse()
    calls, charges = [], []
    for feature, change in ONE_CHANGE.items():
        for offset in range(14):
            now = USUAL | change if offset >= 7 else USUAL
            more_calls, more_charges = a_day(feature, FIRST + timedelta(days=offset), now)
            calls += more_calls
            charges += more_charges
    add_charges(wh, charges)
    add_calls(wh, calls)
    rules = ", ".join(f"{{when: {{sub_account_id: {name}}}, feature: {name}}}" for name in ONE_CHANGE)
    names = ", ".join(f"{name}: {{}}" for name in ONE_CHANGE)
    build_marts(wh, parse_features(f"version: 1\nfeatures: {{{names}}}\nrules: [{rules}]"))
    write_drivers(wh.con)
    rows = rows_of(wh.con, "SELECT * FROM marts.cost_drivers")
    for feature in ONE_CHANGE:
        told = {row["driver"]: row["driver_change_per_day_usd"] for row in rows if row["feature"] == feature}
        (change,) = {row["change_per_day_usd"] for row in rows if row["feature"] == feature}
        assert sum(told.values()) == change
        assert abs(change) > Decimal("0.02")
        assert told.pop(feature) / change >= Decimal("0.95"), (feature, change, told)
        assert all(abs(usd / change) <= Decimal("0.02") for usd in told.values()), (feature, change, told)
