"""A bill that cannot be read is refused by file, row and column, and the warehouse stands as before."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.warehouse.bills import Home, csv_bytes, everything, focus_row, focus_scan, parquet_bytes, sums
from warehouse.errors import CurrencyError, LandingError, LoadError
from warehouse.load import load_delivery
from warehouse.store import Warehouse

GOOD = [focus_row(day, "1.25") for day in range(1, 29)]


@pytest.fixture
def before(home: Home, wh: Warehouse) -> dict[str, Any]:
    """A warehouse that holds something already."""
    home.load_focus(wh, GOOD, "good.csv")
    return everything(wh)


def refuse(home: Home, wh: Warehouse, files: dict[str, bytes], columns: Any, **more: Any) -> str:
    with pytest.raises(LoadError) as caught:
        home.load_files(wh, files, columns, **more)
    return str(caught.value)


def with_cost(cost: Any, **values: Any) -> list[dict[str, Any]]:
    bad = [dict(row) for row in GOOD]
    bad[16] |= {"BilledCost": cost} | values
    return bad


@pytest.mark.parametrize("cost", ["12,50", "$3", "n/a", "NaN", "1.2.3", "Infinity", "1_000"])
def test_a_cost_that_is_no_number(home: Home, wh: Warehouse, before: dict[str, Any], cost: str) -> None:
    text = refuse(home, wh, {"bad.csv": csv_bytes(with_cost(cost))}, GOOD[0])
    assert text.startswith(f"bad.csv, row 17, line 18, column BilledCost: {cost!r} is not a number")
    assert everything(wh) == before


def test_the_line_counts_quoted_line_breaks(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    rows = with_cost("x")
    rows[3]["ServiceName"] = "two\nlines"
    text = refuse(home, wh, {"bad.csv": csv_bytes(rows)}, GOOD[0])
    assert text.startswith("bad.csv, row 17, line 19, column BilledCost: 'x'")
    assert everything(wh) == before


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_that_end_twice(home: Home, wh: Warehouse, before: dict[str, Any], pack: Any) -> None:
    doubled = csv_bytes(GOOD).replace(b"\r\n", b"\n").replace(b"\n", b"\r\r\n")
    name = "bad.csv.gz" if pack is gzip.compress else "bad.csv"
    text = refuse(home, wh, {name: pack(doubled)}, GOOD[0])
    assert text.startswith(f"{name}, line 1: lines end in \\r\\r\\n")
    assert "newline=''" in text
    assert everything(wh) == before


@pytest.mark.parametrize(
    ("first", "other", "said"),
    [("\r\n", "\n", r"ends in \n, the first one in \r\n"), ("\n", "\r", r"ends in \r, the first one in \n")],
)
def test_lines_that_end_in_two_ways(
    home: Home, wh: Warehouse, before: dict[str, Any], first: str, other: str, said: str
) -> None:
    rows = [dict(row) for row in GOOD]
    rows[3]["ServiceName"] = "two\nlines"
    lines = csv_bytes(rows).decode().split("\r\n")
    mixed = first.join(lines[:10]) + other + first.join(lines[10:])
    text = refuse(home, wh, {"bad.csv": mixed.encode()}, GOOD[0])
    assert text.startswith("bad.csv, row 9, line 11: the line ")
    assert said in text
    assert everything(wh) == before


def test_an_empty_cost(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    text = refuse(home, wh, {"bad.csv.gz": gzip.compress(csv_bytes(with_cost(None)))}, GOOD[0])
    assert text.startswith("bad.csv.gz, row 17, line 18, column BilledCost: is empty")
    assert everything(wh) == before


def test_a_bad_cost_in_the_second_file(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    files = {"1.csv": csv_bytes(GOOD[:3]), "2.csv": csv_bytes([GOOD[4], focus_row(5, "oops")])}
    text = refuse(home, wh, files, GOOD[0], scope="two")
    assert text.startswith("2.csv, row 2, line 3, column BilledCost: 'oops'")
    assert everything(wh) == before


@pytest.mark.parametrize(("kind", "cost"), [(pa.string(), "x"), (pa.float64(), float("nan")), (pa.float64(), None)])
def test_a_bad_cost_in_parquet(home: Home, wh: Warehouse, before: dict[str, Any], kind: pa.DataType, cost: Any) -> None:
    data = parquet_bytes(with_cost(cost), {"BilledCost": kind})
    text = refuse(home, wh, {"bad.parquet": data}, GOOD[0])
    assert text.startswith("bad.parquet, row 17, column BilledCost: ")
    assert everything(wh) == before


@pytest.mark.parametrize("day", ["31.12.2025", "2026-13-01", "", "infinity"])
def test_a_day_that_is_none(home: Home, wh: Warehouse, before: dict[str, Any], day: str) -> None:
    rows = [dict(row) for row in GOOD]
    rows[16]["ChargePeriodStart"] = day
    text = refuse(home, wh, {"bad.csv": csv_bytes(rows)}, GOOD[0])
    assert text.startswith("bad.csv, row 17, line 18, column ChargePeriodStart: ")
    assert everything(wh) == before


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("column", ["BilledCost", "EffectiveCost"])
def test_a_missing_cost_column(home: Home, wh: Warehouse, before: dict[str, Any], name: str, column: str) -> None:
    rows = [{key: cell for key, cell in row.items() if key != column} for row in GOOD]
    data = csv_bytes(rows) if name == "a.csv" else parquet_bytes(rows)
    text = refuse(home, wh, {name: data}, GOOD[0])
    assert text.startswith(f"{name}: the column '{column}' is missing")
    assert everything(wh) == before


def test_a_column_that_only_one_file_lacks(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    rows = [{key: cell for key, cell in row.items() if key != "EffectiveCost"} for row in GOOD[:2]]
    files = {"1.csv": csv_bytes(GOOD[2:4]), "2.csv": csv_bytes(rows)}
    assert refuse(home, wh, files, GOOD[0], scope="two").startswith("2.csv: the column 'EffectiveCost' is missing")
    assert everything(wh) == before


def test_a_csv_that_breaks_off_within_a_row(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    data = csv_bytes(GOOD)
    text = refuse(home, wh, {"cut.csv": data[: len(data) - 120]}, GOOD[0])
    assert text.startswith("cut.csv, row 28, line 29: ")
    assert "cut off" in text
    assert everything(wh) == before


def test_a_csv_that_breaks_off_within_a_quote(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    data = csv_bytes(GOOD)
    text = refuse(home, wh, {"cut.csv": data[: len(data) - 12]}, GOOD[0])
    assert text.startswith("cut.csv, row 28, line 29: ")
    assert everything(wh) == before


def test_a_gzip_that_breaks_off_between_two_rows(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    """DuckDB reads what is there and calls it the file."""
    data = gzip.compress(csv_bytes(GOOD))
    text = refuse(home, wh, {"cut.csv.gz": data[: len(data) // 2]}, GOOD[0])
    assert text.startswith("cut.csv.gz: the gzip file is cut off")
    assert everything(wh) == before


@pytest.mark.parametrize("cut", [0, 4, 300, -20])
def test_a_parquet_file_that_breaks_off(home: Home, wh: Warehouse, before: dict[str, Any], cut: int) -> None:
    text = refuse(home, wh, {"cut.parquet": parquet_bytes(GOOD)[:cut]}, GOOD[0])
    assert text.startswith("cut.parquet: the ")
    assert everything(wh) == before


def test_bytes_that_are_no_text(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    rows = [dict(row) for row in GOOD]
    rows[16]["ServiceName"] = "caf\u00e9"
    data = csv_bytes(rows).decode().encode("latin-1")
    text = refuse(home, wh, {"bad.csv": data}, GOOD[0])
    assert text.startswith("bad.csv, row 17, line 18: the text is not UTF-8")
    assert everything(wh) == before


def test_a_second_currency_without_a_rate(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    rows = with_cost("1.25", BillingCurrency="EUR")
    with pytest.raises(CurrencyError) as caught:
        home.load_focus(wh, rows, "mixed.csv")
    text = str(caught.value)
    assert text.startswith(
        "mixed.csv, row 17, line 18, column BillingCurrency: amounts in EUR and USD cannot be added: "
        "EUR has no rate for 2026-01-17"
    )
    assert "currency_rates" in text
    assert everything(wh) == before


def test_a_rate_that_begins_too_late(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    rows = with_cost("1.25", BillingCurrency="EUR")
    with pytest.raises(CurrencyError, match="EUR has no rate for 2026-01-17"):
        home.load_focus(wh, rows, "mixed.csv", rates=[("EUR", date(2026, 1, 18), Decimal("1.1"))])
    assert everything(wh) == before


def test_currencies_with_rates_stay_apart(home: Home, wh: Warehouse) -> None:
    rows = [focus_row(1, "10"), focus_row(1, "10", BillingCurrency="eur"), focus_row(2, "10", BillingCurrency="EUR")]
    rates = [("EUR", date(2025, 1, 1), Decimal("1.10")), ("EUR", date(2026, 1, 2), Decimal("1.2345678901"))]
    result = home.load_focus(wh, rows, rates=rates)
    assert result.billed_cost is None
    found = wh.con.execute(
        "SELECT charge_date::VARCHAR, billing_currency, billed_cost, billed_cost_usd FROM core.charges ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("2026-01-01", "EUR", Decimal(10), Decimal(11)),
        ("2026-01-01", "USD", Decimal(10), Decimal(10)),
        ("2026-01-02", "EUR", Decimal(10), Decimal("12.345678901")),
    ]


def test_landed_bytes_that_went_missing(home: Home, wh: Warehouse, before: dict[str, Any]) -> None:
    delivery = home.land({"lost.csv": csv_bytes(GOOD[:2])})
    scan = focus_scan(delivery.files.values(), GOOD[0])
    path = delivery.files["lost.csv"]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(LandingError, match="bytes stand where"):
        load_delivery(wh, delivery, (scan,), now=home.clock)
    path.unlink()
    with pytest.raises(LandingError, match="missing"):
        load_delivery(wh, delivery, (scan,), now=home.clock)
    assert everything(wh) == before


def test_names_that_are_patterns_or_sql(home: Home, wh: Warehouse) -> None:
    """A file's name is a name, also where DuckDB's readers would take it for a pattern."""
    for number, name in enumerate(["a [1]*.csv", "it's.csv", "b?.parquet", "x'; DROP TABLE core.charges; --.csv"]):
        rows = [focus_row(1 + number, "1", BillingAccountId=str(number))]
        data = csv_bytes(rows) if name.endswith(".csv") else parquet_bytes(rows)
        home.load_files(wh, {name: data}, rows[0])
    assert sums(wh)[0] == 4


def test_columns_in_another_spelling(home: Home, wh: Warehouse) -> None:
    rows = [{f'"{key}"' if key == "Tags" else key.lower(): cell for key, cell in focus_row().items()}]
    delivery = home.land({"a.csv": b"\xef\xbb\xbf" + csv_bytes(rows)})
    scan = focus_scan(delivery.files.values(), focus_row())
    columns = {name: '"Tags"' if name == "Tags" else name.lower() for name in scan.columns}
    from dataclasses import replace

    load_delivery(wh, delivery, (replace(scan, columns=columns),), now=home.clock)
    assert sums(wh)[0] == Decimal("1.5")
    assert wh.con.execute("SELECT tags FROM core.charges").fetchone() == ('{"feature":"support_chat"}',)


def test_an_unknown_layout(home: Home, wh: Warehouse) -> None:
    from connectors.base import Rows

    delivery = home.land({"a.csv": b"x"})
    with pytest.raises(LoadError, match="no layout is called 'what'"):
        load_delivery(wh, delivery, (Rows("what", pa.table({})),), now=home.clock)  # type: ignore[arg-type]
