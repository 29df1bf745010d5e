"""A delivery replaces what it replaces, once; what it changes of the past is recorded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.base import Rows, Window
from tests.warehouse.bills import (
    Home,
    call_rows,
    charge_rows,
    csv_bytes,
    everything,
    focus_row,
    one,
    rows_of,
    sums,
    usage_rows,
)
from warehouse.errors import LoadError, OverlapError
from warehouse.forgetting import forget
from warehouse.landing import LandedDelivery
from warehouse.load import load_delivery, loaded_identities
from warehouse.rates import apply_rates
from warehouse.store import Warehouse
from warehouse.terms import Terms, apply_bounds, move_aside
from warehouse.watermarks import is_history_read, mark_history_read


def test_the_same_delivery_again_changes_nothing(home: Home, wh: Warehouse) -> None:
    rows = [focus_row(day, "0.1") for day in range(1, 20)]
    first = home.load_focus(wh, rows)
    before = everything(wh)
    again = home.load_focus(wh, rows)
    assert (first.was_loaded, again.was_loaded, again.restatements) == (True, False, 0)
    assert (again.source_rows, again.charge_rows, again.billed_cost) == (19, first.charge_rows, Decimal("1.9"))
    assert everything(wh) == before


def test_what_charges_say_is_kept_once_and_goes_with_the_last_of_them(home: Home, wh: Warehouse) -> None:
    def kept() -> tuple[object, ...]:
        counted = "SELECT (SELECT count(*) FROM core.{0}), (SELECT count(DISTINCT charge_group) FROM core.{0})"
        return tuple(
            value
            for table in ("charge_dimensions", "charge_amounts")
            for value in wh.con.execute(counted.format(table)).fetchone() or ()
        )

    many = [focus_row(day, "1", ServiceName=name) for day in range(1, 20) for name in ("Amazon S3", "AWS Lambda")]
    home.load_focus(wh, many)
    assert kept() == (2, 2, 38, 2)
    home.load_focus(wh, [focus_row(1, "1", ServiceName="AWS Glue")])
    assert kept() == (1, 1, 1, 1)
    window = Window(date(2026, 1, 1), date(2026, 1, 4))
    home.load_rows(wh, charge_rows({}), window=window, content="a")
    home.load_rows(wh, charge_rows({"charge_date": date(2026, 1, 2)}), window=window, content="b")
    assert kept() == (2, 2, 2, 2)
    home.load_rows(wh, charge_rows(), window=window, content="c")
    assert kept() == (1, 1, 1, 1)


def test_the_order_of_loading_is_no_part_of_what_stands(tmp_path: Path) -> None:
    bills = {"a": [focus_row(1, "1"), focus_row(2, "2", ServiceName="AWS Lambda")], "b": [focus_row(3, "3")]}
    found = []
    for order in (("a", "b", "a"), ("b", "a")):
        home = Home(tmp_path / "".join(order))
        with home.open() as wh:
            for name in order:
                home.load_focus(wh, bills[name], scope=name)
            found.append([rows_of(wh, f"SELECT * FROM core.{t} ORDER BY ALL") for t in ("charge_amounts", "charges")])
    assert found[0] == found[1]


def test_numbers_that_another_delivery_has_are_not_taken(home: Home, wh: Warehouse, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    rows = [focus_row(1, "1")]
    with other.open() as there:
        other.load_focus(there, rows)
        taken = one(there, "SELECT charge_group FROM core.charge_dimensions")
    home.load_focus(wh, [focus_row(1, "5", BillingAccountId="999900001111")], scope="another")
    wh.con.execute("UPDATE core.charge_dimensions SET charge_group = ?", [taken])
    wh.con.execute("UPDATE core.charge_amounts SET charge_group = ?", [taken])
    home.load_focus(wh, rows, scope="drop")
    assert one(wh, "SELECT count(DISTINCT charge_group) FROM core.charge_dimensions") == 2
    assert sorted(row[0] for row in rows_of(wh, "SELECT billed_cost FROM core.charges")) == [1, 5]


def test_changed_rates_reach_shadows(home: Home, wh: Warehouse) -> None:
    euros = focus_row(1, "10", BillingCurrency="EUR")
    home.load_focus(wh, [euros], rates=[("EUR", date(2020, 1, 1), Decimal("1.1"))])
    wh.commit(lambda: move_aside(wh.con, "drop"))
    notes = apply_rates(wh, [("EUR", date(2020, 1, 1), Decimal("1.2"))])
    assert notes == ["currency_rates: 1 charges in EUR are 12 USD now, 11 before"]
    assert one(wh, "SELECT sum(effective_cost_usd) FROM core.shadow_charges") == 12
    assert one(wh, "SELECT count(*) FROM core.charges") == 0


def test_equal_rows_in_other_bytes_restate_nothing(home: Home, wh: Warehouse) -> None:
    rows = [focus_row(day, "0.1") for day in range(1, 20)]
    home.load_focus(wh, rows)
    again = home.load_focus(wh, list(reversed(rows)))
    assert (again.was_loaded, again.restatements) == (True, 0)
    assert sums(wh)[0] == Decimal("1.9")
    assert one(wh, "SELECT count(*) FROM ops.deliveries WHERE is_current") == 1


def test_a_new_delivery_of_a_scope_replaces_the_old_one(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, "1"), focus_row(2, "2"), focus_row(3, "3")])
    result = home.load_focus(wh, [focus_row(1, "1"), focus_row(2, "2.5"), focus_row(4, "4")])
    assert sums(wh)[0] == Decimal("7.5")
    assert result.restatements == 2
    found = rows_of(
        wh,
        "SELECT charge_date, old_effective_cost, new_effective_cost, delta_effective_cost, billing_account_id, "
        "billing_period_start, source_name, delivery_id FROM ops.restatements ORDER BY charge_date",
    )
    account = ("111122223333", date(2026, 1, 1), "drop", result.delivery_id)
    assert found == [
        (date(2026, 1, 2), Decimal(2), Decimal("2.5"), Decimal("0.5"), *account),
        (date(2026, 1, 3), Decimal(3), Decimal(0), Decimal(-3), *account),
    ]


def test_a_change_of_the_invoice_alone_is_a_restatement(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, "1"), focus_row(2, "2", BilledCost="7")])
    result = home.load_focus(wh, [focus_row(1, "1"), focus_row(2, "2", BilledCost="9.5")])
    assert result.restatements == 1
    assert rows_of(
        wh,
        "SELECT charge_date, delta_effective_cost, old_billed_cost, new_billed_cost, delta_billed_cost "
        "FROM ops.restatements",
    ) == [(date(2026, 1, 2), 0, 7, Decimal("9.5"), Decimal("2.5"))]


def test_a_charge_that_comes_late_restates_its_empty_day(home: Home, wh: Warehouse) -> None:
    # A row that is dated ahead, as fees are, does not mean that the days before it had come.
    ahead = {"ChargePeriodStart": "2026-05-01T00:00:00Z", "ChargePeriodEnd": "2026-05-01T01:00:00Z"}
    old = [focus_row(1, "1"), focus_row(3, "3"), focus_row(1, "9", **ahead)]
    home.load_focus(wh, old)
    result = home.load_focus(wh, [*old, focus_row(2, "2"), focus_row(4, "4")])
    assert result.restatements == 1
    assert rows_of(wh, "SELECT charge_date, old_effective_cost FROM ops.restatements") == [
        (date(2026, 1, 2), Decimal(0))
    ]


def test_a_bill_that_goes_back_to_what_it_said_before(home: Home, wh: Warehouse) -> None:
    first, second = [focus_row(1, "1")], [focus_row(1, "2")]
    for rows, expected in ((first, 1), (second, 2), (first, 1), (second, 2)):
        result = home.load_focus(wh, rows)
        assert result.was_loaded
        assert sums(wh)[0] == expected
    deltas = rows_of(wh, "SELECT delta_effective_cost FROM ops.restatements ORDER BY recorded_at")
    assert deltas == [(Decimal(1),), (Decimal(-1),), (Decimal(1),)]
    newest = home.landing.deliveries("drop")[-1]
    assert newest.delivery_id == one(wh, "SELECT delivery_id FROM ops.deliveries WHERE is_current")


def test_other_scopes_stay(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, "1", BillingAccountId="a")], "a.csv")
    home.load_focus(wh, [focus_row(1, "2", BillingAccountId="b")], "b.csv")
    home.load_focus(wh, [focus_row(1, "4", BillingAccountId="a")], "a.csv")
    assert sums(wh)[0] == 6


def test_a_scope_restated_to_empty_is_empty(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, "1")])
    result = home.load_files(wh, {"a.csv": csv_bytes([], columns=list(focus_row()))}, focus_row())
    assert sums(wh)[0] == 0
    assert (result.was_loaded, result.restatements, result.source_rows) == (True, 1, 0)


DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(8)]


def test_a_window_replaces_its_days_and_no_others(home: Home, wh: Warehouse) -> None:
    home.load_rows(
        wh,
        charge_rows(*({"charge_date": day, "billed_cost": Decimal(1)} for day in DAYS[:5])),
        window=Window(DAYS[0], DAYS[5]),
    )
    result = home.load_rows(
        wh,
        charge_rows(
            *({"charge_date": day, "billed_cost": Decimal(2), "effective_cost": Decimal(2)} for day in DAYS[3:7])
        ),
        window=Window(DAYS[3], DAYS[7]),
    )
    assert rows_of(wh, "SELECT billed_cost FROM core.charges ORDER BY charge_date") == [
        (Decimal(cost),) for cost in (1, 1, 1, 2, 2, 2, 2)
    ]
    assert result.restatements == 2


def test_a_window_restated_to_empty_is_empty(home: Home, wh: Warehouse) -> None:
    window = Window(DAYS[0], DAYS[2])
    home.load_rows(wh, charge_rows({"charge_date": DAYS[0]}), usage_rows({}), window=window)
    result = home.load_rows(wh, charge_rows(), usage_rows(), window=window)
    assert result.restatements == 1
    assert one(wh, "SELECT count(*) FROM core.charges") == 0
    assert one(wh, "SELECT count(*) FROM core.metered_usage") == 0


def test_what_was_kept_of_a_refused_meter_comes_again_out_of_landing(
    home: Home, wh: Warehouse, migrated: Path, tmp_path: Path
) -> None:
    metered = "SELECT usage_date, usage_kind, input_tokens FROM core.metered_usage ORDER BY ALL"
    speaking = "SELECT delivery_id FROM ops.deliveries WHERE is_current ORDER BY load_number"
    landed: dict[str, tuple[LandedDelivery, Rows]] = {}

    def load(content: str, days: tuple[int, int], usage: list[tuple[int, str]], *untold: str, until: int = 7) -> str:
        told = [{"usage_date": DAYS[day], "usage_kind": kind, "input_tokens": len(landed) + 1} for day, kind in usage]
        window = Window(DAYS[days[0]], DAYS[days[1]])
        options = {"source": "openai", "source_type": "openai", "scope": "", "replaces": "window"}
        delivery = home.land({"page.json": content.encode()}, window=window, **options)  # type: ignore[arg-type]
        part = replace(usage_rows(*told), untold=untold)
        load_delivery(wh, delivery, (charge_rows(), part), now=home.clock, terms=Terms(until=DAYS[until]))
        landed[delivery.delivery_id] = (delivery, part)
        return delivery.delivery_id

    both = [(day, kind) for day in range(4) for kind in ("completions", "embeddings")]
    order = [
        load("a", (0, 4), both),
        load("restated to nothing", (1, 2), []),
        load("refused", (0, 4), [(0, "embeddings")], "completions"),
        load("refused again", (0, 4), [(3, "embeddings")], "completions"),
        load("refused in part", (2, 6), [(4, "embeddings")], "completions"),
    ]
    stands = rows_of(wh, metered)
    assert stands == [
        (DAYS[0], "completions", 1),
        (DAYS[2], "completions", 1),
        (DAYS[3], "completions", 1),
        (DAYS[4], "embeddings", 5),
    ]
    # What was told before the meter was refused speaks still, and so does what restated it to nothing.
    assert [name for (name,) in rows_of(wh, speaking)] == order
    with Home(Path(shutil.copytree(migrated, tmp_path / "anew"))).open() as anew:
        for delivery, part in map(landed.__getitem__, order):
            load_delivery(anew, delivery, (charge_rows(), part), now=home.clock)
        assert rows_of(anew, metered) == stands

    # Days that no longer count go from what is kept too, and it keeps no history due for ever.
    apply_bounds(wh, "openai", Terms(until=DAYS[3]), now=home.clock)
    load("bounded", (0, 3), [], "completions", until=3)
    assert rows_of(wh, metered) == stands[:2]
    mark_history_read(wh, "openai", now=home.clock)
    apply_bounds(wh, "openai", Terms(until=DAYS[3]), now=home.clock)
    assert is_history_read(wh, "openai")
    # Once the meter answers again, the newest answer speaks alone; and nothing that is kept outlives its source.
    answered = load("answered", (0, 3), [(0, "completions")], until=3)
    assert rows_of(wh, speaking) == [(answered,)]
    load("refused anew", (0, 3), [], "completions", until=3)
    forget(wh, "openai", now=home.clock)
    assert rows_of(wh, metered) == rows_of(wh, speaking) == []


def test_a_window_in_two_parts_says_the_same_as_whole(home: Home, wh: Warehouse) -> None:
    def charges(days: list[date]) -> object:
        return charge_rows(*({"charge_date": day, "billed_cost": Decimal(day.day)} for day in days))

    home.load_rows(wh, charges(DAYS[:4]), window=Window(DAYS[0], DAYS[4]))  # type: ignore[arg-type]
    whole = rows_of(wh, "SELECT * EXCLUDE (delivery_id) FROM core.charges ORDER BY ALL")
    home.load_rows(wh, charges(DAYS[:2]), window=Window(DAYS[0], DAYS[2]))  # type: ignore[arg-type]
    home.load_rows(wh, charges(DAYS[2:4]), window=Window(DAYS[2], DAYS[4]))  # type: ignore[arg-type]
    assert rows_of(wh, "SELECT * EXCLUDE (delivery_id) FROM core.charges ORDER BY ALL") == whole
    assert one(wh, "SELECT count(*) FROM ops.restatements") == 0


def test_an_older_answer_that_returns_speaks_again(home: Home, wh: Warehouse) -> None:
    """Content that is loaded, but of which a newer window has the say over some days, is news."""
    whole, part = Window(DAYS[0], DAYS[4]), Window(DAYS[2], DAYS[6])
    first = charge_rows(*({"charge_date": day} for day in DAYS[:4]))
    home.load_rows(wh, first, window=whole)
    home.load_rows(wh, charge_rows({"charge_date": DAYS[2], "billed_cost": Decimal(9)}), window=part)
    assert home.load_rows(wh, first, window=whole).was_loaded
    assert sums(wh)[0] == Decimal(6)


def test_a_row_outside_its_window_is_refused(home: Home, wh: Warehouse) -> None:
    with pytest.raises(LoadError, match=r"a row of 2026-01-03 in a delivery for 2026-01-01 to 2026-01-03"):
        home.load_rows(wh, charge_rows({"charge_date": DAYS[2]}), window=Window(DAYS[0], DAYS[2]))
    assert everything(wh)["ops.deliveries"] == []


def test_sources_do_not_touch_each_other(home: Home, wh: Warehouse) -> None:
    window = Window(DAYS[0], DAYS[2])
    home.load_rows(wh, charge_rows({"billing_account_id": "org-1"}), window=window, source="one")
    home.load_rows(wh, charge_rows({"billing_account_id": "org-2"}), window=window, source="two")
    home.load_rows(wh, charge_rows(), window=window, source="one", content="empty")
    assert rows_of(wh, "SELECT source_name FROM core.charges") == [("two",)]


def test_identities_of_what_speaks(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1)], "a.csv", identity="v1")
    assert loaded_identities(wh, "drop") == {("a.csv", "v1")}
    home.load_focus(wh, [focus_row(2)], "a.csv", identity="v2")
    assert loaded_identities(wh, "drop") == {("a.csv", "v2")}
    home.load_focus(wh, [focus_row(2)], "a.csv", identity="v3")  # the same bytes under a new time stamp
    assert loaded_identities(wh, "drop") == {("a.csv", "v3")}
    assert loaded_identities(wh, "other") == set()


def test_control_totals_of_superseded_deliveries_stay_90_days(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, "1")])
    home.load_focus(wh, [focus_row(1, "2")])
    assert rows_of(wh, "SELECT is_current, effective_cost FROM ops.delivery_days ORDER BY load_number") == [
        (False, Decimal(1)),
        (True, Decimal(2)),
    ]
    home.clock += timedelta(days=91)
    home.load_focus(wh, [focus_row(1, "3")])
    assert rows_of(wh, "SELECT is_current, effective_cost FROM ops.delivery_days ORDER BY load_number") == [
        (False, Decimal(2)),
        (True, Decimal(3)),
    ]


def test_what_an_invoiced_month_said_before_stays_for_what_came_late(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, "1")])
    home.load_focus(wh, [focus_row(1, "2")])
    wh.con.execute("CREATE TABLE core.invoices AS SELECT 'drop' AS source_name, DATE '2026-01-01' AS month")
    home.clock += timedelta(days=91)
    home.load_focus(wh, [focus_row(1, "3")])
    kept = "SELECT effective_cost FROM ops.delivery_days ORDER BY load_number"
    assert rows_of(wh, kept) == [(Decimal(1),), (Decimal(2),), (Decimal(3),)]


# ------------------------------------------------------------------------------------------ overlap


def test_two_sources_of_one_account_and_period_are_refused(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, [focus_row(1, "1")], source="aws-export")
    before = everything(wh)
    with pytest.raises(OverlapError) as caught:
        home.load_focus(wh, [focus_row(2, "5", InvoiceIssuerName="AWS")], source="aws-copy")
    assert "'aws-export'" in str(caught.value)
    assert "'aws-copy'" in str(caught.value)
    assert "111122223333 in 2026-01" in str(caught.value)
    assert everything(wh) == before


@pytest.mark.parametrize(
    "other",
    [
        {"BillingAccountId": "999999999999"},
        {"BillingPeriodStart": "2026-02-01T00:00:00Z"},
        {"InvoiceIssuerName": "Anthropic, PBC", "ProviderName": "Anthropic"},
    ],
)
def test_two_sources_that_share_no_bill(home: Home, wh: Warehouse, other: dict[str, str]) -> None:
    home.load_focus(wh, [focus_row(1, "1")], source="one")
    home.load_focus(wh, [focus_row(1, "1", **other)], source="two")
    assert sums(wh)[0] == 2


def hourly(days: range, cost: str = "1") -> list[dict[str, object]]:
    return [focus_row(day, cost, hour=hour) for day in days for hour in (0, 6, 12, 18)]


def test_parts_of_one_bill_load_side_by_side(home: Home, wh: Warehouse) -> None:
    """They share account and period, and even look alike once they are added up per day."""
    rows = hourly(range(1, 10))
    home.load_focus(wh, rows[0::2], "part-1.csv")
    home.load_focus(wh, rows[1::2], "part-2.csv")
    assert sums(wh)[0] == 36


@pytest.mark.parametrize("days", [range(1, 15), range(4, 8), range(5, 14)])
def test_one_bill_under_two_names_is_refused(home: Home, wh: Warehouse, days: range) -> None:
    home.load_focus(wh, hourly(range(1, 10)), "january.csv")
    before = everything(wh)
    with pytest.raises(OverlapError) as caught:
        home.load_focus(wh, hourly(days), "january (1).csv")
    assert "'january.csv'" in str(caught.value)
    assert "'january (1).csv'" in str(caught.value)
    assert everything(wh) == before


def test_a_few_rows_in_common_are_no_overlap(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, hourly(range(1, 10)), "a.csv")
    others = [focus_row(9, "1", hour=hour) for hour in (1, 2, 3, 4, 5, 18)]
    home.load_focus(wh, [*others, *hourly(range(10, 14))], "b.csv")
    assert sums(wh)[0] == 36 + 6 + 16


def test_the_same_bill_as_csv_and_as_parquet_is_refused(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, hourly(range(1, 10)), "a.csv")
    with pytest.raises(OverlapError):
        home.load_focus(wh, hourly(range(1, 10)), "a.parquet")


def test_the_same_bill_in_another_version_is_refused(home: Home, wh: Warehouse) -> None:
    """An older FOCUS has no SkuMeter, and this one no tags, amounts as doubles, and two rows more."""

    def older(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        return [{name: cell for name, cell in row.items() if name not in ("SkuMeter", "Tags")} for row in rows]

    costs = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost"), pa.float64())
    rows = [row for day in range(1, 5) for row in (focus_row(day, f"1.{day}"), focus_row(day, "0", ResourceId="r"))]
    home.load_focus(wh, rows, "1.2.csv")
    with pytest.raises(OverlapError, match=r"4 of its 6 rows that cost something \(4 there\)"):
        home.load_focus(wh, older([*rows, focus_row(4, "7"), focus_row(4, "8")]), "1.0.parquet", types=costs)
    # What costs something else is another part of the bill, though the rest looks alike.
    others = [focus_row(day, f"2.{day}", hour=hour) for day in range(1, 5) for hour in (0, 1)]
    home.load_focus(wh, older([*others, *rows[1::2]]), "rest.parquet", types=costs)
    assert sums(wh)[0] == sum(Decimal(str(row["BilledCost"])) for row in [*rows, *others])


def test_a_copy_is_loaded_once_and_steps_in_when_its_original_changes(home: Home, wh: Warehouse) -> None:
    rows = hourly(range(1, 10))
    home.load_focus(wh, rows, "a.csv")
    copy = home.load_focus(wh, rows, "copy of a.csv", identity="c")
    assert (copy.was_loaded, copy.source_rows) == (False, 0)
    assert copy.notes == ("copy of a.csv: the same bytes as a.csv, which is loaded; a copy is loaded once",)
    assert loaded_identities(wh, "drop") == set()
    home.load_focus(wh, hourly(range(20, 22)), "a.csv")
    assert home.load_focus(wh, rows, "copy of a.csv", identity="c").was_loaded
    assert sums(wh)[0] == 36 + 8


def test_a_file_that_becomes_a_copy_no_longer_says_what_it_said(home: Home, wh: Warehouse) -> None:
    home.load_focus(wh, hourly(range(1, 10)), "a.csv")
    home.load_focus(wh, hourly(range(20, 22)), "b.csv", identity="1")
    result = home.load_focus(wh, hourly(range(1, 10)), "b.csv", identity="2")
    assert (result.was_loaded, result.restatements, result.charge_rows) == (True, 2, 0)
    assert sums(wh)[0] == 36
    assert rows_of(wh, "SELECT scope FROM ops.deliveries WHERE is_current") == [("a.csv",)]
    again = home.load_focus(wh, hourly(range(1, 10)), "b.csv", identity="2")
    assert (again.was_loaded, again.restatements) == (False, 0)


# ---------------------------------------------------------------------------------------- telemetry


def test_calls_are_replaced_per_scope(home: Home, wh: Warehouse) -> None:
    options = {"source": "calls", "source_type": "events", "replaces": "scope"}
    first = home.load_rows(wh, call_rows({}, {"task_id": "t2"}), scope="a.jsonl", identity="1", **options)
    home.load_rows(wh, call_rows({"task_id": "t3"}), scope="b.jsonl", **options)
    assert (first.source_rows, first.charge_rows, first.billed_cost) == (2, 0, None)
    home.load_rows(wh, call_rows({"task_id": "t4"}), scope="a.jsonl", identity="2", **options)
    assert rows_of(wh, "SELECT task_id FROM staging.stg_calls ORDER BY 1") == [("t3",), ("t4",)]
    assert loaded_identities(wh, "calls") == {("a.jsonl", "2")}


def test_telemetry_that_staging_lost_is_not_loaded(home: Home) -> None:
    options = {"source": "calls", "source_type": "events", "replaces": "scope", "scope": "a.jsonl", "identity": "1"}
    with home.open() as wh:
        home.load_rows(wh, call_rows({}), **options)
        assert loaded_identities(wh, "calls") == {("a.jsonl", "1")}
    (home.root / "warehouse" / "staging.duckdb").unlink()
    with home.open() as wh:
        assert loaded_identities(wh, "calls") == set()
        assert home.load_rows(wh, call_rows({}), **options).was_loaded
        assert one(wh, "SELECT count(*) FROM staging.stg_calls") == 1
        assert one(wh, "SELECT count(*) FROM ops.deliveries WHERE is_current") == 1


def test_telemetry_and_metered_usage_take_the_names_of_charges(home: Home, wh: Warehouse) -> None:
    """Bills, the provider's meters and request logs are joined by provider and model."""
    options = {"source": "calls", "source_type": "events", "replaces": "scope", "scope": "a.jsonl"}
    names = [("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"), ("OpenAI", "gpt-5-mini-2025-08-07")]
    home.load_rows(
        wh, call_rows(*({"provider": p, "model": m} for p, m in names), {"provider": None, "model": None}), **options
    )
    assert rows_of(wh, "SELECT provider, model FROM staging.stg_calls ORDER BY ALL") == [
        ("aws", "claude-sonnet-4-5"),
        ("openai", "gpt-5-mini"),
        (None, None),
    ]
    home.load_rows(wh, charge_rows(), usage_rows({"model": "gpt-5-mini-2025-08-07"}, {"model": None}))
    assert rows_of(wh, "SELECT provider, model FROM core.metered_usage ORDER BY ALL") == [
        ("openai", "gpt-5-mini"),
        ("openai", None),
    ]
