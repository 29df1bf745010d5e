"""A report of three features by hand, with everything a report can hold."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from flows.report.data import (
    Coverage,
    FeatureRow,
    IncidentChart,
    IncidentRow,
    MonthForecast,
    ReportData,
    SourceRow,
    SuggestedQuery,
    WasteRow,
    WatchRow,
)

DAYS = tuple(50.0 + day % 7 for day in range(60))
CHART = IncidentChart(
    start=date(2026, 8, 20),
    actual=(*(50.0 + day % 7 for day in range(56)), 120.0, None, 118.0, 121.0),
    expected=(53.0,) * 60,
    lower=(45.0,) * 60,
    upper=(61.0,) * 60,
    onset_index=56,
)


def sample_report(**changes: Any) -> ReportData:
    data = ReportData(
        organization="Alderwick Freight",
        as_of=date(2026, 10, 21),
        generated_at=datetime(2026, 10, 21, 9, 30, tzinfo=UTC),
        data_through=date(2026, 10, 18),
        features=(
            FeatureRow(
                feature="support_chat",
                owner="@maya",
                unit="answer",
                cost_usd=Decimal("1800.60"),
                previous_cost_usd=Decimal("1500"),
                daily_cost=DAYS,
                cost_per_success_usd=Decimal("0.31"),
                previous_cost_per_success_usd=Decimal("0.30"),
                daily_cost_per_success=tuple(0.3 + day % 7 / 100 for day in range(60)),
                success_rate=Decimal("0.85"),
                month_to_date_usd=Decimal("1000"),
                forecast_usd=Decimal("1900"),
                monthly_budget_usd=Decimal("1700"),
            ),
            FeatureRow(
                feature="doc_search",
                owner="@otto",
                unit="document",
                cost_usd=Decimal("900"),
                previous_cost_usd=Decimal("1200"),
                daily_cost=DAYS,
                cost_per_success_usd=Decimal("0.62"),
                previous_cost_per_success_usd=Decimal("0.40"),
                daily_cost_per_success=tuple(0.6 + day % 7 / 100 for day in range(60)),
                success_rate=Decimal("0.55"),
                month_to_date_usd=Decimal("500"),
                forecast_usd=Decimal("950"),
                monthly_budget_usd=Decimal("1300"),
            ),
            FeatureRow("unallocated", Decimal("120"), None, (*(None,) * 50, *DAYS[:10]), kind="unallocated"),
            FeatureRow("shared: tax", Decimal("80"), Decimal("75"), (0.0,) * 60, kind="shared"),
        ),
        forecast=MonthForecast(
            month=date(2026, 10, 1),
            actual=(90.0,) * 18,
            expected=(95.0,) * 13,
            month_to_date_usd=Decimal("1620"),
            total_usd=Decimal("2855"),
            lower_usd=Decimal("2700"),
            upper_usd=Decimal("3010"),
            budget_usd=Decimal("2800"),
            over_budget_probability=Decimal("0.7"),
            previous_to_date_usd=Decimal("1500"),
        ),
        incidents=(
            IncidentRow(
                id="one",
                node="support_chat",
                severity="medium",
                title="Support chat costs more",
                reason="Retries went from 4 to 230 a day.",
                onset=date(2026, 10, 15),
                label="efficiency",
                excess_usd_per_day=Decimal("58.84"),
                excess_percent=Decimal("104.2"),
                excess_usd_total=Decimal("235.36"),
                drivers=("model gpt-5.4", "API key key_1"),
                owner="@maya",
                channel="#support-chat",
                chart=CHART,
            ),
            IncidentRow(
                id="two",
                node="doc_search",
                severity="high",
                title="Doc search: each successful document costs more",
                reason="Fewer succeed.",
                onset=date(2026, 10, 9),
                kind="unit_cost",
                excess_usd_per_day=Decimal("14"),
                excess_percent=Decimal("55"),
            ),
        ),
        watches=(
            WatchRow(
                id="three",
                kind="budget",
                node="doc_search",
                severity="medium",
                title="doc_search: 94% likely to go over its budget",
                summary="doc_search is heading for $1,400 this month.",
                since=date(2026, 10, 1),
            ),
            WatchRow(
                id="four",
                kind="freshness",
                node="openai",
                severity="high",
                title="openai: 9 days late",
                summary="openai has brought no day since Sun 11 Oct.",
                cure="`trendbreak check` says what is wrong.",
                since=date(2026, 10, 11),
                status="acknowledged",
            ),
        ),
        coverage=Coverage(
            Decimal("2700.60"), Decimal("120"), Decimal("80"), (("gpt-5.4, key_9", Decimal("90")),), Decimal("3.20")
        ),
        sources=(
            SourceRow("aws", "aws_data_exports", date(2026, 10, 20), date(2026, 10, 18)),
            SourceRow("openai", "openai", None, None, state="failed", note="the key was refused"),
        ),
        waste=(
            WasteRow("support_chat", "failure", Decimal("210.40"), 2024),
            WasteRow("doc_search", "idle_gpu", Decimal("90"), None),
        ),
        queries=(SuggestedQuery("What belongs to nobody?", "trendbreak query unallocated"),),
        files=(("report", "data/report/index.html"),),
    )
    return replace(data, **changes)
