"""The report: one HTML file that can be forwarded, drawn from plain data."""

from __future__ import annotations

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
)
from flows.report.render import render_report

__all__ = [
    "Coverage",
    "FeatureRow",
    "IncidentChart",
    "IncidentRow",
    "MonthForecast",
    "ReportData",
    "SourceRow",
    "SuggestedQuery",
    "WasteRow",
    "render_report",
]
