"""From one source to another: bounds that part them, a shadow that is compared and not counted."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows.errors import SettingsError
from flows.run import Run
from flows.settings import load_settings
from tests.connectors.aws_data_exports.world import _Folder
from tests.connectors.billing_files import AwsExport, parquet
from tests.connectors.billing_files import focus_row as export_row
from tests.flows.ingesting import Company
from tests.servers.cost_explorer import CostExplorerStub, Line
from tests.servers.json_api import serve
from tests.servers.s3 import use_test_credentials
from tests.warehouse.bills import focus_row


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made = Company(tmp_path, [{"name": "old", "type": "focus_files", "location": "./old"}])
    made.drop("january.csv", bill("1", "2", "3", "4"), folder="old")
    made.drop("export.csv", bill("1", "2", "3.5", "4", service="Amazon Bedrock Runtime"), folder="new")
    return made


def bill(*costs: str, service: str = "Amazon Bedrock") -> list[dict[str, Any]]:
    return [focus_row(day, cost, ServiceName=service) for day, cost in enumerate(costs, 1)]


def add_new(company: Company, **options: Any) -> None:
    company.sources.append({"name": "new", "type": "focus_files", "location": "./new", **options})


def by_source(company: Company) -> dict[str, Decimal]:
    return dict(company.ask("SELECT source_name, sum(billed_cost) FROM core.charges GROUP BY ALL"))


def fine(run: Run) -> Run:
    assert not run.failures, run.failures
    return run


def test_until_and_since_part_two_sources_within_a_month(company: Company) -> None:
    fine(company.run())
    add_new(company)
    assert "'old'" in company.run().failures["new"]
    company.sources[0]["until"] = "2026-01-03"
    company.sources[1]["since"] = "2026-01-03"
    run = fine(company.run(build=True))
    assert by_source(company) == {"old": Decimal(3), "new": Decimal("7.5")}
    assert "old: counts for ..2026-01-03 now, which changes 2 past totals" in run.notes
    assert company.ask(
        "SELECT charge_date, delta_effective_cost FROM ops.restatements WHERE source_name = 'old' ORDER BY 1"
    ) == [(date(2026, 1, 3), -3), (date(2026, 1, 4), -4)]
    assert [company.news(fine(company.run()), name) for name in ("old", "new")] == [0, 0]
    # The bound moves: what it kept out comes back.
    company.sources[0]["until"] = company.sources[1]["since"] = "2026-01-04"
    fine(company.run(build=True))
    assert by_source(company) == {"old": Decimal(6), "new": Decimal(4)}


def test_a_shadow_is_loaded_and_compared_and_counts_nowhere(company: Company) -> None:
    add_new(company, role="shadow")
    fine(company.run(build=True))
    assert by_source(company) == {"old": Decimal(10)}
    assert company.ask("SELECT sum(effective_cost) FROM core.allocations") == [(10,)]
    columns = "charge_date, shadow_effective_cost, counted_effective_cost, difference_effective_cost"
    compared = f"SELECT {columns} FROM marts.shadow_costs"
    assert company.ask(f"{compared} WHERE difference_effective_cost <> 0") == [
        (date(2026, 1, 3), Decimal("3.5"), 3, Decimal("0.5"))
    ]
    assert company.ask(f"SELECT count(*) FROM ({compared})") == [(4,)]
    assert [company.news(fine(company.run()), name) for name in ("old", "new")] == [0, 0]
    company.drop("export.csv", bill("1", "2", "3", "4", service="Amazon Bedrock Runtime"), folder="new")
    fine(company.run(build=True))
    assert company.ask(f"{compared} WHERE difference_effective_cost <> 0") == []
    assert by_source(company) == {"old": Decimal(10)}


def test_a_shadow_takes_over(company: Company) -> None:
    add_new(company, role="shadow")
    fine(company.run())
    del company.sources[1]["role"]
    refused = company.run(build=True)
    assert "it stays a shadow" in refused.failures["new"]
    assert "'old'" in refused.failures["new"]
    assert by_source(company) == {"old": Decimal(10)}
    company.sources[0]["role"] = "shadow"
    fine(company.run(build=True))
    assert by_source(company) == {"new": Decimal("10.5")}
    assert company.ask("SELECT sum(billed_cost) FROM core.shadow_charges") == [(10,)]
    company.sources[0]["role"], company.sources[1]["role"] = "counted", "shadow"
    fine(company.run(build=True))
    assert by_source(company) == {"old": Decimal(10)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": "2026-02-01", "until": "2026-02-01"}, "until"),
        ({"role": "ghost"}, "role"),
        ({"since": "soon"}, "since"),
    ],
)
def test_terms_that_cannot_be(company: Company, options: dict[str, str], said: str) -> None:
    add_new(company, **options)
    with pytest.raises(SettingsError, match=said):
        load_settings(company.config)


def test_cost_explorer_gives_way_to_the_export_from_its_first_period_on(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_test_credentials(monkeypatch)
    days = [(date(2025, 12, 30), "5"), (date(2026, 1, 1), "1"), (date(2026, 1, 2), "2")]
    with serve(CostExplorerStub(lines=[Line(day, Decimal(cost)) for day, cost in days])) as api:
        history = {"name": "history", "type": "aws_cost_explorer", "endpoint_url": api.url}
        company.sources = [history | {"billing_account_id": "111122223333"}]
        fine(company.run())
        assert by_source(company) == {"history": Decimal(8)}
        made = AwsExport(_Folder(company.root / "copy"))
        made.deliver("2026-01", {"f.parquet": parquet([export_row(1, cost="1.5"), export_row(2, cost="2.5")])})
        location = str(company.root / "copy/exports/focus")
        company.sources.append({"name": "export", "type": "aws_data_exports", "location": location})
        fine(company.run(build=True))
        assert by_source(company) == {"history": Decimal(5), "export": Decimal(4)}
        again = fine(company.run())
        assert [company.news(again, name) for name in ("history", "export")] == [0, 0]
        assert by_source(company) == {"history": Decimal(5), "export": Decimal(4)}
