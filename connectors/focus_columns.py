"""FOCUS column names, versions 1.0 to 1.4, and how the header of a real file maps onto them.

Names and versions: the FOCUS specification (focus.finops.org), "Cost and Usage" dataset. Files are
met with other spellings (billedCost, billed_cost, "Billed Cost"); nothing else is guessed: a header
in another language is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from connectors.base import FileScan
from connectors.errors import PayloadError
from connectors.schema import FOCUS_OPTIONAL, FOCUS_REQUIRED
from connectors.tabular_files import TableFile, extra_text, file_notes, missing_text, named, scans

# Every column of the specification → the version that brought it.
FOCUS_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        name: version
        for version, names in {
            "0.5": "AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd "
            "BillingPeriodStart ChargeCategory ChargePeriodEnd ChargePeriodStart EffectiveCost InvoiceIssuerName "
            "ProviderName PublisherName ResourceId ResourceName ServiceCategory ServiceName SubAccountId "
            "SubAccountName",
            "1.0": "ChargeClass ChargeDescription ChargeFrequency CommitmentDiscountCategory CommitmentDiscountId "
            "CommitmentDiscountName CommitmentDiscountStatus CommitmentDiscountType ConsumedQuantity ConsumedUnit "
            "ContractedCost ContractedUnitPrice ListCost ListUnitPrice PricingCategory PricingQuantity PricingUnit "
            "RegionId RegionName ResourceType SkuId SkuPriceId Tags",
            "1.1": "CapacityReservationId CapacityReservationStatus CommitmentDiscountQuantity CommitmentDiscountUnit "
            "ServiceSubcategory SkuMeter SkuPriceDetails",
            "1.2": "BillingAccountType InvoiceId PricingCurrency PricingCurrencyContractedUnitPrice "
            "PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice SubAccountType",
            "1.3": "AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName AllocatedTags "
            "ContractApplied HostProviderName ServiceProviderName",
            "1.4": "CommitmentProgramEligibilityDetails InvoiceDetailId",
        }.items()
        for name in names.split()
    }
)
REMOVED_IN_1_4 = ("ProviderName", "PublisherName")
COST_COLUMNS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
NUMBER_COLUMNS = (*COST_COLUMNS, "ConsumedQuantity", "PricingQuantity")
TIME_COLUMNS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
# What publishers called the SKU's meter before FOCUS had a column for it: AWS 1.0, Azure 1.0.
SKU_METER_BEFORE_1_1 = ("x_UsageType", "x_SkuMeterName")
NULL_TEXT = ("", "NULL", "null", "\\N")  # the official sample writes NULL, what databases unload \N


@dataclass(frozen=True)
class FocusHeader:
    """`columns`: canonical name → name in the file, for the columns that the warehouse reads."""

    columns: Mapping[str, str]
    unknown: tuple[str, ...]  # not FOCUS's: kept in the landed bytes, not read
    version: str  # guessed: no FOCUS file says its version


def looks_like_focus(columns: Sequence[str]) -> bool:
    """Whether a header is FOCUS's at all; `map_focus_header` then says what it lacks."""
    spelled = {plain(name) for name in columns}
    return sum(plain(name) in spelled for name in FOCUS_REQUIRED) >= len(FOCUS_REQUIRED) / 2


def map_focus_header(columns: Sequence[str], *, where: str) -> FocusHeader:
    """The FOCUS columns among a file's columns.

    Raises PayloadError naming `where` when a required column is missing or two columns claim to be the same one.
    """
    canonical = {plain(name): name for name in FOCUS_COLUMNS}
    found: dict[str, str] = {}
    unknown: list[str] = []
    for column in columns:
        name = canonical.get(plain(column))
        if name is None:
            unknown.append(column)
        elif name in found:
            raise PayloadError(
                f"the columns {found[name]!r} and {column!r} both stand for {name}", where=where, cure="remove one"
            )
        else:
            found[name] = column
    missing = [name for name in FOCUS_REQUIRED if name not in found]
    if missing:
        raise _missing(missing, columns, where)
    version = guess_version(found)
    if "SkuMeter" not in found:
        stand_ins = [plain(name) for name in SKU_METER_BEFORE_1_1]
        meter = next((column for column in unknown if plain(column) in stand_ins), None)
        if meter is not None:
            found["SkuMeter"] = meter
    read = (*FOCUS_REQUIRED, *FOCUS_OPTIONAL)
    return FocusHeader(
        columns={name: column for name, column in found.items() if name in read},
        unknown=tuple(column for column in unknown if column and column not in found.values()),
        version=version,
    )


def guess_version(names: Mapping[str, str] | Sequence[str]) -> str:
    """The oldest version that has every one of these canonical columns."""
    version = max((FOCUS_COLUMNS.get(name, "1.0") for name in names), default="1.0")
    if version == "1.3" and not any(name in names for name in REMOVED_IN_1_4):
        return "1.4"
    return max(version, "1.0")


def focus_scans(
    files: Sequence[TableFile], *, expected_extra: frozenset[str] = frozenset()
) -> tuple[tuple[FileScan, ...], tuple[str, ...]]:
    """FOCUS files as scans of the layout "focus", and notes for the person.

    `expected_extra`: columns outside FOCUS that this publisher documents; they need no note.
    Raises PayloadError naming file and column.
    """
    headers = [map_focus_header(file.columns, where=file.name) for file in files]
    for file, header in zip(files, headers, strict=True):
        _check_types(file, header.columns)
    mapped = [(file, header.columns) for file, header in zip(files, headers, strict=True)]
    return scans("focus", mapped, null_text=NULL_TEXT), tuple(_notes(files, headers, expected_extra))


def _notes(files: Sequence[TableFile], headers: Sequence[FocusHeader], expected_extra: frozenset[str]) -> list[str]:
    notes = []
    for version in sorted({header.version for header in headers}):
        those = [file.name for file, header in zip(files, headers, strict=True) if header.version == version]
        notes.append(f"{named(those)}: FOCUS {version}, judged by its columns")
    extra: dict[tuple[str, ...], list[str]] = {}
    for file, header in zip(files, headers, strict=True):
        unknown = tuple(sorted(set(header.unknown) - expected_extra))
        if unknown:
            extra.setdefault(unknown, []).append(file.name)
    for unknown, those in extra.items():
        notes.append(f"{named(those)}: {extra_text('FOCUS', unknown)}")
    return [*notes, *file_notes([(file, header.columns) for file, header in zip(files, headers, strict=True)])]


def _check_types(file: TableFile, columns: Mapping[str, str]) -> None:
    for name, column in columns.items():
        kind = file.type_of(column)
        if kind is None or pa.types.is_null(kind):
            continue
        if name in NUMBER_COLUMNS and not is_number_or_text(kind):
            raise PayloadError(
                f"column {column!r} is of type {kind}, not a number", where=file.name, cure="export the file again"
            )
        if name in TIME_COLUMNS and not is_time_or_text(kind):
            raise PayloadError(
                f"column {column!r} is of type {kind}, not a point in time",
                where=file.name,
                cure="export it as a timestamp, or as text such as 2026-01-31T00:00:00Z",
            )


def is_number_or_text(kind: pa.DataType) -> bool:
    """Whether a Parquet column of this type can hold an amount."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or is_text(kind))


def is_time_or_text(kind: pa.DataType) -> bool:
    """Whether a Parquet column of this type can hold a point in time."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or is_text(kind))


def is_text(kind: pa.DataType) -> bool:
    """Text, also where a writer stored each value once (a dictionary), or did not say that its bytes are text."""
    types = pa.types
    value = kind.value_type if types.is_dictionary(kind) else kind
    is_marked = types.is_string(value) or types.is_large_string(value) or types.is_string_view(value)
    return bool(is_marked or types.is_binary(value) or types.is_large_binary(value))


def plain(name: str) -> str:
    """A column name without what spellings differ in: BilledCost = billed_cost = "Billed Cost"."""
    return re.sub(r"[\s_-]+", "", name).lower()


# A column that only this other format has → what to do instead.
_OTHER_FORMATS = {
    "lineitem/unblendedcost": "this is an AWS Cost and Usage Report: read it with the source type aws_data_exports",
    "lineitemunblendedcost": "this is an AWS Cost and Usage Report: read it with the source type aws_data_exports",
    "costinbillingcurrency": "this is Azure's own cost format: create an export of cost and usage details (FOCUS)",
    "pretaxcost": "this is Azure's own cost format: create an export of cost and usage details (FOCUS)",
}
# Stems of money and billing words in the languages that billing consoles speak.
_LANGUAGES = {
    "German": r"kosten|währung|waehrung|abrechnung|gebühr|gebuehr|anbieter|zeitraum|konto|dienst",
    "French": r"coût|cout(?!n)|devise|facturation|fournisseur|période|compte",
    "Spanish": r"coste|costo|moneda|facturación|facturacion|proveedor|período|cuenta",
    "Portuguese": r"custo(?!m)|moeda|faturamento|cobrança|provedor|conta(?![ci])",
    "Italian": r"costo|valuta|fatturazione|fornitore|periododi",
    "Dutch": r"kosten|facturering|valuta|leverancier|periode(?!nd)",
    "Japanese": r"コスト|請求|通貨|料金",
    "Chinese": r"成本|费用|費用|账单|帳單|货币|貨幣|计费|計費",
    "Korean": r"비용|청구|통화",
}


def _missing(missing: Sequence[str], columns: Sequence[str], where: str) -> PayloadError:
    what = missing_text("FOCUS", missing)
    for column in columns:
        hint = _OTHER_FORMATS.get(plain(column))
        if hint:
            return PayloadError(what, where=where, cure=hint)
    strange = [column for column in columns if column and plain(column) not in {plain(name) for name in FOCUS_COLUMNS}]
    language = _language(strange)
    if language:
        return PayloadError(
            f"the column names are not FOCUS's English ones but look {language} ({named(strange)}), so {what}",
            where=where,
            cure="export the file again with English column names: set the portal's language to English, or use "
            "a scheduled export, whose names are not translated",
        )
    if any(not column.isascii() for column in strange):
        return PayloadError(
            f"{what}, and some names are not English ({named([c for c in strange if not c.isascii()])})",
            where=where,
            cure="export the file again with English column names",
        )
    return PayloadError(
        what,
        where=where,
        cure=f"add {'them' if len(missing) > 1 else 'it'} to the export"
        + (f"; the file has {named(columns, 8)}" if not looks_like_focus(columns) else ""),
    )


def _language(columns: Sequence[str]) -> str:
    counts = {
        language: sum(bool(re.search(pattern, plain(column))) for column in columns)
        for language, pattern in _LANGUAGES.items()
    }
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= 2 else ""
