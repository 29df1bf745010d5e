"""Cost Explorer's own rules: two groups per request, a cent per request, record types, 14 months."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.aws_cost_explorer import AwsCostExplorer, AwsCostExplorerOptions, split_window
from connectors.aws_cost_explorer import api as cost_explorer_api
from connectors.aws_cost_explorer.fetch import plan_parts
from connectors.aws_cost_explorer.queries import Split
from connectors.base import Window
from connectors.errors import (
    ConfigError,
    ConnectorError,
    CredentialError,
    IncompleteDelivery,
    PagingError,
    PayloadError,
    PermissionDenied,
    TransientError,
)
from connectors.focus_files import FocusFiles, FocusFilesOptions
from tests.connectors.billing_files import focus_csv, focus_row
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.conformance.world import FAST
from tests.connectors.in_warehouse import ingest, opened
from tests.servers.cost_explorer import ACCOUNT, CostExplorerStub, Line, lets_through, refusal
from tests.servers.json_api import Fault, serve
from tests.servers.s3 import use_test_credentials
from warehouse.errors import OverlapError

DAY = date(2026, 1, 4)
WEEK = Window(date(2026, 1, 1), date(2026, 1, 8))
EC2 = "Amazon Elastic Compute Cloud - Compute"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use_test_credentials(monkeypatch)


@pytest.fixture
def stub() -> Iterator[CostExplorerStub]:
    with serve(CostExplorerStub(vary=False)) as api:
        assert isinstance(api, CostExplorerStub)
        yield api


def connect(stub: CostExplorerStub, **options: Any) -> AwsCostExplorer:
    settings = {"endpoint_url": stub.url, "billing_account_id": ACCOUNT, **options}
    return AwsCostExplorer(name="ce", options=AwsCostExplorerOptions.model_validate(settings), retry=FAST)


def load(stub: CostExplorerStub, folder: Path, window: Window = WEEK, **options: Any) -> Ledger:
    ledger = Ledger(folder)
    ledger.run(connect(stub, **options), window)
    return ledger


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    return [row for _, _, row in ledger.rows]


# ------------------------------------------------------------------------------------------ requests


@given(st.dates(date(2024, 1, 1), date(2027, 1, 1)), st.integers(1, 1200))
def test_windows_are_cut_without_gap_and_never_straddle_what_aws_keeps(start: date, length: int) -> None:
    whole = Window(start, start + timedelta(days=length))
    parts = split_window(whole)
    assert [day for part in parts for day in part.days()] == list(whole.days())
    assert all((part.end - part.start).days <= 92 for part in parts[1:])
    if (parts[0].end - parts[0].start).days > 92:
        assert 423 <= (whole.end - parts[0].end).days <= 427  # 14 months less a day


def test_a_window_is_two_requests_whatever_it_holds(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [
        Line(DAY + timedelta(days=n), Decimal("1.5"), usage_type=f"type-{m}") for n in range(-60, 3) for m in range(9)
    ]
    load(stub, tmp_path, Window(date(2025, 10, 10), date(2026, 1, 8)))
    totals, usage = stub.asked
    assert totals["TimePeriod"] == usage["TimePeriod"] == {"Start": "2025-10-10", "End": "2026-01-08"}
    assert [group["Key"] for group in totals["GroupBy"]] == ["RECORD_TYPE", "SERVICE"]
    assert [group["Key"] for group in usage["GroupBy"]] == ["SERVICE", "USAGE_TYPE"]
    assert "Filter" not in totals
    assert usage["Filter"] == {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Usage"]}}
    assert len(stub.requests) == 2  # the account is configured, so STS is not asked


def test_days_without_usage_are_one_request(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(3), service="Tax", record_type="Tax", usage_type="")]
    assert load(stub, tmp_path).totals() == {DAY: Decimal(3)}
    assert len(stub.asked) == 1


def test_fourteen_months_on_day_one(stub: CostExplorerStub, tmp_path: Path) -> None:
    """Days that AWS no longer keeps fail by themselves; the 14 months that it keeps come in."""
    today = stub.today
    stub.lines = [Line(today - timedelta(days=n), Decimal(1)) for n in range(1, 500)]
    connector, ledger = connect(stub), Ledger(tmp_path)
    refs = list(connector.discover(Window(today - timedelta(days=499), today)))
    with pytest.raises(ConfigError, match="historical data beyond 14 months") as caught:
        ledger.load(connector, refs[0])
    assert "aws_data_exports" in caught.value.cure
    for ref in refs[1:]:
        ledger.load(connector, ref)
    assert len(ledger.totals()) == (today - date(2024, 11, 20)).days - 1
    assert len(stub.asked) == 1 + 2 * len(refs[1:]) == 11  # eleven cents


# ------------------------------------------------------------------------------- splits by a third dimension


def bill() -> list[Line]:
    lines = []
    for account, tags in ((ACCOUNT, {"feature": "chat"}), ("444455556666", {"feature": "search"}), (ACCOUNT, {})):
        for n, usage_type in enumerate(("USE1-BoxUsage:p5.48xlarge", "USE1-DataTransfer-Out-Bytes")):
            amount = Decimal(len(lines) + 1) + Decimal("0.1000000001")
            lines.append(Line(DAY, amount, EC2, usage_type, account, quantity=Decimal(n + 1), unit="Hrs", tags=tags))
    lines.append(Line(DAY, Decimal("-2.5"), "Amazon Bedrock", "", ACCOUNT, "Credit", tags={"feature": "chat"}))
    lines.append(Line(DAY, Decimal("4.4"), "AWS Support (Business)", "", ACCOUNT, "Support fee"))
    return lines


@pytest.mark.parametrize(("split_by", "most", "requests"), [(None, 40, 2), ("account", 40, 3), ("tag:feature", 40, 4)])
def test_a_split_costs_one_request_per_value_and_loses_nothing(
    stub: CostExplorerStub, tmp_path: Path, split_by: str | None, most: int, requests: int
) -> None:
    stub.lines = bill()
    ledger = load(stub, tmp_path, split_by=split_by, most_split_values=most)
    assert ledger.totals() == {DAY: sum((line.unblended for line in stub.lines), Decimal(0))}
    assert len(stub.asked) == requests


def test_accounts_have_their_names(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = bill()
    stub.account_names = {ACCOUNT: "acme", "444455556666": "acme-research"}
    found = {
        (row["sub_account_id"], row["sub_account_name"], row["service_name"], row["sku_meter"])
        for row in rows(load(stub, tmp_path, split_by="account"))
    }
    assert found == {
        (ACCOUNT, "acme", EC2, "USE1-BoxUsage:p5.48xlarge"),
        (ACCOUNT, "acme", EC2, "USE1-DataTransfer-Out-Bytes"),
        ("444455556666", "acme-research", EC2, "USE1-BoxUsage:p5.48xlarge"),
        ("444455556666", "acme-research", EC2, "USE1-DataTransfer-Out-Bytes"),
        (ACCOUNT, "acme", None, "Credit"),  # the groups are spent before the service
        (ACCOUNT, "acme", "AWS Support", "Support fee"),
    }


def test_tags_stand_in_tags(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = bill()
    gpu = [row for row in rows(load(stub, tmp_path, split_by="tag:feature")) if "p5" in row["sku_meter"]]
    assert {row["tags"]: row["billed_cost"] for row in gpu} == {
        '{"feature": "chat"}': Decimal("1.1000000001"),
        '{"feature": "search"}': Decimal("3.1000000001"),
        None: Decimal("5.1000000001"),
    }


def test_values_beyond_the_most_share_one_request(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [
        Line(DAY, Decimal(cost), tags={"feature": name} if name else {})
        for name, cost in (("a", 5), ("b", 50), ("c", -40), ("", 7))
    ]
    ledger = load(stub, tmp_path, split_by="tag:feature", most_split_values=2)
    assert {row["tags"]: row["billed_cost"] for row in rows(ledger)} == {
        '{"feature": "b"}': Decimal(50),
        '{"feature": "c"}': Decimal(-40),  # a large credit note is worth its own row too
        None: Decimal(12),
    }
    assert len(stub.asked) == 1 + 2 + 1


TAGS = st.dictionaries(st.just("feature"), st.sampled_from(["a", "b", "c", "d"]), max_size=1)
ACCOUNTS = st.sampled_from(["1", "2", "3"])
RECORD_TYPES = st.sampled_from(["Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"])


@given(
    st.lists(st.builds(Line, st.just(DAY), st.just(Decimal(1)), account=ACCOUNTS, tags=TAGS, record_type=RECORD_TYPES)),
    st.sampled_from([None, "account", "tag:feature"]),
    st.integers(1, 4),
)
def test_every_charge_meets_exactly_one_usage_request(lines: list[Line], split_by: str | None, most: int) -> None:
    split = Split(split_by) if split_by else None
    by_value: dict[str | None, Decimal] = {}
    for line in lines:
        value = {None: None, "account": line.account, "tag:feature": line.tags.get("feature")}[split_by]
        by_value[value] = by_value.get(value, Decimal(0)) + 1
    parts = plan_parts({line.record_type for line in lines}, by_value, split, most)
    for line in lines:
        assert sum(all(lets_through(chosen, line) for chosen in part.chosen) for part in parts) == 1


# ------------------------------------------------------------------------------------------ what comes out


def test_record_types_become_charge_categories(stub: CostExplorerStub, tmp_path: Path) -> None:
    categories = {
        "Usage": "Usage",
        "DiscountedUsage": "Usage",
        "Savings Plan Covered Usage": "Usage",
        "SavingsPlanNegation": "Usage",
        "SavingsPlanRecurringFee": "Purchase",
        "Recurring reservation fee": "Purchase",
        "Upfront reservation fee": "Purchase",
        "Support fee": "Purchase",
        "Tax": "Tax",
        "Credit": "Credit",
        "Refund": "Adjustment",
        "Enterprise Discount Program Discount": "Adjustment",
        "Brand New Fee": "Adjustment",
    }
    stub.lines = [
        Line(DAY, Decimal(n + 1), record_type=name, service=f"s{n}", usage_type=name)
        for n, name in enumerate(categories)
    ]
    ledger = load(stub, tmp_path)
    assert {row["sku_meter"]: row["charge_category"] for row in rows(ledger)} == categories
    unused = {row["sku_meter"] for row in rows(ledger) if row["commitment_discount_status"] == "Unused"}
    assert unused == {"SavingsPlanRecurringFee", "Recurring reservation fee"}
    assert any("'Brand New Fee'" in note for note in ledger.notes)


@pytest.mark.parametrize(("has_net", "effective"), [(True, "0.7"), (False, "0.8")])
def test_billed_is_unblended_and_effective_is_net_amortised_where_there_is_net(
    stub: CostExplorerStub, tmp_path: Path, has_net: bool, effective: str
) -> None:
    stub.has_net_metrics = has_net
    stub.lines = [Line(DAY, Decimal(1), amortized=Decimal("0.8"), net_amortized=Decimal("0.7"))]
    [row] = rows(load(stub, tmp_path))
    assert (row["billed_cost"], row["effective_cost"], row["list_cost"]) == (Decimal(1), Decimal(effective), None)


@pytest.mark.parametrize(
    ("usage_type", "unit", "kept"),
    [
        ("USE1-Claude4.6Sonnet-input-tokens", "1K tokens", "1K tokens"),
        ("BoxUsage:p5.48xlarge", "Hrs", "Hrs"),
        ("BoxUsage:p5.48xlarge", "N/A", "Hrs"),  # a machine's usage type counts hours, named or not
        ("EU-SpotUsage:g5.xlarge", "N/A", "Hrs"),
        ("USW2-Host:ml.g5.2xlarge", "N/A", "Hrs"),
        ("USE1-Claude4.6Sonnet-input-tokens", "N/A", None),  # thousands or millions: not known
        ("EBSOptimized:p5.48xlarge", "N/A", None),
    ],
)
def test_a_quantity_without_a_unit_is_unknown(
    stub: CostExplorerStub, tmp_path: Path, usage_type: str, unit: str, kept: str | None
) -> None:
    stub.lines = [Line(DAY, Decimal(1), usage_type=usage_type, quantity=Decimal(24), unit=unit)]
    [row] = rows(load(stub, tmp_path))
    assert (row["consumed_quantity"], row["consumed_unit"]) == (Decimal(24) if kept else None, kept)


def test_estimated_days_are_noted(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(1))]
    ledger = load(stub, tmp_path, Window(date(2025, 12, 30), date(2026, 1, 3)))
    assert "AWS marks 2 days (2026-01-01 to 2026-01-02) as estimated: the bill is not final" in ledger.notes


def test_a_currency_other_than_the_dollar_is_kept(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.currency, stub.lines = "CNY", [Line(DAY, Decimal("1E-7"))]
    [row] = rows(load(stub, tmp_path))
    assert (row["billing_currency"], row["billed_cost"]) == ("CNY", Decimal("0.0000001"))


# ------------------------------------------------------------------------------------ restated and refreshed


def test_a_restated_day_replaces_what_it_said(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(10)), Line(DAY + timedelta(days=1), Decimal(5))]
    connector, ledger = connect(stub), Ledger(tmp_path)
    ledger.run(connector, WEEK)
    stub.lines = [Line(DAY, Decimal("9.5")), Line(DAY + timedelta(days=1), Decimal(5))]
    ledger.run(connector, WEEK)
    assert ledger.totals() == {DAY: Decimal("9.5"), DAY + timedelta(days=1): Decimal(5)}


def test_figures_that_change_between_two_requests_are_not_loaded(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(10))]

    def refresh(asked: dict[str, Any]) -> None:
        if "Filter" in asked:
            stub.lines.append(Line(DAY, Decimal("0.01"), usage_type="late"))

    stub.before_answer = refresh
    with pytest.raises(IncompleteDelivery, match=r"add up to 10\.01, AWS's own total is 10") as caught:
        load(stub, tmp_path)
    assert "next run" in caught.value.cure


def test_rounding_of_ten_digits_is_no_change(stub: CostExplorerStub, tmp_path: Path) -> None:
    def round_down(asked: dict[str, Any]) -> None:
        if "Filter" in asked:
            stub.lines[0].unblended -= Decimal("1E-10")

    stub.lines, stub.before_answer = [Line(DAY, Decimal(10))], round_down
    assert load(stub, tmp_path).totals() == {DAY: Decimal("9.9999999999")}


# -------------------------------------------------------------------------------------------------- paging


def test_pages_are_followed_to_the_end(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(n), usage_type=f"type-{n}") for n in range(1, 100)]
    stub.largest_page = 10
    assert load(stub, tmp_path).totals() == {DAY: Decimal(4950)}
    assert len(stub.asked) == 1 + 10


def test_a_group_that_comes_twice_is_an_error(stub: CostExplorerStub, tmp_path: Path) -> None:
    """Fresh cursors, the same page: neither a repeated cursor nor an empty page would tell."""
    stub.lines, stub.largest_page, served = [Line(DAY, Decimal(1))], 1, [0]

    def serve_again(asked: dict[str, Any]) -> None:
        served[0] += 1
        for token in stub._tokens:
            stub._tokens[token] = (stub._tokens[token][0], 0)

    stub.endless_pages, stub.before_answer = True, serve_again
    with pytest.raises(PagingError, match="came twice"):
        load(stub, tmp_path)
    assert served == [2]


def test_a_page_cap_bounds_what_is_paid(
    stub: CostExplorerStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost_explorer_api, "MOST_PAGES", 4)
    stub.lines = [Line(DAY, Decimal(1), service=f"s{n}") for n in range(10)]
    stub.largest_page = 2
    with pytest.raises(PagingError, match="4 pages came and AWS still promises more"):
        load(stub, tmp_path)
    assert len(stub.asked) == 4


def test_a_token_that_aws_forgot_is_asked_for_anew_by_the_next_run(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(1), service=f"s{n}") for n in range(4)]
    stub.largest_page, stub.before_answer = 2, lambda asked: stub._tokens.clear()
    with pytest.raises(TransientError, match="between two pages"):
        load(stub, tmp_path)


# -------------------------------------------------------------------------------------------------- errors


def failing(code: str, message: str = "", status: int = 400, **headers: str) -> Fault:
    body = json.dumps(refusal(code, message).body)
    return Fault(status=status, body=body, headers=tuple((name.replace("_", "-"), v) for name, v in headers.items()))


@pytest.mark.parametrize("code", ["ThrottlingException", "LimitExceededException"])
def test_throttling_is_waited_out_within_bounds(stub: CostExplorerStub, tmp_path: Path, code: str) -> None:
    stub.lines = [Line(DAY, Decimal(1))]
    stub.faults = [failing(code, "Rate exceeded")] * 2
    assert load(stub, tmp_path / "passes").totals() == {DAY: Decimal(1)}
    stub.fault_for_ever, stub.requests = failing(code, "Rate exceeded"), []
    with pytest.raises(TransientError, match=f"busy or failing .{code}"):
        load(stub, tmp_path / "stays")
    assert len(stub.requests) == FAST.attempts


def test_a_long_retry_after_is_left_to_the_flow(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.fault_for_ever = failing("TooManyRequestsException", status=429, Retry_After="3600")
    with pytest.raises(TransientError) as caught:
        load(stub, tmp_path)
    assert caught.value.retry_after_seconds == 3600
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (failing("AccessDeniedException", "not authorized"), PermissionDenied, "allow ce:GetCostAndUsage"),
        (
            failing("AccessDeniedException", "User not enabled for cost explorer access"),
            PermissionDenied,
            "enable Cost",
        ),
        (failing("ExpiredTokenException"), CredentialError, "sign in again"),
        (failing("UnrecognizedClientException"), CredentialError, "AWS_ACCESS_KEY_ID"),
        (failing("DataUnavailableException"), IncompleteDelivery, "24 hours"),
        (failing("ValidationException", "Tag key x is unknown"), ConfigError, "Tag key x is unknown"),
        (failing("UnknownOperationException", status=404), ConfigError, "check endpoint_url"),
        (Fault(status=403, body="<html>gateway</html>"), PermissionDenied, "ce:GetCostAndUsage"),
    ],
)
def test_refusals_name_their_cure_and_are_not_asked_twice(
    stub: CostExplorerStub, tmp_path: Path, fault: Fault, error: type[ConnectorError], says: str
) -> None:
    stub.fault_for_ever = fault
    with pytest.raises(error) as caught:
        load(stub, tmp_path)
    assert says in str(caught.value)
    assert "ce: totals page 1" in str(caught.value)
    assert len(stub.requests) == 1


def test_a_refusal_that_quotes_the_request_shows_no_key_id(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.fault_for_ever = failing("ValidationException", "Credential=AKIATESTTESTTEST/20260101 is malformed")
    with pytest.raises(ConfigError) as caught:
        load(stub, tmp_path)
    assert "AKIATEST" not in str(caught.value)


def test_missing_credentials_are_named(stub: CostExplorerStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialError, match="no usable AWS credentials"):
        load(stub, tmp_path)


GROUP: dict[str, Any] = {
    "Keys": ["Usage", "Amazon Bedrock"],
    "Metrics": {
        "UnblendedCost": {"Amount": "1", "Unit": "USD"},
        "AmortizedCost": {"Amount": "1", "Unit": "USD"},
        "UsageQuantity": {"Amount": "1", "Unit": "N/A"},
    },
}


def day(groups: Any, start: str = "2026-01-04", **fields: Any) -> dict[str, Any]:
    return {"TimePeriod": {"Start": start, "End": "2026-01-05"}, "Total": {}, "Groups": groups, **fields}


def with_metric(name: str, metric: Any) -> dict[str, Any]:
    return {**GROUP, "Metrics": {**GROUP["Metrics"], name: metric}}


@pytest.mark.parametrize(
    ("results", "says"),
    [
        (None, "field 'ResultsByTime': expected a list"),
        ([day(None)], "field 'Groups': expected a list"),
        ([day([], Total={"UnblendedCost": {"Amount": "3", "Unit": "USD"}})], "a total and no groups"),
        ([day([GROUP], start="2026-02-04")], "outside the days asked for"),
        ([day([GROUP], start="January")], "a day"),
        ([day([{**GROUP, "Keys": ["Usage"]}])], "field 'Keys': expected two texts"),
        ([day([with_metric("UnblendedCost", None)])], "field 'UnblendedCost': expected an object"),
        ([day([with_metric("UnblendedCost", {"Amount": "much", "Unit": "USD"})])], "Amount"),
        ([day([with_metric("AmortizedCost", {"Amount": "1", "Unit": "EUR"})])], "one currency code"),
        ([day([GROUP], Estimated="no")], "field 'Estimated'"),
    ],
)
def test_an_answer_of_another_shape_is_an_error_that_names_the_place(
    stub: CostExplorerStub, tmp_path: Path, results: Any, says: str
) -> None:
    stub.fault_for_ever = Fault("garbage", body=json.dumps({"ResultsByTime": results}))
    with pytest.raises(PayloadError) as caught:
        load(stub, tmp_path)
    assert says in str(caught.value)
    assert "totals page 1" in str(caught.value)


def test_days_that_the_answer_leaves_out_are_noted(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.fault_for_ever = Fault("garbage", body=json.dumps({"ResultsByTime": []}))
    assert any("lacks 7 of the days" in note for note in load(stub, tmp_path).notes)


# --------------------------------------------------------------------------------------- whose bill it is


def test_the_account_is_that_of_the_credentials(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(1))]
    connector, ledger = connect(stub, billing_account_id=None), Ledger(tmp_path)
    ledger.run(connector, Window(date(2025, 7, 1), date(2026, 1, 8)))
    assert {row["billing_account_id"] for row in rows(ledger)} == {ACCOUNT}
    assert [role["Action"] for role in stub.roles] == ["GetCallerIdentity"]  # once for three deliveries


def test_an_account_that_cannot_be_told_is_a_note(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(1))]
    options = AwsCostExplorerOptions.model_validate({"endpoint_url": stub.url})
    connector, ledger = AwsCostExplorer(name="ce", options=options, retry=FAST), Ledger(tmp_path)
    [ref] = connector.discover(WEEK)
    files = {}
    for payload in connector.fetch(ref):
        if payload.name.startswith("usage-"):
            stub.fault_for_ever = Fault(status=403)  # from here on only STS is asked
        files[payload.name] = tmp_path / payload.name
        files[payload.name].write_bytes(b"".join(payload.chunks))
    parsed = connector.parse(files)
    assert any("set billing_account_id" in note for note in parsed.notes)
    assert ledger.rows == []


def test_a_role_signs_and_its_account_is_the_bills(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.lines = [Line(DAY, Decimal(1))]
    role = "arn:aws:iam::999988887777:role/billing-reader"
    ledger = load(stub, tmp_path, billing_account_id=None, role_arn=role, external_id="acme-42")
    assert set(stub.signed_by) == {"ASIAROLEROLEROLE"}
    assert [(asked["RoleArn"], asked["ExternalId"]) for asked in stub.roles] == [(role, "acme-42")]
    assert {row["billing_account_id"] for row in rows(ledger)} == {"999988887777"}


def test_a_role_that_may_not_be_assumed_names_the_permission(stub: CostExplorerStub, tmp_path: Path) -> None:
    stub.fault_for_ever = Fault(
        status=403, body="<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    )
    connector = connect(stub, role_arn="arn:aws:iam::999988887777:role/billing-reader")
    with pytest.raises(PermissionDenied, match="sts:AssumeRole is missing"):
        Ledger(tmp_path).run(connector, WEEK)
    [result] = connector.check()
    assert not result.ok
    assert "sts:AssumeRole" in result.cure


def test_check_asks_one_recent_day_and_says_what_it_costs(stub: CostExplorerStub) -> None:
    identity, costs = connect(stub).check()
    assert ACCOUNT in identity.detail
    assert "$0.01" in costs.detail
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"split_by": "tag:"},
        {"split_by": "service"},
        {"billing_account_id": "12"},
        {"most_split_values": 0},
        {"external_id": "x-1"},
        {"endpoint_url": "ftp://x"},
    ],
)
def test_options_are_strict(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AwsCostExplorerOptions.model_validate(options)


# -------------------------------------------------------------------------------------- in the warehouse


@pytest.mark.parametrize("split_by", [None, "account", "tag:feature"])
def test_the_warehouse_holds_the_bill_to_the_last_digit_and_knows_what_it_is(
    stub: CostExplorerStub, tmp_path: Path, split_by: str | None
) -> None:
    tokens = {"quantity": Decimal("1234.5"), "unit": "1K tokens", "tags": {"feature": "chat"}}
    millions = {"quantity": Decimal("0.25"), "unit": "Units"}
    edition = "Claude Sonnet 4.5 (Amazon Bedrock Edition)"
    stub.lines = [
        Line(DAY, Decimal("12.3456789012"), usage_type="USE1-Claude4.6Sonnet-cache-read-input-token-count", **tokens),
        Line(DAY, Decimal("0.0000000001"), edition, "USE1-MP:USE1_output_tokens_standard-Units", **millions),
        Line(DAY, Decimal("98.32"), EC2, "USE1-BoxUsage:p5.48xlarge", quantity=Decimal(2), unit="Hrs"),
        Line(DAY, Decimal("5.5"), "Amazon SageMaker", "USW2-Host:ml.g5.2xlarge", quantity=Decimal(4), unit="N/A"),
        Line(DAY, Decimal("7.7"), "Amazon Simple Storage Service", "TimedStorage-ByteHrs"),
        Line(DAY, Decimal("-3.3"), "Amazon Bedrock", "", record_type="Credit", tags={"feature": "chat"}),
        Line(DAY, Decimal("2.2"), "Tax", "", record_type="Tax"),
    ]
    with opened(tmp_path) as wh:
        connector = connect(stub, split_by=split_by)
        [result] = ingest(wh, tmp_path, connector, WEEK)
        [again] = ingest(wh, tmp_path, connector, WEEK)
        assert (result.was_loaded, again.was_loaded) == (True, False)
        truth = sum((line.unblended for line in stub.lines), Decimal(0))
        assert wh.con.execute("SELECT sum(billed_cost), sum(effective_cost) FROM core.charges").fetchone() == (
            truth,
            truth,
        )
        found = wh.con.execute(
            """
            SELECT ai_kind, model, token_type, tokens, gpu_type, gpu_hours, billed_cost FROM core.charges
            WHERE charge_category = 'Usage' AND ai_kind <> 'other' ORDER BY billed_cost
            """
        ).fetchall()
    assert found == [
        ("llm_api", "claude-sonnet-4-5", "output", Decimal(250000), None, None, Decimal("0.0000000001")),
        ("gpu", None, None, None, "A10G", Decimal(4), Decimal("5.5")),
        ("llm_api", "claude-sonnet-4-6", "cache_read", Decimal(1234500), None, None, Decimal("12.3456789012")),
        ("gpu", None, None, None, "H100", Decimal(16), Decimal("98.32")),
    ]


def test_an_export_of_the_same_account_and_period_is_refused_with_both_names(
    stub: CostExplorerStub, tmp_path: Path
) -> None:
    """Until the period is handed over (until:, role: shadow), nothing is counted twice."""
    stub.lines = [Line(DAY, Decimal("12.5"))]
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "bill-2026-01.csv").write_bytes(focus_csv([focus_row(4, cost="12.5")]))
    export = FocusFiles(name="aws_export", options=FocusFilesOptions(location=str(tmp_path / "inbox")))
    with opened(tmp_path) as wh:
        ingest(wh, tmp_path, connect(stub), WEEK)
        with pytest.raises(OverlapError, match=f"{ACCOUNT} in 2026-01 comes from the source 'ce' already"):
            ingest(wh, tmp_path, export, WEEK)
        assert wh.con.execute("SELECT sum(billed_cost) FROM core.charges").fetchone() == (Decimal("12.5"),)
