"""What goes wrong at BigQuery, and what the person is told. Error bodies are as Google documents them."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.auth import exceptions as auth
from pydantic import ValidationError

from connectors.base import CheckResult, Window
from connectors.bigquery import explain
from connectors.errors import (
    ConfigError,
    ConnectorError,
    CredentialError,
    IncompleteDelivery,
    PayloadError,
    PermissionDenied,
    TransientError,
)
from connectors.gcp_billing import GcpBilling, GcpBillingOptions
from connectors.http_api import RetryPolicy
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.gcp_billing.export_rows import TABLE, net, row
from tests.servers.bigquery import Dataset, Fault, Proxy, new_dataset, proxy

WINDOW = Window(date(2026, 1, 5), date(2026, 1, 6))
QUICK = RetryPolicy(attempts=3, first_wait_seconds=0.001, longest_wait_seconds=0.01, read_timeout_seconds=20)
ROWS = [row(cost="1.5"), row(cost="2.25", credits=[("DISCOUNT", "-0.5")])]


@pytest.fixture(scope="module")
def billing(emulator: int) -> Dataset:
    made = new_dataset()
    made.create(TABLE)
    made.load(TABLE, ROWS)
    return made


@pytest.fixture
def server(emulator: int) -> Iterator[Proxy]:
    with proxy() as running:
        yield running


def connect(billing: Dataset, server: Proxy, *, retry: RetryPolicy = QUICK, **options: Any) -> GcpBilling:
    given = {**billing.options(), "api_endpoint": server.url, **options}
    return GcpBilling(name="my_gcp", options=GcpBillingOptions.model_validate(given), retry=retry)


def net_of(ledger: Ledger) -> Decimal:
    return sum((one["billed_cost"] for _, _, one in ledger.rows), Decimal(0))


TABLES, JOBS, RESULTS = "/tables?", "POST /bigquery/v2/projects/acme-finops/jobs", "/queries/"


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault(TABLES, 503), TransientError, "busy or failing: 503"),
        (Fault(TABLES, 429, "rateLimitExceeded", "Exceeded rate limits"), TransientError, "Exceeded rate limits"),
        (Fault(JOBS, 403, "rateLimitExceeded", "Exceeded rate limits"), TransientError, "rateLimitExceeded"),
        (Fault(JOBS, 500, "internalError", "Retry the job"), TransientError, "500"),
        (Fault(RESULTS, 502, "backendError", "x"), TransientError, "502"),
        (Fault(RESULTS, 0), TransientError, "or it broke"),
        (Fault(TABLES, 200, body=b"<html>maintenance</html>"), PayloadError, "does not answer as BigQuery"),
        (Fault(TABLES, 200, body=b'["what"]'), PayloadError, "does not answer as BigQuery"),
        (Fault(TABLES, 401, "authError", "Invalid Credentials"), CredentialError, "gcloud auth"),
        (
            Fault(TABLES, 403, "accessDenied", "Access Denied: Dataset a:b: Permission bigquery.tables.list denied"),
            PermissionDenied,
            "bigquery.tables.list is missing: .* grant roles/bigquery.dataViewer on the dataset acme-finops.billing",
        ),
        (
            Fault(JOBS, 403, "accessDenied", "User does not have bigquery.jobs.create permission in project acme."),
            PermissionDenied,
            "bigquery.jobs.create is missing: .* grant roles/bigquery.jobUser on the project acme-finops",
        ),
        (
            Fault(JOBS, 403, "accessDenied", "User does not have permission to query table a:b.c, or perhaps …"),
            PermissionDenied,
            "bigquery.tables.getData is missing: .* roles/bigquery.dataViewer on the dataset",
        ),
        (
            Fault(JOBS, 403, "vpcServiceControls", "Request is prohibited by organization's policy"),
            PermissionDenied,
            "ingress rule",
        ),
        (
            Fault(TABLES, 403, "accessNotConfigured", "BigQuery API has not been used in project 1 before"),
            ConfigError,
            "gcloud services enable bigquery.googleapis.com --project acme-finops",
        ),
        (Fault(JOBS, 403, "quotaExceeded", "Custom quota exceeded"), ConfigError, "a quota is used up"),
        (Fault(TABLES, 404, "notFound", "Not found: Dataset a:b"), ConfigError, "Not found: Dataset a:b .* location"),
        (
            Fault(JOBS, 400, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed: 1."),
            ConfigError,
            "raise maximum_gigabytes_billed",
        ),
        (Fault(JOBS, 400, "invalidQuery", "Unrecognized name: cost"), PayloadError, "Unrecognized name: cost"),
        (Fault(JOBS, 400, "invalid", "Cannot read in location: EU"), ConfigError, "refuses the request"),
    ],
    ids=lambda value: f"{value.status}-{value.reason}" if isinstance(value, Fault) else "",
)
def test_a_fault_that_stays_is_bounded_named_and_has_a_cure(
    billing: Dataset, server: Proxy, ledger: Ledger, fault: Fault, error: type[ConnectorError], words: str
) -> None:
    server.faults = [Fault(**vars(fault))]
    with pytest.raises(error, match=words) as caught:
        ledger.run(connect(billing, server), WINDOW)
    assert str(caught.value).startswith("my_gcp: ")
    assert caught.value.cure
    assert sum(fault.path in one for one in server.asked) <= QUICK.attempts
    assert ledger.rows == []


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def test_faults_that_pass_leave_no_trace(billing: Dataset, server: Proxy, ledger: Ledger) -> None:
    server.faults = [
        Fault(TABLES, 503, times=2),
        Fault(JOBS, 403, "rateLimitExceeded", times=2),
        Fault(RESULTS, 0, times=1),
        Fault(RESULTS, 500, "internalError", times=1),
    ]
    ledger.run(connect(billing, server), WINDOW)
    assert net_of(ledger) == net(ROWS)
    assert all(fault.times == 0 for fault in server.faults)


def test_a_server_that_is_not_there_or_silent_is_bounded(billing: Dataset, server: Proxy) -> None:
    with pytest.raises(TransientError, match=r"no connection to http://127\.0\.0\.1:1"):
        connect(billing, server, api_endpoint="http://127.0.0.1:1").discover(WINDOW)
    hasty = RetryPolicy(attempts=2, first_wait_seconds=0.001, read_timeout_seconds=0.05)
    server.faults = [Fault(TABLES, -1)]
    started = time.monotonic()
    with pytest.raises(TransientError, match="ReadTimeout"):
        connect(billing, server, retry=hasty).discover(WINDOW)
    assert time.monotonic() - started < 5


def test_an_answer_that_lacks_a_page_is_not_taken_for_a_whole(billing: Dataset, server: Proxy, ledger: Ledger) -> None:
    connector = connect(billing, server)
    [ref, *_] = [ref for ref in connector.discover(WINDOW) if ref.identity != "empty"]
    server.rewrite = lambda body: body.replace(b'"totalRows":"1"', b'"totalRows":"2"')
    with pytest.raises(IncompleteDelivery, match="1 of 2 rows"):
        ledger.land(connector, ref)


def test_the_limit_stands_in_every_query_and_stops_a_dear_one_before_it_runs(
    billing: Dataset, server: Proxy, ledger: Ledger
) -> None:
    connector = connect(billing, server, maximum_gigabytes_billed="0.5")
    refs = [ref for ref in connector.discover(WINDOW) if ref.identity != "empty"]
    [listing] = [one["configuration"] for one in server.sent if "configuration" in one]
    assert listing["query"]["maximumBytesBilled"] == "500000000"
    server.sent.clear()
    # The emulator knows no prices: its dry run says what BigQuery's would of a large partition.
    server.rewrite = lambda body: body.replace(b'"totalBytesProcessed":"0"', b'"totalBytesProcessed":"750000000"')
    with pytest.raises(ConfigError, match=r"0\.5: the dry run says 0\.750 GB") as caught:
        ledger.land(connector, refs[0])
    assert "raise maximum_gigabytes_billed" in caught.value.cure
    assert [one["configuration"].get("dryRun") for one in server.sent] == [True]
    server.rewrite = lambda body: body.replace(b'"totalBytesProcessed":"0"', b'"totalBytesProcessed":"7700000000"')
    [query] = [result for result in connector.check() if result.name == "query"]
    assert "about 1.100 GB to read; that is above maximum_gigabytes_billed, 0.5" in query.detail
    assert not query.ok


def test_the_estimate_is_logged_and_landed(
    billing: Dataset, server: Proxy, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    connector = connect(billing, server)
    [ref, *_] = [ref for ref in connector.discover(WINDOW) if ref.identity != "empty"]
    with caplog.at_level(logging.INFO):
        files = ledger.land(connector, ref)
    assert "the dry run says 0.000 GB" in caplog.text
    assert '"estimated_bytes": 0' in files["partition.json"].read_text()
    assert "FROM `acme-finops." in files["partition.json"].read_text()


class TestCheck:
    def test_a_fresh_export_is_ready(self, emulator: int) -> None:
        made = new_dataset()
        made.create(TABLE)
        exported = datetime.now(UTC) - timedelta(hours=30)
        made.load(TABLE, [row(exported=f"{exported:%Y-%m-%dT%H:%M:%S}")])
        table, fresh, query = GcpBilling(name="x", options=GcpBillingOptions.model_validate(made.options())).check()
        assert table.detail.endswith(f"{TABLE}, charges, partitioned by day of export_time")
        assert fresh.ok
        assert "30 hours ago" in fresh.detail
        assert query.ok
        assert "a day's partition is about 0.000 GB" in query.detail

    def fresh(self, billing: Dataset) -> CheckResult:
        connector = GcpBilling(name="x", options=GcpBillingOptions.model_validate(billing.options()))
        return next(result for result in connector.check() if result.name == "fresh")

    def test_a_stale_or_empty_export_says_where_to_look(self, billing: Dataset, emulator: int) -> None:
        stale = {r.name: r for r in GcpBilling(name="x", options=GcpBillingOptions(**billing.options())).check()}[
            "fresh"
        ]
        assert not stale.ok
        assert "2026-01-05 23:30 UTC" in stale.detail
        assert "Billing export" in stale.cure
        made = new_dataset()
        made.create(TABLE)
        empty = self.fresh(made)
        assert (empty.ok, empty.detail) == (False, "the table holds no row yet")

    def test_a_missing_role_is_one_line_after_what_works(self, billing: Dataset, server: Proxy) -> None:
        server.faults = [Fault(JOBS, 403, "accessDenied", "User does not have bigquery.jobs.create permission")]
        table, query = connect(billing, server).check()
        assert table.ok
        assert not query.ok
        assert "roles/bigquery.jobUser" in query.cure


class TestCredentials:
    def test_a_file_that_is_no_key_is_named_without_its_path(
        self, billing: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "canary.json"
        for text in (None, "not json", '{"type": "unknown"}', '{"type": "service_account"}'):
            if text is not None:
                path.write_text(text)
            options = {**billing.options(), "api_endpoint": "https://bigquery.invalid", "credentials_file": str(path)}
            connector = GcpBilling(name="my_gcp", options=GcpBillingOptions.model_validate(options))
            with pytest.raises(CredentialError, match="my_gcp") as caught:
                connector.discover(WINDOW)
            assert "credentials_file" in str(caught.value)
            told = "".join(traceback.format_exception(caught.value)) + repr(connector.options)
            assert "canary" not in told

    def test_no_credential_at_all_says_how_to_get_one(self, billing: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
        options = {**billing.options(), "api_endpoint": "https://bigquery.invalid"}
        with pytest.raises(CredentialError, match="gcloud auth application-default login"):
            GcpBilling(name="x", options=GcpBillingOptions.model_validate(options)).discover(WINDOW)

    def test_an_expired_one_is_told_from_a_network_that_fails(self) -> None:
        options = GcpBillingOptions(project="acme", dataset="billing")

        def explained(error: Exception) -> ConnectorError:
            return explain(error, where="gcp", options=options, credentials=None)

        expired = explained(auth.RefreshError("invalid_grant: token ya29.secret has expired"))  # type: ignore[no-untyped-call]
        assert isinstance(expired, CredentialError)
        assert "ya29" not in str(expired)
        assert isinstance(explained(auth.TransportError("x")), TransientError)  # type: ignore[no-untyped-call]

    def test_what_google_repeats_of_a_token_is_struck_out_and_the_account_is_named(self) -> None:
        from google.api_core.exceptions import Forbidden

        class Account:
            token = "ya29.canary"
            service_account_email = "bill-reader@acme.iam.gserviceaccount.com"

        message = "User ya29.canary does not have bigquery.jobs.create permission"
        error = Forbidden("x", errors=[{"reason": "accessDenied", "message": message}])
        options = GcpBillingOptions(project="acme", dataset="billing")
        told = str(explain(error, where="gcp", options=options, credentials=Account()))
        assert "canary" not in told
        assert told.endswith("to bill-reader@acme.iam.gserviceaccount.com")

    @pytest.mark.parametrize(
        ("endpoint", "is_local"),
        [
            (None, False),
            ("https://bigquery.googleapis.com", False),
            ("https://bigquery-acme.p.googleapis.com", False),
            ("http://bigquery:9050", True),
            ("http://127.0.0.1:9050", True),
            ("https://localhost:9050", True),
        ],
    )
    def test_a_token_travels_over_tls_to_google_only(self, endpoint: str | None, is_local: bool) -> None:
        assert GcpBillingOptions(project="acme", dataset="b", api_endpoint=endpoint).is_local is is_local


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("project", "acme`; DROP TABLE x"),
        ("dataset", "billing.export.more`"),
        ("table", "t` WHERE 1"),
        ("location", "EU; x"),
        ("maximum_gigabytes_billed", "0"),
        ("credentials_file", "a\nb"),
        ("api_endpoint", "ftp://x"),
        ("tables", "x"),
    ],
)
def test_an_option_that_cannot_be_right_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValidationError):
        GcpBillingOptions.model_validate({"project": "acme", "dataset": "billing", key: value})
