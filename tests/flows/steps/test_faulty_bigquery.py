"""Whatever goes wrong at BigQuery, the other sources' bills come in, no half is loaded, and the cure is said."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.http_api import RetryPolicy
from tests.connectors.gcp_billing.export_rows import TABLE, row
from tests.flows.ingesting import Company
from tests.flows.steps.test_faulty_sources import run
from tests.servers.bigquery import Dataset, Fault, Proxy, emulator_port, new_dataset, proxy
from tests.warehouse.bills import focus_row

TABLES, JOBS, RESULTS = "/tables?", "POST /bigquery/v2/projects/acme-finops/jobs", "/queries/"


@pytest.fixture(scope="module")
def billing() -> Dataset:
    emulator_port()
    made = new_dataset()
    made.create(TABLE)
    # One day of use, written on two days: each partition holds a part of it.
    made.load(TABLE, [row(cost="1.5"), row("2026-01-05T22:00:00", cost="2.25", exported="2026-01-06T23:30:00")])
    return made


@pytest.fixture
def server(billing: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Sources insist as always, only quicker."""
    monkeypatch.setattr(RetryPolicy.__init__, "__defaults__", (3, 0.001, 0.01, 5.0, 20.0))
    with proxy() as running:
        yield running


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made = Company(tmp_path)
    made.drop("good.csv", [focus_row(1, "7.25")])
    return made


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault(TABLES, 403, "accessDenied", "Access Denied: Permission bigquery.tables.list denied"),
            r"grant roles/bigquery\.dataViewer on the dataset",
        ),
        (
            Fault(JOBS, 403, "accessDenied", "User does not have bigquery.jobs.create permission"),
            r"grant roles/bigquery\.jobUser on the project acme-finops",
        ),
        (Fault(TABLES, 401, "authError", "Invalid Credentials"), "gcloud auth"),
        (
            Fault(TABLES, 404, "notFound", "Not found: Dataset acme-finops:biling"),
            "Not found: .* check project, dataset",
        ),
        (Fault(TABLES, 503), "503"),
        (Fault(JOBS, 500, "internalError", "Retry the job"), "500"),
        (Fault(JOBS, 429, "rateLimitExceeded", "Exceeded rate limits"), "rate limits"),
        (Fault(RESULTS, 0), "broke"),
        (Fault(RESULTS, 200, body=b'{"jobComplete": true, "rows": ['), "does not answer as BigQuery"),
    ],
    ids=lambda value: f"{value.status}-{value.reason}" if isinstance(value, Fault) else "",
)
def test_a_warehouse_of_google_that_fails(
    company: Company, billing: Dataset, server: Proxy, fault: Fault, words: str
) -> None:
    server.faults = [Fault(**vars(fault))]
    run(company, {"type": "gcp_billing", **billing.options(), "api_endpoint": server.url}, words)
    assert company.billed("source_name = 'faulty'") == 0
    assert sum(fault.path in one for one in server.asked) <= 12  # bounded


def test_half_an_answer_is_not_loaded_and_the_next_run_reads_the_rest(
    company: Company, billing: Dataset, server: Proxy
) -> None:
    options = {"type": "gcp_billing", **billing.options(), "api_endpoint": server.url}
    server.rewrite = lambda body: body.replace(b'"totalRows":"1"', b'"totalRows":"2"') if b"2.25" in body else body
    run(company, options, "1 of 2 rows")
    day = "source_name = 'faulty' AND charge_date = DATE '2026-01-05'"
    assert company.billed(day) == Decimal("1.5")
    server.rewrite = lambda body: body
    assert company.run().failures == {}
    assert company.billed(day) == Decimal("3.75")
