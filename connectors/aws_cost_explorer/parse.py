"""Cost Explorer's landed pages → charges: usage by service and usage type, the rest by record type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.aws_cost_explorer.answers import Group, read_days, read_descriptions, read_groups
from connectors.aws_cost_explorer.queries import Split
from connectors.aws_cost_explorer.record_types import find_record_type, is_known, is_support, is_usage
from connectors.base import Parsed, Rows
from connectors.documents import UnknownFields, read_document, to_scale
from connectors.errors import PayloadError
from connectors.rows import Table, add_amounts, tags_text
from connectors.schema import CHARGES

# AWS, usage types of EC2 and SageMaker: "USE1-BoxUsage:p5.48xlarge", "SpotUsage:g5.xlarge", "USW2-Host:ml.g5.2xlarge".
_MACHINE_HOURS = re.compile(r"(?:^|-)(?:(?:Box|Spot|Dedicated)Usage(?:$|:)|[A-Za-z]+:ml\.[a-z])")


def parse_files(files: Mapping[str, Path]) -> Parsed:
    """Rows of layout "charges", and notes. Raises PayloadError naming page and field."""
    if "about.json" not in files or "totals-0001.json" not in files:
        raise PayloadError("the delivery is not whole", where="totals-0001.json", cure="fetch the window again")
    about = read_document(files["about.json"], name="about.json")
    return _Delivery(about).parse(files)


class _Delivery:
    """The pages of one window on their way to rows."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = about
        self._split = Split(about["split_by"]) if about["split_by"] else None
        self._start, self._end = (date.fromisoformat(text) for text in about["window"])
        self._table = Table(CHARGES, measures=("consumed_quantity", "billed_cost", "effective_cost"), add=add_amounts)
        self._unknown = UnknownFields()
        self._names: dict[str, str] = {}  # of accounts
        self._days: set[date] = set()
        self._estimated: set[date] = set()
        self._strange_types: set[str] = set()

    def parse(self, files: Mapping[str, Path]) -> Parsed:
        totals = list(self._groups(files, "totals-"))
        for group in totals:
            if not is_usage(group.keys[0]):
                self._add_other(group)
        for index, value in enumerate(self._about["parts"]):
            for group in self._groups(files, f"usage-{index:04d}-"):
                self._add_usage(group, value)
        return Parsed(parts=(Rows("charges", self._table.to_arrow()),), notes=tuple(self._notes()))

    def _groups(self, files: Mapping[str, Path], prefix: str) -> Iterator[Group]:
        for name in sorted(files):
            if name.startswith(prefix):
                document = read_document(files[name], name=name)
                self._names |= read_descriptions(document, where=name)
                for day in read_days(document, self._unknown, where=name):
                    self._days.add(day.day)
                    if day.is_estimated:
                        self._estimated.add(day.day)
                    yield from read_groups(day, self._unknown)

    def _add_usage(self, group: Group, split_value: str | None) -> None:
        service, usage_type = group.keys
        # Hours and gigabytes cannot be added; AWS does so, and calls the unit N/A. It does the same
        # where it does not know the unit; but what is named after a machine is that machine's hours.
        unit = group.unit or ("Hrs" if _MACHINE_HOURS.search(usage_type) else None)
        self._add(
            group,
            split_value,
            service_name=service or None,
            sku_meter=usage_type or None,
            charge_category="Usage",
            consumed_quantity=to_scale(group.quantity) if group.quantity is not None and unit else None,
            consumed_unit=unit,
        )

    def _add_other(self, group: Group) -> None:
        record_type, second = group.keys
        if not is_known(record_type):
            self._strange_types.add(record_type)
        what = find_record_type(record_type)
        # Split by account or tag, the two groups are spent before the service.
        service = second if self._split is None else "AWS Support" if is_support(record_type) else None
        self._add(
            group,
            self._split.value(second) if self._split else None,
            service_name=service or None,
            sku_meter=record_type,
            charge_category=what.charge_category,
            commitment_discount_status="Unused" if what.is_unused else None,
        )

    def _add(self, group: Group, split_value: str | None, **columns: str | Decimal | None) -> None:
        tag = self._split.tag if self._split else None
        account = split_value if self._split and tag is None else None
        self._table.add(
            {
                "charge_date": group.day,
                "billing_period_start": group.day.replace(day=1),
                "billing_account_id": self._about["billing_account_id"],
                "sub_account_id": account,
                "sub_account_name": self._names.get(account or ""),
                "invoice_issuer_name": "Amazon Web Services",
                "provider_name": "AWS",
                "tags": tags_text({tag: split_value}) if tag else None,
                "billed_cost": to_scale(group.billed),
                "effective_cost": to_scale(group.effective),
                "billing_currency": group.currency,
                "basis": "reported",
                **columns,
            }
        )

    def _notes(self) -> Iterator[str]:
        if self._estimated:
            first, last = min(self._estimated), max(self._estimated)
            marked = f"{first}" if first == last else f"{len(self._estimated)} days ({first} to {last})"
            yield f"AWS marks {marked} as estimated: the bill is not final"
        missing = (self._end - self._start).days - len(self._days)
        if missing:
            yield f"AWS's answer from {self._start} to {self._end} lacks {missing} of the days: taken as free"
        if self._about["billing_account_id"] is None:
            yield (
                f"whose bill it is could not be told ({self._about['account_problem']}): set billing_account_id, "
                "so that an export of the same account is recognised"
            )
        for record_type in sorted(self._strange_types):
            yield f"unknown record type {record_type[:64]!r}: charged as an adjustment"
        yield from self._unknown.notes()
