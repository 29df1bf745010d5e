"""Headers of real files map onto FOCUS's columns, or are refused with the column's name."""

from __future__ import annotations

import random
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import PayloadError
from connectors.focus_columns import FOCUS_COLUMNS, map_focus_header
from connectors.schema import FOCUS_OPTIONAL, FOCUS_REQUIRED
from connectors.tabular_files import TableFile
from tests.connectors.billing_files import focus_names


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


SPELLINGS = {
    "as specified": str,
    "camelCase": lambda name: name[0].lower() + name[1:],
    "snake_case": snake,
    "UPPER_SNAKE": lambda name: snake(name).upper(),
    "Display Name": lambda name: snake(name).replace("_", " ").title(),
    "lower": str.lower,
}


def test_the_specification_has_67_columns_and_the_warehouse_reads_known_ones() -> None:
    assert len(FOCUS_COLUMNS) == 67
    assert {*FOCUS_REQUIRED, *FOCUS_OPTIONAL} <= set(FOCUS_COLUMNS)


@given(
    version=st.sampled_from(["1.0", "1.1", "1.2", "1.3", "1.4"]),
    spelling=st.sampled_from(sorted(SPELLINGS)),
    seed=st.integers(0, 1 << 30),
    extra=st.lists(st.from_regex(r"x_[A-Za-z]{3,12}", fullmatch=True), max_size=5, unique_by=str.lower),
)
def test_any_version_in_any_order_and_spelling(version: str, spelling: str, seed: int, extra: list[str]) -> None:
    names = focus_names(version)
    spell = SPELLINGS[spelling]
    header = [spell(name) for name in names] + extra
    random.Random(seed).shuffle(header)
    mapped = map_focus_header(header, where="bill.csv")
    expected = {name: spell(name) for name in names if name in (*FOCUS_REQUIRED, *FOCUS_OPTIONAL)}
    assert dict(mapped.columns) == expected
    assert mapped.version == version
    assert set(mapped.unknown) == set(extra)


@pytest.mark.parametrize("missing", FOCUS_REQUIRED)
def test_a_missing_required_column_is_named_with_file_and_cure(missing: str) -> None:
    header = [name for name in focus_names("1.2") if name != missing]
    with pytest.raises(PayloadError, match=rf"^jan\.csv: the FOCUS column {missing} is missing — add it to the export"):
        map_focus_header(header, where="jan.csv")


def test_two_columns_for_one_are_refused() -> None:
    with pytest.raises(PayloadError, match="'BilledCost' and 'billed_cost' both stand for BilledCost"):
        map_focus_header([*focus_names("1.0"), "billed_cost"], where="jan.csv")


@pytest.mark.parametrize("column", ["x_UsageType", "x_usagetype", "x_SkuMeterName"])
def test_a_sku_meter_from_before_focus_had_one(column: str) -> None:
    mapped = map_focus_header([*focus_names("1.0"), column], where="jan.csv")
    assert (mapped.columns["SkuMeter"], mapped.version, mapped.unknown) == (column, "1.0", ())
    both = map_focus_header([*focus_names("1.2"), column], where="jan.csv")
    assert (both.columns["SkuMeter"], both.unknown) == ("SkuMeter", (column,))


GERMAN = [
    "AbgerechneteKosten", "EffektiveKosten", "Abrechnungskonto-ID", "Abrechnungswährung",
    "Beginn des Abrechnungszeitraums", "Ende des Abrechnungszeitraums",
    "Gebührenkategorie", "Dienstname", "Ressourcen-ID", "Tags",
]  # fmt: skip
FRENCH = ["CoûtFacturé", "CoûtEffectif", "IdentifiantCompteFacturation", "DeviseFacturation", "NomService"]
SPANISH = ["CosteFacturado", "CosteEfectivo", "IdCuentaFacturación", "MonedaFacturación", "NombreServicio"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (GERMAN, "German"),
        ([*focus_names("1.0")[2:], *GERMAN[:2], "Abrechnungswährung"], "German"),
        (FRENCH, "French"),
        (SPANISH, "Spanish"),
        (["請求コスト", "実効コスト", "請求通貨", "Tags"], "Japanese"),
    ],
)
def test_localised_headers_are_refused_with_the_reason(header: list[str], language: str) -> None:
    with pytest.raises(PayloadError, match=rf"^kosten\.csv: .*look {language}.*export the file again with English"):
        map_focus_header([name for name in header if name != "BilledCost"], where="kosten.csv")


def test_a_language_that_is_not_known_is_told_by_its_letters() -> None:
    header = [name for name in focus_names("1.0") if name != "BilledCost"] + ["ΧρεωμένοΚόστος"]
    with pytest.raises(PayloadError, match=r"BilledCost is missing, and some names are not English \(Χρεωμένο"):
        map_focus_header(header, where="a.csv")
    with pytest.raises(PayloadError, match=r"ServiceName are missing — add them to the export"):
        map_focus_header([f"focus.{name}" for name in focus_names("1.0")], where="a.csv")  # English all the same


@pytest.mark.parametrize(
    ("header", "cure"),
    [
        (["identity/LineItemId", "lineItem/UnblendedCost"], "source type aws_data_exports"),
        (["line_item_unblended_cost", "bill_payer_account_id"], "source type aws_data_exports"),
        (["SubscriptionId", "CostInBillingCurrency", "MeterCategory"], "cost and usage details"),
        (["Customer", "Container", "Amount"], "the file has Customer, Container, Amount"),
    ],
)
def test_other_formats_are_recognised(header: list[str], cure: str) -> None:
    with pytest.raises(PayloadError, match=cure):
        map_focus_header(header, where="a.csv")


def test_unreadable_types_are_refused_by_column() -> None:
    from pathlib import Path

    from connectors.focus_columns import focus_scans

    names = focus_names("1.0")

    def table(**types: pa.DataType) -> TableFile:
        kinds = tuple(types.get(name, pa.string()) for name in names)
        return TableFile("a.parquet", Path("a.parquet"), "parquet", tuple(names), kinds, is_empty=False)

    with pytest.raises(PayloadError, match=r"a\.parquet: column 'BilledCost' is of type bool, not a number"):
        focus_scans([table(BilledCost=pa.bool_())])
    with pytest.raises(PayloadError, match="column 'ChargePeriodStart' is of type int64, not a point in time"):
        focus_scans([table(ChargePeriodStart=pa.int64())])
    fine = table(
        BilledCost=pa.decimal128(38, 11), EffectiveCost=pa.float64(), ListCost=pa.dictionary(pa.int8(), pa.string()),
        ContractedCost=pa.null(), PricingQuantity=pa.binary(), ChargePeriodStart=pa.timestamp("ms"),
        ChargePeriodEnd=pa.date32(),
    )  # fmt: skip
    assert len(focus_scans([fine])[0]) == 1
