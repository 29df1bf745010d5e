"""What Cost Explorer is asked, in its own terms. Two groups per request are the most that it takes.

    totals   RECORD_TYPE × SERVICE (or × account, × tag)    everything: the control totals, and what is no usage
    usage    SERVICE × USAGE_TYPE                           filtered to usage, and to one account or tag value

The usage requests are disjoint by their filters, and together they are what `totals` says of usage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Window

# Unblended is what AWS invoices; amortised spreads commitments over what they cover, net with discounts taken off.
BILLED = "UnblendedCost"
EFFECTIVE = ("NetAmortizedCost", "AmortizedCost")  # the first that the answer has
QUANTITY = "UsageQuantity"
METRICS = (BILLED, *EFFECTIVE, QUANTITY)

Expression = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """A third dimension. `name` is the option's text: "account" or "tag:<key>"."""

    name: str

    @property
    def tag(self) -> str | None:
        """The tag's key; None where accounts are split."""
        return self.name.removeprefix("tag:") if self.name.startswith("tag:") else None

    @property
    def group(self) -> Expression:
        return _dimension_group("LINKED_ACCOUNT") if self.tag is None else {"Type": "TAG", "Key": self.tag}

    def value(self, key: str) -> str | None:
        """The value in a group's key: the account, or the tag's value from "<key>$<value>"; None for untagged."""
        return (key if self.tag is None else key.removeprefix(f"{self.tag}$")) or None

    def among(self, values: Sequence[str]) -> Expression:
        if self.tag is None:
            return among("LINKED_ACCOUNT", values)
        return {"Tags": {"Key": self.tag, "Values": list(values)}}


def among(dimension: str, values: Sequence[str]) -> Expression:
    """The filter for one of `values`."""
    return {"Dimensions": {"Key": dimension, "Values": list(values)}}


def totals_request(window: Window, split: Split | None) -> dict[str, Any]:
    return _request(window, [_dimension_group("RECORD_TYPE"), split.group if split else _dimension_group("SERVICE")])


def usage_request(window: Window, chosen: Sequence[Expression]) -> dict[str, Any]:
    """Services and usage types of what all of `chosen` let through."""
    request = _request(window, [_dimension_group("SERVICE"), _dimension_group("USAGE_TYPE")])
    request["Filter"] = chosen[0] if len(chosen) == 1 else {"And": list(chosen)}
    return request


def _dimension_group(key: str) -> Expression:
    return {"Type": "DIMENSION", "Key": key}


def _request(window: Window, groups: Sequence[Expression]) -> dict[str, Any]:
    return {
        "TimePeriod": {"Start": window.start.isoformat(), "End": window.end.isoformat()},
        "Granularity": "DAILY",
        "Metrics": list(METRICS),
        "GroupBy": list(groups),
    }
