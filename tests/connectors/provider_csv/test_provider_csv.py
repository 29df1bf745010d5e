"""Console exports: told by their header, read by column name, exact, and never counted twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import Parsed, Rows, Window
from connectors.errors import ConfigError, PayloadError
from connectors.provider_csv import ProviderCsv, ProviderCsvOptions
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.in_warehouse import ingest, opened
from tests.connectors.provider_csv.world import (
    CLAUDE_COST,
    CLAUDE_TOKENS,
    OPENAI_COST,
    OPENAI_USAGE,
    bucket,
    claude_cost,
    csv_bytes,
    openai_cost,
)
from tests.servers.s3 import FaultyS3, use_test_credentials

DAY = date(2026, 1, 4)
ALL = Window(date(2026, 1, 1), date(2026, 2, 1))


def connect(folder: Path | str, **options: Any) -> ProviderCsv:
    settings = {"location": str(folder), "organization": "acme", **options}
    return ProviderCsv(name="consoles", options=ProviderCsvOptions.model_validate(settings))


def parse(tmp_path: Path, data: bytes | str, name: str = "export.csv") -> Parsed:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return connect(tmp_path).parse({name: path})


def table(parsed: Parsed, layout: str) -> pa.Table:
    [part] = parsed.parts
    assert isinstance(part, Rows)
    assert part.layout == layout
    return part.table


def charges(tmp_path: Path, data: bytes | str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table(parse(tmp_path, data), "charges").to_pylist()
    return rows


# ------------------------------------------------------------------------------------------ what a row says


def test_an_openai_cost_row(tmp_path: Path) -> None:
    amount = "0.003835980000000000000000000000"
    extra = {"quantity": "1000", "quantity_unit": "tokens", "api_key_id": "key_1", "user_id": "user-7"}
    row = openai_cost(DAY, amount, line_item="gpt-5-nano, cached input", **extra)
    [charge] = charges(tmp_path, csv_bytes(OPENAI_COST, [row]))
    assert {name: value for name, value in charge.items() if value is not None} == {
        "charge_date": DAY,
        "billing_period_start": date(2026, 1, 1),
        "billing_account_id": "org-1",
        "sub_account_id": "proj_a",
        "sub_account_name": "Support",
        "invoice_issuer_name": "OpenAI",
        "provider_name": "OpenAI",
        "service_name": "OpenAI API",
        "service_category": "AI and Machine Learning",
        "sku_meter": "gpt-5-nano, cached input",
        "charge_category": "Usage",
        "api_key_id": "key_1",
        "model": "gpt-5-nano",
        "token_type": "cache_read",
        "tags": '{"user_id": "user-7"}',
        "consumed_quantity": Decimal(1000),
        "consumed_unit": "tokens",
        "billed_cost": Decimal("0.003835980000"),
        "effective_cost": Decimal("0.003835980000"),
        "billing_currency": "USD",
        "basis": "reported",
    }


def test_a_claude_cost_row(tmp_path: Path) -> None:
    row = claude_cost(DAY, "0.10", list_price_usd="1.00", token_type="input_cache_write_1h", speed="fast")
    [charge] = charges(tmp_path, csv_bytes(CLAUDE_COST, [{**row, "api_key_id": "apikey_1", "usage_type": "batch"}]))
    assert {name: value for name, value in charge.items() if value is not None} == {
        "charge_date": DAY,
        "billing_period_start": date(2026, 1, 1),
        "billing_account_id": "acme",
        "sub_account_name": "Default",
        "invoice_issuer_name": "Anthropic",
        "provider_name": "Anthropic",
        "service_name": "Claude API",
        "service_category": "AI and Machine Learning",
        "sku_meter": "Claude Sonnet 4.5, input_cache_write_1h",
        "charge_description": "tier batch, context ≤ 200k, region global, fast mode",
        "charge_category": "Usage",
        "api_key_id": "apikey_1",
        "model": "Claude Sonnet 4.5",
        "token_type": "cache_write_1h",
        "tags": '{"api_key_name": "support-prod"}',
        "billed_cost": Decimal("0.10"),
        "effective_cost": Decimal("0.10"),
        "list_cost": Decimal("1.00"),
        "billing_currency": "USD",
        "basis": "reported",
    }


def test_the_seven_columns_of_2024(tmp_path: Path) -> None:
    """The layout of December 2024, with a key and no workspace."""
    text = (
        "usage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd\n"
        "2024-12-07,Claude 3.5 Sonnet 2024-10-22,,Stéphane,message,input_cache_write,0.02\n"
    )
    [charge] = charges(tmp_path, text)
    assert (charge["model"], charge["token_type"]) == ("Claude 3.5 Sonnet 2024-10-22", "cache_write_5m")
    assert charge["sub_account_name"] is None
    assert charge["tags"] == '{"api_key_name": "Stéphane"}'
    assert charge["list_cost"] is None


def test_openai_usage_is_disjoint(tmp_path: Path) -> None:
    common = {**bucket(DAY), "project_id": "proj_a", "model": "gpt-5", "input_tokens": "100", "output_tokens": "7"}
    rows = [
        {**common, "num_model_requests": "3", "input_cached_tokens": "40", "service_tier": "default"},
        {**common, "num_model_requests": "1", "input_cached_tokens": "0", "batch": "true"},
        bucket(DAY + timedelta(days=1)),
    ]
    usage = table(parse(tmp_path, csv_bytes(OPENAI_USAGE, rows)), "metered_usage").to_pylist()
    told = [(row["pricing_tier"], row["requests"], row["input_tokens"], row["cache_read_tokens"]) for row in usage]
    assert sorted(told) == [("batch", 1, 100, 0), ("standard", 3, 60, 40)]


def test_claude_tokens(tmp_path: Path) -> None:
    common = {"usage_date_utc": DAY.isoformat(), "model_version": "claude-sonnet-4-5-20250929", "workspace": "Default"}
    counts = dict(zip(CLAUDE_TOKENS[6:11], ("10", "2", "3", "40", "5"), strict=True))
    rows = [{**common, **counts, "usage_type": tier} for tier in ("standard", "standard", "surprise")]
    parsed = parse(tmp_path, csv_bytes(CLAUDE_TOKENS, rows))
    usage = table(parsed, "metered_usage").to_pylist()
    assert [
        (row["pricing_tier"], row["input_tokens"], row["cache_write_tokens"], row["cache_read_tokens"], row["requests"])
        for row in usage
    ] == [("standard", 20, 10, 80, None), (None, 10, 5, 40, None)]
    assert any("'surprise'" in note for note in parsed.notes)


def test_what_was_not_used_is_no_charge_and_what_has_no_amount_is_an_error(tmp_path: Path) -> None:
    empty = {**bucket(DAY), "organization_id": "org-1", "user_email": "someone@example.com"}
    assert charges(tmp_path, csv_bytes(OPENAI_COST, [empty])) == []
    with pytest.raises(
        PayloadError, match=r"export\.csv line 3: column 'amount_value': expected an amount, got nothing"
    ):
        parse(tmp_path, csv_bytes(OPENAI_COST, [empty, openai_cost(DAY, "")]))


def test_an_export_that_is_not_grouped_says_so(tmp_path: Path) -> None:
    parsed = parse(tmp_path, csv_bytes(OPENAI_COST, [openai_cost(DAY, "1", line_item="", user_id=n) for n in "ab"]))
    assert any(note.startswith("rows that name no line item") and note.endswith(": 2") for note in parsed.notes)


def test_no_email_address_comes_out(tmp_path: Path) -> None:
    parsed = parse(tmp_path, csv_bytes(OPENAI_COST, [openai_cost(DAY, "1")]))
    assert "example.com" not in str(table(parsed, "charges").to_pylist()) + str(parsed.notes)


# ------------------------------------------------------------------------------------ how files are written


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1E-7", "0.0000001"),
        ("3.8E-05", "0.000038"),
        ("-0.25", "-0.25"),
        ("1234567.000000000001", "1234567.000000000001"),
        ("0.1234567890125", "0.123456789012"),  # half-even at the thirteenth digit
    ],
)
def test_numbers_are_exact(tmp_path: Path, written: str, amount: str) -> None:
    [charge] = charges(tmp_path, csv_bytes(OPENAI_COST, [openai_cost(DAY, written)]))
    assert charge["billed_cost"] == Decimal(amount)


def test_marks_semicolons_and_quoted_line_breaks(tmp_path: Path) -> None:
    rows = [openai_cost(DAY, "1.5", line_item='web search;\r\n"deep", calls'), openai_cost(DAY, "much")]
    data = csv_bytes(OPENAI_COST, rows, delimiter=";", has_mark=True, line_end="\r\n")
    with pytest.raises(PayloadError, match=r"line 4: column 'amount_value': expected a number, got 'much'"):
        parse(tmp_path, data)
    [charge] = charges(tmp_path, csv_bytes(OPENAI_COST, rows[:1], delimiter=";", has_mark=True, line_end="\r\n"))
    assert charge["sku_meter"] == 'web search;\r\n"deep", calls'


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        (("0,06", "1,234"), "1.294"),  # the first proves that the comma of the second is a decimal one
        (("2,5E-05",), "0.000025"),
        (("0.06", "12"), "12.06"),
        (("7",), "7"),
        (("1,234",), None),  # one and a bit, or a thousand
        (("1,234,567",), None),
        (("0,06", "1.5"), None),
    ],
)
def test_decimal_commas_are_read_where_the_file_proves_them(
    tmp_path: Path, amounts: Sequence[str], total: str | None
) -> None:
    rows = [claude_cost(DAY, amount, token_type=f"t{n}") for n, amount in enumerate(amounts)]
    data = csv_bytes(CLAUDE_COST, rows, delimiter=";")
    if total is None:
        with pytest.raises(PayloadError, match="decimal comma or a thousands separator"):
            parse(tmp_path, data)
    else:
        assert sum(row["billed_cost"] for row in charges(tmp_path, data)) == Decimal(total)


def test_columns_are_found_by_name_in_any_order_and_case(tmp_path: Path) -> None:
    text = "COST_USD, Model ,usage_date_utc\n0.5,Claude Opus 5,2026-01-04\n\n,,\n"
    [charge] = charges(tmp_path, text)
    assert (charge["charge_date"], charge["model"], charge["billed_cost"]) == (DAY, "Claude Opus 5", Decimal("0.5"))


def test_times_in_any_form_that_tells_the_day(tmp_path: Path) -> None:
    for times in (
        {"start_time": "1767484800"},
        {"start_time": "1.7674848E+09"},
        {"start_time_iso": "2026-01-04T00:00:00"},
        {"start_time_iso": "2026-01-04T00:00:00+00:00"},
        {"start_time_iso": "2026-01-04T02:00:00+02:00"},
        {"start_time_iso": "2026-01-04T22:00:00Z", "end_time_iso": "2026-01-04T23:00:00Z"},  # by the hour
    ):
        row = openai_cost(DAY, "1", start_time="", end_time="", start_time_iso="", end_time_iso="") | times
        assert charges(tmp_path, csv_bytes(OPENAI_COST, [row]))[0]["charge_date"] == DAY


@pytest.mark.parametrize(
    ("columns", "row", "says"),
    [
        (CLAUDE_COST, claude_cost(DAY, "1", usage_date_utc="04.01.2026"), "'usage_date_utc': expected a day"),
        (CLAUDE_COST, claude_cost(DAY, "$1.00"), "'cost_usd': expected a number, got '$1.00'"),
        (CLAUDE_COST, claude_cost(DAY, "NaN"), "'cost_usd': expected a finite number"),
        (OPENAI_COST, openai_cost(DAY, "1", amount_currency=""), "'amount_currency': expected a currency code"),
        (OPENAI_COST, openai_cost(DAY, "1", start_time_iso="yesterday"), "'start_time_iso': expected a point in time"),
        (OPENAI_COST, openai_cost(DAY, "1", end_time_iso="2026-02-01T00:00:00"), "export by day"),
        (OPENAI_USAGE, {**bucket(DAY), "num_model_requests": "1.5", "input_tokens": "1"}, "a whole number"),
        (
            OPENAI_USAGE,
            {**bucket(DAY), "num_model_requests": "1", "input_tokens": "1", "input_cached_tokens": "9"},
            "less than its cached part",
        ),
    ],
)
def test_a_cell_of_another_shape_names_file_line_column_and_value(
    tmp_path: Path, columns: list[str], row: Mapping[str, str], says: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        parse(tmp_path, csv_bytes(columns, [row]))
    assert "export.csv line 2" in str(caught.value)
    assert says in str(caught.value)
    assert "as downloaded" in caught.value.cure


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "none of the known exports; its columns are a, b"),
        ("usage_date_utc,model,list_price_usd\n", "cost_usd is missing"),
        ("amount_value,line_item\n1,x\n", "start_time or start_time_iso, amount_currency is missing"),
        ("Date,Slug,Usage,BYOK Usage,Requests\n", "source type openrouter"),
        ("BilledCost,EffectiveCost\n", "focus_files"),
        ("cost_usd,usage_date_utc,cost_usd\n", "'cost_usd' stands twice"),
        ("cost_usd,usage_date_utc\n1\n", "line 2: 1 cells, where the header has 2 columns"),
        ("cost_usd,usage_date_utc\n1,2,3\n", "line 2: 3 cells"),
        ('cost_usd,usage_date_utc\n1,"2026-01-04\n', "no CSV"),
        ("", "empty"),
        ("PK\x03\x04", "ZIP or Excel"),
    ],
)
def test_a_file_that_is_no_export_is_refused_with_a_cure(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PayloadError) as caught:
        parse(tmp_path, text)
    assert says in str(caught.value)
    assert "export.csv" in str(caught.value)
    assert caught.value.cure


def test_text_that_ceases_to_be_utf_8_is_named(tmp_path: Path) -> None:
    rows = [f"2026-01-04,1,{'a' * 1000}".encode()] * 1100 + ["2026-01-04,1,Stéphane".encode("latin-1")]
    with pytest.raises(PayloadError, match="not UTF-8"):
        parse(tmp_path, b"\n".join([b"usage_date_utc,cost_usd,model", *rows]))


# -------------------------------------------------------------------------------------------- overlapping exports


class Folder:
    """A drop folder; each file is newer than those before it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self._clock = 1_767_000_000

    def drop(self, name: str, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = CLAUDE_COST) -> Path:
        path = self.root / name
        path.write_bytes(csv_bytes(columns, rows))
        self._clock += 60
        os.utime(path, (self._clock, self._clock))
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "exports")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def month(first: int, last: int, *, factor: int = 1, **cells: str) -> list[dict[str, str]]:
    """Three rows a day, with amounts that tell the day and the row."""
    return [
        claude_cost(date(2026, 1, day), f"{factor * day}.0{n}", token_type=token_type, **cells)
        for day in range(first, last + 1)
        for n, token_type in enumerate(("input_no_cache", "input_cache_read", "output"))
    ]


def total(rows: Sequence[Mapping[str, str]]) -> Decimal:
    return sum((Decimal(row["cost_usd"]) for row in rows), Decimal(0))


@pytest.mark.parametrize(
    "names", [("a.csv", "b.csv", "c.csv"), ("c_2026_01_01_to_2026_01_07.csv", "c_2026_01.csv", "z.csv")]
)
def test_this_month_exported_every_week_counts_once(
    folder: Folder, ledger: Ledger, names: tuple[str, str, str]
) -> None:
    connector = connect(folder.root)
    for name, last in zip(names, (7, 14, 21), strict=True):
        folder.drop(name, month(1, last))
        ledger.run(connector, ALL)
        assert sum(ledger.totals().values()) == total(month(1, last))
    assert any(f"7 days from 2026-01-01 to 2026-01-07 read from the newer export {names[2]}" in n for n in ledger.notes)


def test_days_before_the_newer_export_stay_with_the_older_one(folder: Folder, ledger: Ledger) -> None:
    folder.drop("a.csv", month(1, 10))
    folder.drop("b.csv", month(6, 20))
    ledger.run(connect(folder.root), ALL)
    assert sum(ledger.totals().values()) == total(month(1, 20))


def test_a_restated_day_and_a_day_that_was_not_over_are_the_newer_exports(folder: Folder, ledger: Ledger) -> None:
    unfinished = month(1, 9) + [{**row, "cost_usd": "0.01"} for row in month(10, 10)]
    restated = [{**row, "cost_usd": "0.50"} if row["usage_date_utc"] == "2026-01-03" else row for row in month(1, 12)]
    folder.drop("a.csv", unfinished)
    folder.drop("b.csv", restated)
    ledger.run(connect(folder.root), ALL)
    assert sum(ledger.totals().values()) == total(restated)


def test_one_unfinished_day_is_enough_to_know_an_export_again(folder: Folder, ledger: Ledger) -> None:
    folder.drop("a.csv", month(1, 9) + [{**row, "cost_usd": "0.01"} for row in month(10, 10)])
    folder.drop("b.csv", month(10, 12))
    ledger.run(connect(folder.root), ALL)
    assert sum(ledger.totals().values()) == total(month(1, 12))


def test_columns_that_were_added_do_not_hide_a_repetition(folder: Folder, ledger: Ledger) -> None:
    folder.drop("a.csv", month(1, 7), columns=CLAUDE_COST[:8])
    folder.drop("b.csv", month(1, 9, api_key_id="apikey_1", api_key_status="archived"))
    ledger.run(connect(folder.root), ALL)
    assert sum(ledger.totals().values()) == total(month(1, 9))


def test_two_workspaces_exported_apart_both_count(folder: Folder, ledger: Ledger) -> None:
    folder.drop("a.csv", month(1, 7, workspace="support"))
    folder.drop("b.csv", month(1, 7, workspace="search"))
    ledger.run(connect(folder.root), ALL)
    assert sum(ledger.totals().values()) == 2 * total(month(1, 7))


def test_costs_and_tokens_of_the_same_days_are_no_overlap(folder: Folder, ledger: Ledger) -> None:
    counts = dict.fromkeys(CLAUDE_TOKENS[6:11], "10")
    folder.drop("a.csv", month(1, 1))
    folder.drop("b.csv", [{"usage_date_utc": "2026-01-01", "model_version": "x", **counts}], columns=CLAUDE_TOKENS)
    ledger.run(connect(folder.root), ALL)
    assert sum(ledger.totals().values()) == total(month(1, 1))
    assert [row["input_tokens"] for _, layout, row in ledger.rows if layout == "metered_usage"] == [10]


def test_the_same_things_with_other_amounts_are_refused_with_both_names(folder: Folder, ledger: Ledger) -> None:
    folder.drop("a.csv", month(1, 7))
    folder.drop("b.csv", month(1, 7, factor=3))
    connector = connect(folder.root)
    older, newer = connector.discover(ALL)
    ledger.load(connector, older)
    with pytest.raises(ConfigError, match=r"b\.csv.*rows of a\.csv, with other amounts") as caught:
        ledger.load(connector, newer)
    assert "that file's name" in caught.value.cure
    assert sum(ledger.totals().values()) == total(month(1, 7))
    assert [result.name for result in connector.check() if not result.ok] == ["b.csv"]


def test_an_export_that_cannot_be_loaded_speaks_for_no_day(folder: Folder, ledger: Ledger) -> None:
    folder.drop("a.csv", month(1, 7))
    folder.drop("b.csv", [*month(1, 9), claude_cost(date(2026, 1, 9), "much")])
    connector = connect(folder.root)
    older, newer = connector.discover(ALL)
    ledger.load(connector, older)
    with pytest.raises(PayloadError, match=r"b\.csv line 29"):
        ledger.load(connector, newer)
    assert sum(ledger.totals().values()) == total(month(1, 7))


def test_names_that_rule_an_overlap_out_are_not_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.drop("claude_api_cost_2025_11.csv", month(1, 3))
    folder.drop("claude_api_cost_2026_01_01_to_2026_01_31.csv", month(1, 2))
    folder.drop("cost_2026-03-01_2026-03-31.csv", month(1, 2, workspace="x"))

    def refuse(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("connectors.provider_csv.editions.open_export", refuse)
    refs = list(connect(folder.root).discover(ALL))
    assert [str(ref.window) for ref in refs] == [
        "2025-11-01_2025-12-01",
        "2026-01-01_2026-02-01",
        "2026-03-01_2026-04-01",
    ]


# ---------------------------------------------------------------------------------------------- places and check


def test_check_says_which_export_a_file_is(folder: Folder) -> None:
    folder.drop("a.csv", month(1, 3))
    folder.drop("b.csv", month(1, 5))
    folder.drop("cost.csv", [openai_cost(DAY, "1")], columns=OPENAI_COST)
    (folder.root / "copy.csv").write_bytes((folder.root / "a.csv").read_bytes())
    (folder.root / "notes.txt").write_text("x")
    (folder.root / "other.csv").write_text("a,b\n")
    results = connect(folder.root).check()
    told = {result.detail for result in results if result.ok}
    assert "1 of OpenAI's cost export (platform.openai.com, Usage, Export, Cost)" in told
    assert "2 of the Claude Console's cost export (platform.claude.com, Cost, Export)" in told
    assert "3 days of a.csv are read from b.csv" in told
    assert "copy.csv is left out: it is a copy of a.csv" in told
    assert "1 left out, no CSV: notes.txt" in told
    [bad] = [result for result in results if not result.ok]
    assert (bad.name, "none of the known exports" in bad.detail) == ("other.csv", True)


def test_an_empty_folder_says_what_to_put_there(folder: Folder) -> None:
    [bad] = [result for result in connect(folder.root).check() if not result.ok]
    assert "console exports" in bad.cure


@pytest.fixture
def bucket_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    use_test_credentials(monkeypatch)
    with FaultyS3().running() as server:
        yield server


def test_exports_in_a_bucket(bucket_server: FaultyS3, ledger: Ledger) -> None:
    bucket_server.objects = {
        "exports/a.csv": csv_bytes(CLAUDE_COST, month(1, 3)),
        "exports/b.csv": csv_bytes(CLAUDE_COST, month(1, 5)),
    }
    connector = connect("", **bucket_server.options("exports"))
    ledger.run(connector, ALL)
    assert sum(ledger.totals().values()) == total(month(1, 5))
    assert all(result.ok for result in connector.check())


# ------------------------------------------------------------------------------------------------ in the warehouse


def test_the_warehouse_holds_the_exports_to_the_last_digit(folder: Folder, tmp_path: Path) -> None:
    items = ("gpt-5-nano, input_tokens", "gpt-5-nano, output_tokens", "text-embedding-3-small, input_tokens")
    amounts = ("0.003835980001", "1E-12", "12.34")
    sold = [
        openai_cost(DAY, amount, line_item=item, quantity="1000", quantity_unit="tokens")
        for item, amount in zip(items, amounts, strict=True)
    ]
    folder.drop("cost.csv", sold, columns=OPENAI_COST)
    folder.drop("claude_1.csv", month(1, 7))
    connector, home = connect(folder.root), tmp_path / "home"
    with opened(home) as wh:
        assert [result.was_loaded for result in ingest(wh, home, connector, ALL)] == [True, True]
        assert ingest(wh, home, connector, ALL) == []  # nothing changed, nothing is read
        folder.drop("claude_2.csv", month(1, 9))
        ingest(wh, home, connector, ALL)
        found = dict(wh.con.execute("SELECT provider, sum(billed_cost) FROM core.charges GROUP BY ALL").fetchall())
        assert found == {"openai": sum(map(Decimal, amounts)), "anthropic": total(month(1, 9))}
        kinds = wh.con.execute(
            "SELECT DISTINCT ai_kind, model, token_type, tokens FROM core.charges ORDER BY ALL"
        ).fetchall()
    assert kinds == [
        ("llm_api", "claude-sonnet-4-5", "cache_read", None),
        ("llm_api", "claude-sonnet-4-5", "input", None),
        ("llm_api", "claude-sonnet-4-5", "output", None),
        ("llm_api", "gpt-5-nano", "input", Decimal(1000)),
        ("llm_api", "gpt-5-nano", "output", Decimal(1000)),
        ("llm_api", "text-embedding-3-small", "input", Decimal(1000)),
    ]
