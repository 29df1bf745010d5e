"""AWS Cost Explorer, as its API reference documents GetCostAndUsage, and the two calls of STS beside it.

JSON 1.1: POST / with X-Amz-Target. Amounts are texts. Errors carry their code in `__type`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from tests.servers.json_api import JsonApi, RefusalError, Request

TARGET = "AWSInsightsIndexService.GetCostAndUsage"
ACCOUNT = "111122223333"
DIMENSIONS = {
    "SERVICE": "service",
    "USAGE_TYPE": "usage_type",
    "LINKED_ACCOUNT": "account",
    "RECORD_TYPE": "record_type",
}
METRICS = {
    "UnblendedCost": "unblended",
    "AmortizedCost": "amortized",
    "NetAmortizedCost": "net_amortized",
    "UsageQuantity": "quantity",
}


@dataclass
class Line:
    """One line of the bill; amounts have at most ten digits after the point, as Cost Explorer writes them."""

    day: date
    unblended: Decimal
    service: str = "Amazon Bedrock"
    usage_type: str = "USE1-Claude4.6Sonnet-input-tokens"
    account: str = ACCOUNT
    record_type: str = "Usage"
    amortized: Decimal | None = None
    net_amortized: Decimal | None = None
    quantity: Decimal = Decimal(0)
    unit: str = "N/A"
    tags: dict[str, str] = field(default_factory=dict)

    def amount(self, metric: str) -> Decimal:
        given = {
            "UnblendedCost": self.unblended,
            "AmortizedCost": self.amortized,
            "NetAmortizedCost": self.net_amortized if self.net_amortized is not None else self.amortized,
            "UsageQuantity": self.quantity,
        }[metric]
        return self.unblended if given is None else given


@dataclass
class CostExplorerStub(JsonApi):
    """`today` decides what is too old, and what is still estimated (its month)."""

    lines: list[Line] = field(default_factory=list)
    account_names: dict[str, str] = field(default_factory=dict)
    today: date = date(2026, 1, 20)
    currency: str = "USD"
    largest_page: int = 5000
    is_allowed: bool = True
    has_net_metrics: bool = True
    repeat_cursor: bool = False
    endless_pages: bool = False
    unknown_fields: dict[str, Any] = field(default_factory=dict)
    before_answer: Callable[[dict[str, Any]], None] = lambda asked: None
    roles: list[dict[str, str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)  # each request's body, pages included
    signed_by: list[str] = field(default_factory=list)
    _tokens: dict[str, tuple[str, int]] = field(default_factory=dict)  # token → (request, first group)

    def answer(self, request: Request) -> Any:
        if b"Action=" in request.body:
            return self._sts({name: given[0] for name, given in parse_qs(request.body.decode()).items()})
        if request.headers.get("x-amz-target") != TARGET:
            raise refusal("UnknownOperationException", "")
        if not request.headers.get("content-type", "").startswith("application/x-amz-json-1.1"):
            raise refusal("SerializationException", "")
        signature = request.headers.get("authorization", "")
        if not signature.startswith("AWS4-HMAC-SHA256 Credential=") or "/us-east-1/ce/aws4_request" not in signature:
            raise refusal("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
        self.signed_by.append(signature.partition("Credential=")[2].partition("/")[0])
        if not self.is_allowed:
            raise refusal(
                "AccessDeniedException",
                f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: ce:GetCostAndUsage on resource: *",
            )
        asked = json.loads(request.body)
        self.asked.append(asked)
        self.before_answer(asked)
        return self._costs(asked)

    def _costs(self, asked: dict[str, Any]) -> dict[str, Any]:
        start, end = (date.fromisoformat(asked["TimePeriod"][name]) for name in ("Start", "End"))
        if end <= start:
            raise refusal("ValidationException", "Start date (and hour) should be before end date (and hour)")
        if start < _months_back(self.today, 14):
            raise refusal("ValidationException", "You haven't enabled historical data beyond 14 months.")
        if asked["Granularity"] != "DAILY" or not asked["Metrics"] or not set(asked["Metrics"]) <= set(METRICS):
            raise refusal("ValidationException", "this stub knows days and four metrics")
        if len(asked["GroupBy"]) > 2:
            raise refusal("ValidationException", "Group by should have at most 2 items")
        token = asked.pop("NextPageToken", None)
        text = json.dumps(asked, sort_keys=True)
        first = 0
        if token is not None:
            if token not in self._tokens:
                raise refusal("InvalidNextTokenException", "")
            request, first = self._tokens[token]
            if request != text:
                raise refusal("RequestChangedException", "")
        groups = self._groups(asked, start, end)
        size = self.pick_page_size(self.largest_page)
        following = first + size
        page = self._page(asked, groups[first:following], start, end, is_first=first == 0)
        if following < len(groups) or self.endless_pages or self.repeat_cursor:
            page["NextPageToken"] = self._token(text, following)
        return self.vary_record({**page, **self.unknown_fields}, optional=frozenset({"NextPageToken"}))

    def _token(self, text: str, following: int) -> str:
        token = "again" if self.repeat_cursor else f"token-{len(self._tokens)}"
        self._tokens[token] = (text, following)
        return token

    def _groups(self, asked: dict[str, Any], start: date, end: date) -> list[tuple[date, tuple[str, ...], list[Line]]]:
        found: dict[tuple[date, tuple[str, ...]], list[Line]] = defaultdict(list)
        for line in self.lines:
            if start <= line.day < end and lets_through(asked.get("Filter"), line):
                found[line.day, tuple(_key(group, line) for group in asked["GroupBy"])].append(line)
        return [(day, keys, found[day, keys]) for day, keys in sorted(found)]

    def _page(
        self,
        asked: dict[str, Any],
        groups: list[tuple[date, tuple[str, ...], list[Line]]],
        start: date,
        end: date,
        *,
        is_first: bool,
    ) -> dict[str, Any]:
        by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
        for day, keys, lines in groups:
            metrics = {name: self._metric(name, lines) for name in asked["Metrics"] if self._has(name)}
            by_day[day].append(
                self.vary_record({"Keys": list(keys), "Metrics": self.vary_record(metrics), **self.unknown_fields})
            )
        # Days without groups stand on the first page; a day whose groups did not fit stands on two.
        days = {start + timedelta(days=n) for n in range((end - start).days)} if is_first else set(by_day)
        results = [
            self.vary_record(
                {
                    "TimePeriod": {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()},
                    "Total": {},
                    "Groups": by_day.get(day, []),
                    "Estimated": day >= self.today.replace(day=1),
                    **self.unknown_fields,
                }
            )
            for day in sorted(days)
        ]
        accounts = sorted({line.account for _, _, lines in groups for line in lines} & set(self.account_names))
        is_by_account = any(group["Key"] == "LINKED_ACCOUNT" for group in asked["GroupBy"])
        return {
            "GroupDefinitions": asked["GroupBy"],
            "ResultsByTime": results,
            "DimensionValueAttributes": [
                {"Value": account, "Attributes": {"description": self.account_names[account]}}
                for account in (accounts if is_by_account else [])
            ],
        }

    def _has(self, metric: str) -> bool:
        return self.has_net_metrics or not metric.startswith("Net")

    def _metric(self, name: str, lines: list[Line]) -> dict[str, Any]:
        amount = sum((line.amount(name) for line in lines), Decimal(0))
        units = {line.unit for line in lines}
        unit = (units.pop() if len(units) == 1 else "N/A") if name == "UsageQuantity" else self.currency
        return self.vary_record({"Amount": self._write_amount(amount), "Unit": unit})

    def _write_amount(self, amount: Decimal) -> str:
        style = self.rng.randrange(3) if self.vary else 0
        if style == 1:
            return format(amount.quantize(Decimal("1E-10")), "f")
        return str(amount) if style == 2 else format(amount, "f")

    def _sts(self, asked: dict[str, str]) -> bytes:
        self.roles.append(asked)
        if asked["Action"] == "AssumeRole":
            given = (
                "<AccessKeyId>ASIAROLEROLEROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>"
                "<SessionToken>role-token</SessionToken><Expiration>2036-01-01T00:00:00Z</Expiration>"
            )
            answer = f"<AssumeRoleResult><Credentials>{given}</Credentials></AssumeRoleResult>"
        else:
            told = f"<Arn>arn:aws:iam::{ACCOUNT}:user/x</Arn><UserId>AIDA</UserId><Account>{ACCOUNT}</Account>"
            answer = f"<GetCallerIdentityResult>{told}</GetCallerIdentityResult>"
        return f"<{asked['Action']}Response>{answer}</{asked['Action']}Response>".encode()


def refusal(code: str, message: str, *, status: int = 400) -> RefusalError:
    return RefusalError(status, {"__type": code, "message": message})


def _months_back(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, 28))


def _key(group: dict[str, str], line: Line) -> str:
    if group["Type"] == "TAG":
        return f"{group['Key']}${line.tags.get(group['Key'], '')}"
    return str(getattr(line, DIMENSIONS[group["Key"]]))


def lets_through(expression: dict[str, Any] | None, line: Line) -> bool:
    """https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Expression.html"""
    if expression is None:
        return True
    if len(expression) != 1:
        raise refusal("ValidationException", "Expression must have exactly one root operator or dimension")
    if "And" in expression or "Or" in expression:
        [(operator, parts)] = expression.items()
        if len(parts) < 2:
            raise refusal("ValidationException", f"{operator} must have at least 2 operands")
        return (all if operator == "And" else any)(lets_through(part, line) for part in parts)
    if "Not" in expression:
        return not lets_through(expression["Not"], line)
    if "Tags" in expression:
        tags = expression["Tags"]
        return line.tags.get(tags["Key"], "") in tags["Values"]
    dimension = expression["Dimensions"]
    return getattr(line, DIMENSIONS[dimension["Key"]]) in dimension["Values"]
