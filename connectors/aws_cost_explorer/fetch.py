"""Asks Cost Explorer for one window of days, with as few requests as its two groups allow."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from connectors.aws_cost_explorer.answers import Group, read_days, read_groups
from connectors.aws_cost_explorer.api import PERMISSION, CostExplorer, HistoryNotKept
from connectors.aws_cost_explorer.queries import Expression, Split, among, totals_request, usage_request
from connectors.aws_cost_explorer.record_types import is_usage
from connectors.base import CheckResult, Payload, Window
from connectors.documents import EXACT, UnknownFields
from connectors.errors import ConfigError, ConnectorError, IncompleteDelivery, PagingError, PayloadError
from connectors.http_api import Page, RetryPolicy

if TYPE_CHECKING:
    from connectors.aws_cost_explorer import AwsCostExplorerOptions

# AWS writes ten digits after the point: each group is off by half of the last one, at most.
_ROUNDING = Decimal("1E-9")
_RELATIVE = Decimal("1E-9")
# Asked by `check` where the server's day is unknown; a refusal of its age shows the permission as well.
_SOME_DAY = date(2025, 1, 1)


@dataclass(frozen=True)
class Part:
    """One usage request: what it lets through, and the account or tag value of its rows (None: various)."""

    value: str | None
    chosen: tuple[Expression, ...]


@dataclass
class _Usage:
    """What `totals` says of usage: its record types, cost by split value, and cost by day."""

    record_types: set[str] = field(default_factory=set)
    by_value: dict[str | None, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    by_day: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, group: Group, split: Split | None) -> None:
        if is_usage(group.keys[0]):
            self.record_types.add(group.keys[0])
            self.by_value[split.value(group.keys[1]) if split else None] += abs(group.billed)
            self.by_day[group.day] = EXACT.add(self.by_day[group.day], group.billed)


class Fetcher:
    """The I/O of one configured source. Its account is asked for once per run."""

    def __init__(self, source_name: str, options: AwsCostExplorerOptions, retry: RetryPolicy) -> None:
        self._source_name = source_name
        self._options = options
        self._split = Split(options.split_by) if options.split_by else None
        self._api = CostExplorer(source_name, options, retry)
        self._account: tuple[str | None, str] | None = None

    def fetch(self, window: Window) -> Iterator[Payload]:
        """Totals, usage, and what the answers do not say of themselves.

        Raises ConnectorError, and IncompleteDelivery where usage does not add up to the totals.
        """
        usage = _Usage()
        for number, (page, groups) in enumerate(self._report(totals_request(window, self._split), window, "totals"), 1):
            for group in groups:
                usage.add(group, self._split)
            yield Payload(f"totals-{number:04d}.json", [page.body])
        parts = plan_parts(usage.record_types, usage.by_value, self._split, self._options.most_split_values)
        found: dict[date, Decimal] = defaultdict(Decimal)
        counts: dict[date, int] = defaultdict(int)
        for index, part in enumerate(parts):
            report = self._report(usage_request(window, part.chosen), window, f"usage {part.value or ''}".strip())
            for number, (page, groups) in enumerate(report, 1):
                for group in groups:
                    found[group.day] = EXACT.add(found[group.day], group.billed)
                    counts[group.day] += 1
                yield Payload(f"usage-{index:04d}-{number:04d}.json", [page.body])
        self._refuse_gaps(usage.by_day, found, counts)
        account, problem = self._billing_account()
        about = {
            "window": [window.start.isoformat(), window.end.isoformat()],
            "split_by": self._options.split_by,
            "parts": [part.value for part in parts],
            "billing_account_id": account,
            "account_problem": problem,
        }
        yield Payload("about.json", [json.dumps(about, sort_keys=True, ensure_ascii=False).encode()])

    def check(self) -> list[CheckResult]:
        """Who asks (free), and one day of costs, which costs a cent."""
        results: list[CheckResult] = []
        day = _SOME_DAY
        try:
            caller = self._api.caller()
        except ConfigError as error:
            if self._options.role_arn:
                return [CheckResult("identity", False, error.what, error.cure)]
            results.append(CheckResult("identity", True, f"not known ({error.what})"))
        except ConnectorError as error:
            results.append(CheckResult("identity", True, f"not known ({error.what})"))
        else:
            results.append(CheckResult("identity", True, f"account {caller.account} as {caller.arn}"))
            day = caller.today - timedelta(days=3)
        try:
            # Without a split the request is the same for every configuration, and its answer small.
            next(self._api.pages(totals_request(Window(day, day + timedelta(days=1)), self._split), where="check"))
        except HistoryNotKept:
            results.append(CheckResult("costs", True, f"{PERMISSION} is allowed"))
        except ConnectorError as error:
            results.append(CheckResult("costs", False, error.what, error.cure))
        else:
            results.append(CheckResult("costs", True, f"{PERMISSION} answers (each request costs $0.01, this one too)"))
        return results

    def _report(self, request: Mapping[str, Any], window: Window, name: str) -> Iterator[tuple[Page, list[Group]]]:
        """The pages of one request with their groups.

        Raises PayloadError for a day that was not asked for: it would stand beside the window that the
        delivery replaces, and be doubled later. A group that comes twice is a PagingError.
        """
        unknown = UnknownFields()  # counted by the parser, which reads the same pages
        seen: set[tuple[date, tuple[str, str]]] = set()
        for page in self._api.pages(request, where=name):
            groups: list[Group] = []
            for day in read_days(page.document, unknown, where=page.where):
                if not window.start <= day.day < window.end:
                    raise PayloadError(
                        f"the day {day.day} is outside the days asked for ({window.start} to {window.end})",
                        where=day.where,
                        cure="nothing of it was loaded; run again, and report it if it stays",
                    )
                groups += read_groups(day, unknown)
            for group in groups:
                if (group.day, group.keys) in seen:
                    raise PagingError(
                        f"{' / '.join(group.keys)} of {group.day} came twice",
                        where=group.where,
                        cure="nothing of it was loaded; run again later, and report it to AWS if it stays",
                    )
                seen.add((group.day, group.keys))
            yield page, groups

    def _refuse_gaps(
        self, expected: Mapping[date, Decimal], found: Mapping[date, Decimal], counts: Mapping[date, int]
    ) -> None:
        for day in sorted({*expected, *found}):
            total, parts = expected.get(day, Decimal(0)), found.get(day, Decimal(0))
            gap = abs(EXACT.subtract(total, parts))
            if gap > max(_ROUNDING * (counts.get(day, 0) + 2), _RELATIVE * abs(total)):
                raise IncompleteDelivery(
                    f"usage types of {day} add up to {parts:f}, AWS's own total is {total:f}",
                    where=self._source_name,
                    cure="AWS refreshes its figures several times a day; nothing was loaded, it is read again at the "
                    "next run",
                )

    def _billing_account(self) -> tuple[str | None, str]:
        """(account, "") or (None, why it is not known)."""
        if self._options.billing_account_id:
            return self._options.billing_account_id, ""
        if self._options.role_arn:
            return self._options.role_arn.split(":")[4], ""
        if self._account is None:
            try:
                self._account = self._api.caller().account, ""
            except ConnectorError as error:
                self._account = None, error.what
        return self._account


def plan_parts(
    record_types: set[str], by_value: Mapping[str | None, Decimal], split: Split | None, most: int
) -> list[Part]:
    """The usage requests: none, one, or one per value of the split and one for whatever is left.

    The last one is the complement of the others, so that no charge falls between them.
    """
    if not record_types:
        return []
    usage = among("RECORD_TYPE", sorted(record_types))
    if split is None:
        return [Part(None, (usage,))]
    named = sorted((value for value in by_value if value), key=lambda value: (-by_value[value], value))
    own: Sequence[str] = named[:most]
    parts = [Part(value, (usage, split.among([value]))) for value in own]
    if len(own) < len(by_value):
        rest = (usage, {"Not": split.among(own)}) if own else (usage,)
        parts.append(Part(None, rest))
    return parts
