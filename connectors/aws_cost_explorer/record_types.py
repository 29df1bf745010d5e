"""Cost Explorer's RECORD_TYPE ("charge type") in FOCUS terms.

Source: AWS, "Filtering the data that you want to view", charge types. AWS spells them in several ways
("SavingsPlanNegation", "Savings Plan Negation"), so letters alone are compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class RecordType:
    """FOCUS's ChargeCategory; `is_unused`: amortised, what is left of it is commitment that nobody used."""

    charge_category: str
    is_unused: bool = False


_USAGE = frozenset({"usage", "discountedusage", "savingsplancoveredusage"})
_OTHERS = {
    # Takes back what covered usage would have cost: invoiced, nothing once amortised.
    "savingsplannegation": RecordType("Usage"),
    "savingsplanrecurringfee": RecordType("Purchase", is_unused=True),
    "savingsplanupfrontfee": RecordType("Purchase"),
    "recurring": RecordType("Purchase", is_unused=True),
    "recurringreservationfee": RecordType("Purchase", is_unused=True),
    "rifee": RecordType("Purchase", is_unused=True),
    "upfront": RecordType("Purchase"),
    "upfrontreservationfee": RecordType("Purchase"),
    "fee": RecordType("Purchase"),
    "other": RecordType("Purchase"),
    "otheroutofcyclecharges": RecordType("Purchase"),
    "support": RecordType("Purchase"),
    "supportfee": RecordType("Purchase"),
    "tax": RecordType("Tax"),
    "credit": RecordType("Credit"),
    "refund": RecordType("Adjustment"),
}
_UNKNOWN = RecordType("Adjustment")


def is_usage(record_type: str) -> bool:
    """What is metered, and is asked for by usage type."""
    return _letters(record_type) in _USAGE


def is_support(record_type: str) -> bool:
    return _letters(record_type) in ("support", "supportfee")


def is_known(record_type: str) -> bool:
    return is_usage(record_type) or _letters(record_type) in _OTHERS or _is_discount(record_type)


def find_record_type(record_type: str) -> RecordType:
    """What a record type other than usage is; an unknown one is an adjustment, and keeps its name as the SKU."""
    return _OTHERS.get(_letters(record_type), _UNKNOWN)


def _is_discount(record_type: str) -> bool:
    # "Enterprise Discount Program Discount", "Private Rate Card Discount", "Bundled Discount", …
    return "discount" in _letters(record_type)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())
