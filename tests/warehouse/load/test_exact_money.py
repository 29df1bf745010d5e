"""Sums in core.charges are the sums of what stands in the files, digit for digit."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.warehouse.bills import Home, bedrock_row, everything, focus_row, one, rows_of, sums
from warehouse.errors import LoadError
from warehouse.store import Warehouse

COSTS = [
    "0.1",
    "0.2",
    "1E-7",
    "8.079781016308774e-14",
    "0.1234567890123456",
    "-3.5e-05",
    "0.00000080000",
    "123456.789012345678",
    "-0.00000000603",
    "4500.0000001",
]


def exact(costs: list[str]) -> Decimal:
    return sum((Decimal(cost).quantize(Decimal("1e-12"), ROUND_HALF_UP) for cost in costs), Decimal(0))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "text.parquet"])
def test_text_costs_are_exact(home: Home, wh: Warehouse, name: str) -> None:
    home.load_focus(wh, [focus_row(1 + i % 28, cost) for i, cost in enumerate(COSTS)], name)
    assert sums(wh) == (exact(COSTS), exact(COSTS))


@pytest.mark.parametrize("kind", [pa.float64(), pa.decimal128(20, 8), pa.decimal128(38, 12), pa.decimal128(38, 18)])
def test_parquet_types_are_exact(home: Home, wh: Warehouse, kind: pa.DataType) -> None:
    costs = ["0.1", "0.2", "-3.50000001", "9000.12345678", "123456.78901234"] * 3
    types = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost"), kind)
    home.load_focus(wh, [focus_row(1, cost) for cost in costs], "a.parquet", types=types)
    assert sums(wh) == (exact(costs), exact(costs))


def test_decimals_that_would_be_misread_are_refused(home: Home, wh: Warehouse) -> None:
    with pytest.raises(LoadError, match=r"a\.parquet, column BilledCost: .* 50 digits"):
        home.load_focus(wh, [focus_row(1, "0.1")], "a.parquet", types={"BilledCost": pa.decimal256(50, 12)})


def test_single_precision_means_its_shortest_text(home: Home, wh: Warehouse) -> None:
    types = {"BilledCost": pa.float32(), "EffectiveCost": pa.float32()}
    home.load_focus(wh, [focus_row(1, "0.1"), focus_row(1, "0.2")], "a.parquet", types=types)
    assert sums(wh)[0] == Decimal("0.3")


def test_whole_numbers(home: Home, wh: Warehouse) -> None:
    types = {"BilledCost": pa.int64(), "EffectiveCost": pa.int32()}
    home.load_focus(wh, [focus_row(1, "7"), focus_row(2, "-2")], "a.parquet", types=types)
    assert sums(wh) == (Decimal(5), Decimal(5))


def test_files_of_one_delivery_may_differ_in_type(home: Home, wh: Warehouse) -> None:
    """An integer column in the first file must not make 1.5 in the second one 2, nor drop its new column."""
    from tests.warehouse.bills import focus_scan, parquet_bytes
    from warehouse.load import load_delivery

    first = focus_row(1, "1")
    del first["SkuMeter"]
    second = focus_row(2, "1.5", ServiceName="Amazon Bedrock", SkuMeter="USE1-Claude4.6Sonnet-input-tokens")
    delivery = home.land(
        {
            "1.parquet": parquet_bytes([first], dict.fromkeys(("BilledCost", "EffectiveCost"), pa.int64())),
            "2.parquet": parquet_bytes([second], dict.fromkeys(("BilledCost", "EffectiveCost"), pa.float64())),
        },
        scope="both",
    )
    load_delivery(wh, delivery, (focus_scan(delivery.files.values(), second),), now=home.clock)
    assert sums(wh)[0] == Decimal("2.5")
    assert one(wh, "SELECT sku_meter FROM core.charges WHERE charge_date = '2026-01-02'") == second["SkuMeter"]


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("us", tz="UTC"), pa.timestamp("ns", tz="America/New_York"), pa.string()]
)
def test_a_charge_belongs_to_the_utc_day_on_which_it_starts(home: Home, wh: Warehouse, kind: pa.DataType) -> None:
    row = focus_row(5, hour=23)
    types = {"ChargePeriodStart": kind, "ChargePeriodEnd": kind, "BillingPeriodStart": kind}
    home.load_focus(wh, [row], "a.parquet", types=types)
    assert str(one(wh, "SELECT charge_date FROM core.charges")) == "2026-01-05"
    assert str(one(wh, "SELECT billing_period_start FROM core.charges")) == "2026-01-01"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-05", "2026-01-05"),
        ("2026-01-05 23:00:00", "2026-01-05"),
        ("2026-01-05T23:00:00", "2026-01-05"),
        ("2026-01-05T23:00:00Z", "2026-01-05"),
        ("2026-01-05T23:00:00.000Z", "2026-01-05"),
        ("2026-01-05T23:00Z", "2026-01-05"),
        ("2026-01-05T23:00:00-05:00", "2026-01-06"),
        ("2026-01-05T23:00-05:00", "2026-01-06"),
        ("2026-01-05 23:00+00:00", "2026-01-05"),
        ("2026-01-05 23:00:00 UTC", "2026-01-05"),
    ],
)
def test_points_in_time_as_text(home: Home, wh: Warehouse, text: str, day: str) -> None:
    home.load_focus(wh, [focus_row(1, ChargePeriodStart=text)])
    assert str(one(wh, "SELECT charge_date FROM core.charges")) == day


def test_unknown_list_cost_stays_unknown(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, ListCost=None), focus_row(1), focus_row(2)])
    assert one(wh, "SELECT list_cost FROM core.charges WHERE charge_date = '2026-01-01'") is None
    assert one(wh, "SELECT list_cost FROM core.charges WHERE charge_date = '2026-01-02'") == Decimal("1.5")


amounts = st.decimals(min_value=-10_000_000, max_value=10_000_000, places=12, allow_nan=False).map(
    lambda amount: f"{amount:.12f}"
)
scientific = st.tuples(st.integers(-9999, 9999), st.integers(-18, 5)).map(lambda pair: f"{pair[0]}E{pair[1]}")


@pytest.mark.properties
@settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    costs=st.lists(st.one_of(amounts, scientific), min_size=1, max_size=12),
    seed=st.randoms(use_true_random=False),
    form=st.sampled_from(["csv", "text.parquet", "decimal.parquet"]),
)
def test_any_costs_add_up_whatever_their_order(
    home: Home, wh: Warehouse, costs: list[str], seed: Any, form: str
) -> None:
    services = ["Amazon Bedrock", "Amazon Simple Storage Service", None]
    rows = [
        focus_row(1 + i % 3, cost, ServiceName=services[i % 3], Tags=[None, "{}", '{"a": "1"}'][i % 3])
        for i, cost in enumerate(costs)
    ]
    types = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost"), pa.decimal128(38, 12))
    name = "a.csv" if form == "csv" else f"{form}"
    home.load_focus(wh, rows, name, scope="any", types=types if form == "decimal.parquet" else None)
    by_day = wh.con.execute(
        "SELECT charge_date, sum(effective_cost) FROM core.charges GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert sum(cost for _, cost in by_day) == exact(costs)
    seed.shuffle(rows)
    home.load_focus(wh, rows, name, scope="any", types=types if form == "decimal.parquet" else None)
    again = wh.con.execute("SELECT charge_date, sum(effective_cost) FROM core.charges GROUP BY 1 ORDER BY 1").fetchall()
    assert again == by_day


def test_amounts_of_more_than_twelve_decimals_are_rounded_and_told(home: Home, wh: Warehouse) -> None:
    rows = [
        focus_row(1, "0.1234567890124"),
        focus_row(2, "1.00000000000049"),
        focus_row(3, "4E-13", ListCost="1"),
        focus_row(4, "2.5000000000000"),
        focus_row(5, "1E-7"),
    ]
    notes = home.load_focus(wh, rows).notes
    told = "3 amounts have more than 12 decimals; rounding them changes the sum by -0.00000000000129"
    assert f"EffectiveCost: {told}" in notes
    assert sum("decimals" in note for note in notes) == 3
    assert not any("decimals" in note for note in home.load_focus(wh, [focus_row(9, "1.5")], "b.csv").notes)


def test_decimals_of_a_parquet_file_are_looked_at_too(home: Home, wh: Warehouse) -> None:
    fine = {"BilledCost": pa.decimal128(38, 14), "EffectiveCost": pa.decimal128(30, 9), "ListCost": pa.float64()}
    notes = home.load_focus(wh, [focus_row(1, "0.12345678901244", EffectiveCost="1")], "a.parquet", types=fine).notes
    assert [note for note in notes if "decimals" in note] == [
        "BilledCost: 1 amount has more than 12 decimals; rounding it changes the sum by -0.00000000000044"
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_amount_that_does_not_fit_is_named(home: Home, wh: Warehouse, name: str) -> None:
    rows = [focus_row(1, "1"), focus_row(2, "1" + "0" * 27)]
    with pytest.raises(LoadError, match=r"row 2.*BilledCost.*more than the 26 digits before the point"):
        home.load_focus(wh, rows, name, types=dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost"), pa.float64()))


def test_sums_that_do_not_fit_are_an_error_and_not_a_crash(home: Home, wh: Warehouse) -> None:
    before = everything(wh)
    rows = [focus_row(day, "9" + "0" * 25, hour=hour) for day in (1, 2) for hour in (0, 1)]
    with pytest.raises(
        LoadError, match=r"^a\.csv, row 1, line 2, column \w+Cost: '90+' with it the sums do not fit into 38"
    ):
        home.load_focus(wh, rows)
    quantities = [bedrock_row(1, "1"), bedrock_row(1, "1", ConsumedQuantity="9" + "0" * 24, ConsumedUnit="1M tokens")]
    with pytest.raises(
        LoadError, match=r"row 2, line 3, column ConsumedQuantity.*tokens or hours.* do not fit into 38"
    ):
        home.load_focus(wh, quantities)
    in_rials = [focus_row(1, "1"), focus_row(2, "9" + "0" * 20, BillingCurrency="IRR")]
    with pytest.raises(LoadError, match=r"row 2, line 3, column \w+Cost.*in US dollars at 900000000000 each"):
        home.load_focus(wh, in_rials, rates=[("IRR", date(2020, 1, 1), Decimal(900_000_000_000))])
    assert everything(wh) == before


def test_small_doubles_are_added_up_in_whole_units_and_exactly(home: Home, wh: Warehouse) -> None:
    """Below 4,000 the digits that money keeps are counted as integers; the sum is that of the decimals."""
    costs = [
        "0.1",
        "0.2",
        "3999.999999999999",
        "-3999.000000000001",
        "1E-7",
        "4e-13",
        "-0.0000000000035",
        "1234.000000000001",
    ]
    types = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ConsumedQuantity"), pa.float64())
    rows = [bedrock_row(1, cost, ConsumedQuantity=cost) for cost in costs] + [focus_row(1, "2.5")]
    home.load_focus(wh, rows, "a.parquet", types=types)
    assert sums(wh) == (exact([*costs, "2.5"]), exact([*costs, "2.5"]))
    assert one(wh, "SELECT sum(consumed_quantity) FROM core.charges WHERE ai_kind = 'llm_api'") == exact(costs)
    assert one(wh, "SELECT sum(list_cost) FROM core.charges") == exact([*costs, "2.5"])


def test_no_amount_is_no_zero(home: Home, wh: Warehouse) -> None:
    types = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ConsumedQuantity"), pa.float64())
    rows = [bedrock_row(1, "1", ListCost=None, ConsumedQuantity=None), bedrock_row(2, "1", ConsumedQuantity=None)]
    home.load_focus(wh, rows, "a.parquet", types=types)
    assert rows_of(wh, "SELECT charge_date, list_cost, consumed_quantity FROM core.charges ORDER BY 1") == [
        (date(2026, 1, 1), None, None),
        (date(2026, 1, 2), Decimal(1), None),
    ]


@pytest.mark.parametrize("zone", [None, "UTC", "+09:00", "America/New_York"])
def test_the_day_is_the_utc_day_in_whatever_zone_a_file_writes(home: Home, wh: Warehouse, zone: str | None) -> None:
    types = {"ChargePeriodStart": pa.timestamp("us", zone), "BilledCost": pa.float64()}
    home.load_focus(wh, [focus_row(3, "1", hour=23), focus_row(4, "2", hour=0)], "a.parquet", types=types)
    assert rows_of(wh, "SELECT charge_date, billed_cost FROM core.charges ORDER BY 1") == [
        (date(2026, 1, 3), Decimal(1)),
        (date(2026, 1, 4), Decimal(2)),
    ]
