"""The report's data out of a real home: sixty days of a bill, a break in the last five, two months."""

import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from rich.console import Console

from alerts.model import ChartSeries
from flows.demo.screen import render_terminal_summary
from flows.report import figures, render_report
from flows.report.data import ReportData
from flows.report.fill import build_report
from flows.report.suggestions import suggest_queries
from flows.run import Home, open_run
from flows.settings import load_settings
from flows.steps.direct import run_direct
from tests.flows.small_bill import FEATURES, bill_lines
from warehouse.query import QueryError, canned, run_query
from warehouse.state import StateStore

FIRST = date(2026, 8, 10)
DAYS = 70
AS_OF = FIRST + timedelta(days=DAYS)
NOW = datetime.combine(AS_OF, time(9, 30), tzinfo=UTC)


@dataclass(frozen=True)
class Done:
    home: Home
    through: date
    state: StateStore
    charts: dict[str, ChartSeries]

    def report(self, **changes: object) -> ReportData:
        return build_report(
            self.home.published,
            self.state,
            **{
                "organization": "Alderwick Freight",
                "as_of": AS_OF,
                "generated_at": NOW,
                "through": self.through,
                "charts": self.charts,
                **changes,
            },  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("a home")
    (folder / "inbox").mkdir()
    lines = bill_lines(FIRST, DAYS, last_factor=Decimal(2), last_days=6)
    # What is no AI at all, and costs more than all of it.
    lines += [
        line.replace("Amazon Bedrock,AI and Machine Learning", "Amazon Elastic Compute Cloud,Compute").replace(
            '"{""feature"": ""support_chat""}"', ""
        )
        for line in lines
        if "Bedrock" in line
        for _ in range(2)
    ]
    (folder / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    budgeted = FEATURES.replace("unit: answer", "unit: answer, monthly_budget_usd: 3000")
    (folder / "features.yml").write_text(budgeted)
    config = folder / "trendbreak.yml"
    config.write_text("home: ./data\nsources:\n  - {name: drop, type: focus_files, location: ./inbox}\n")
    settings = load_settings(config)
    with open_run(settings, as_of=AS_OF, now=NOW) as run:
        run_direct(run)
        assert run.data_through is not None
        charts = {found.node: found.chart for found in run.breaks if found.chart is not None}
        yield Done(run.home, run.data_through, run.state, charts)


def spend(day: date) -> Decimal:
    """What support_chat cost that day, by the file itself."""
    lines = bill_lines(FIRST, DAYS, last_factor=Decimal(2), last_days=6)[1:]
    return sum(
        (Decimal(line.split(",")[1]) for line in lines if f",Usage,{day}T" in line and "Bedrock" in line), Decimal(0)
    )


def test_figures_are_those_of_the_bill(done: Done) -> None:
    data = done.report()
    row = next(row for row in data.features if row.feature == "support_chat")
    last_30 = [done.through - timedelta(days=back) for back in range(30)]
    assert row.cost_usd == sum(map(spend, last_30), Decimal(0))
    assert row.previous_cost_usd == sum((spend(day - timedelta(days=30)) for day in last_30), Decimal(0))
    assert row.daily_cost[-1] == pytest.approx(float(spend(done.through)))
    assert len(row.daily_cost) == 60
    assert row.cost_per_success_usd is None  # no telemetry
    month_days = [done.through.replace(day=day) for day in range(1, done.through.day + 1)]
    assert row.month_to_date_usd == sum(map(spend, month_days), Decimal(0))
    assert {row.kind for row in data.features} == {"feature", "unallocated", "shared"}
    other = next(row for row in data.features if row.feature == "shared: not AI")
    assert other.cost_usd == 2 * row.cost_usd
    assert data.total_cost_usd < other.cost_usd


def test_the_month_adds_up(done: Done) -> None:
    forecast = done.report().forecast
    assert forecast is not None
    assert forecast.month == date(2026, 10, 1)
    assert len(forecast.actual) == done.through.day
    assert len(forecast.actual) + len(forecast.expected) == 31
    assert sum(forecast.actual) == pytest.approx(float(forecast.month_to_date_usd))
    total = float(forecast.month_to_date_usd) + sum(forecast.expected)
    assert float(forecast.total_usd) == pytest.approx(total)
    assert forecast.lower_usd < forecast.total_usd < forecast.upper_usd
    assert forecast.budget_usd == 3000
    # The same days of September, of both features, and nothing of August.
    before = [date(2026, 9, day) for day in range(1, done.through.day + 1)]
    assert float(forecast.previous_to_date_usd or 0) > float(sum(map(spend, before), Decimal(0)))
    assert float(forecast.previous_to_date_usd or 0) < 1.2 * float(sum(map(spend, before), Decimal(0)))


def test_the_report_the_page_and_the_canned_queries_say_the_same(done: Done) -> None:
    data = done.report()
    assert data.forecast is not None
    month = {row["feature"]: row for row in run_query(done.home.published, canned()["month-to-date"][1]).to_pylist()}
    total = month.pop("all AI spend")
    assert total["data_through"] == data.data_through
    assert total["month_to_date_usd"] == cents(data.forecast.month_to_date_usd)
    assert total["month_end_usd"] == cents(data.forecast.total_usd)
    counted = {row.feature: row for row in data.features if row.kind != "shared"}
    assert {name: row["month_to_date_usd"] for name, row in month.items()} == {
        name: cents(row.month_to_date_usd) for name, row in counted.items()
    }
    assert {name: row["month_end_usd"] for name, row in month.items()} == {
        name: cents(row.forecast_usd) for name, row in counted.items()
    }
    movers = {row["feature"]: row for row in run_query(done.home.published, canned()["movers"][1]).to_pylist()}
    assert {name: (row["last_30_days_usd"], row["previous_30_days_usd"]) for name, row in movers.items()} == {
        name: (cents(row.cost_usd), cents(row.previous_cost_usd)) for name, row in counted.items()
    }
    nobodys = run_query(done.home.published, canned()["unallocated"][1]).to_pylist()
    assert sum(row["cost_usd"] for row in nobodys) == cents(counted["unallocated"].cost_usd)
    screen = Console(record=True, width=120, file=io.StringIO())
    screen.print(render_terminal_summary(data, width=120))
    shown = screen.export_text()
    page = render_report(data)
    for amount in (data.forecast.month_to_date_usd, data.forecast.total_usd, data.total_cost_usd):
        assert figures.usd(amount) in page
        assert figures.usd(amount) in shown


def cents(amount_usd: Decimal | None) -> Decimal:
    assert amount_usd is not None
    return amount_usd.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def test_the_open_incident_is_told_with_its_chart(done: Done) -> None:
    (row,) = done.report().incidents
    assert row.node == "support_chat"
    assert row.title.startswith("Support chat: ")
    assert row.excess_usd_per_day is not None
    assert row.excess_usd_per_day > 50
    assert row.reason
    assert row.chart is not None
    assert row.chart.onset_index is not None
    assert row.chart.start + timedelta(days=row.chart.onset_index) == row.onset
    assert len(row.chart.expected) == len(row.chart.actual)
    assert not any("account" in driver for driver in row.drivers[:1])


def test_without_the_detectors_chart_the_actual_cost_is_drawn(done: Done) -> None:
    (row,) = done.report(charts={}).incidents
    assert row.chart is not None
    assert row.chart.actual[-1] == pytest.approx(float(spend(done.through)))
    assert set(row.chart.expected) == {None}
    assert "nan" not in render_report(done.report(charts={}))


def test_coverage_and_freshness(done: Done) -> None:
    data = done.report(failures={"openai": "the key was refused"})
    assert data.coverage is not None
    allocated = sum((row.cost_usd for row in data.features if row.kind == "feature"), Decimal(0))
    unallocated = sum((row.cost_usd for row in data.features if row.kind == "unallocated"), Decimal(0))
    assert (data.coverage.allocated_usd, data.coverage.unallocated_usd) == (allocated, unallocated)
    assert data.coverage.largest_unallocated[0][0].startswith("S3")
    assert data.coverage.not_ai_usd == 2 * allocated
    states = {source.name: source.state for source in data.sources}
    assert states == {"drop": "fresh", "openai": "failed"}


def test_the_page_and_its_numbers_agree(done: Done) -> None:
    html = render_report(done.report(is_invented=True))
    assert "Alderwick Freight has spent" in html
    assert "invented company" in html


def test_nothing_published_is_an_error_with_its_cure(done: Done, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="nothing is published yet"):
        build_report(
            tmp_path / "none.duckdb", done.state, organization="x", as_of=AS_OF, generated_at=NOW, through=AS_OF
        )


def test_every_suggested_query_runs_when_it_is_pasted(done: Done) -> None:
    config = done.home.root.parent / "trendbreak.yml"
    for query in suggest_queries(config):
        # As a person does it: in a shell that knows no more of this project than the page says.
        pasted = subprocess.run(
            ["/bin/sh", "-c", query.command], cwd=Path.cwd(), capture_output=True, text=True, check=False, timeout=60,
            env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert pasted.returncode == 0, f"{query.command}\n{pasted.stderr}"
        assert len(pasted.stdout.splitlines()) > 2


def test_the_default_configuration_needs_no_option_and_a_path_with_a_space_is_quoted() -> None:
    assert "--config" not in suggest_queries(Path("trendbreak.yml"))[0].command
    assert "--config 'a folder/trendbreak.yml' cost-per" in suggest_queries(Path("a folder/trendbreak.yml"))[0].command
