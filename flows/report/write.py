"""The report as a file: at the end of each run, and again whenever `trendbreak report` asks for it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.errors import FlowError
from flows.run import Home, Run
from flows.settings import Settings

if TYPE_CHECKING:
    from alerts.model import ChartSeries
    from flows.report.data import ReportData


def write_report(run: Run) -> None:
    """The report of a run, and the detector's charts beside it; without a settled day there is nothing to report."""
    if run.data_through is None or run.panel is None:
        return
    from alerts.message.stored import chart_to_json
    from flows.report.fill import build_report
    from flows.report.suggestions import suggest_queries

    charts = {found.node: found.chart for found in run.breaks if found.chart is not None}
    data = build_report(
        run.home.published,
        run.state,
        organization=run.settings.organization,
        as_of=run.as_of,
        generated_at=run.now,
        through=run.data_through,
        failures=run.failures,
        charts=charts,
        queries=suggest_queries(run.settings.file),
        is_invented=_is_invented(run.home),
    )
    _put(_charts_path(run.home), json.dumps({node: chart_to_json(chart) for node, chart in charts.items()}))
    _put_page(run.home.report, data)


def report_again(settings: Settings, output: Path | None, *, now: datetime) -> Path:
    """The report of the published snapshot and of what has been answered since; where it was written.

    Raises warehouse.query.QueryError when nothing is published, and FlowError when nothing in it is settled
    or `output` cannot be written.
    """
    from flows.report.fill import build_report
    from flows.report.suggestions import suggest_queries
    from warehouse.reads import open_snapshot, read_reported
    from warehouse.state import StateStore

    home = Home(settings.home)
    with open_snapshot(home.published) as snapshot:
        reported = read_reported(snapshot)
    if reported["data_through"] is None:
        raise FlowError("no day is settled yet: there is nothing to report — `trendbreak status` shows each source")
    state = StateStore(settings.state_url)
    state.create()
    runs = state.list_runs()
    data = build_report(
        home.published,
        state,
        organization=settings.organization,
        as_of=reported["as_of"],
        generated_at=now,
        through=reported["data_through"],
        failures=(runs[-1]["details"] or {}).get("failures", {}) if runs else {},
        charts=_read_charts(home),
        queries=suggest_queries(settings.file),
        is_invented=_is_invented(home),
    )
    target = output or home.report
    try:
        _put_page(target, data)
    except OSError as error:
        raise FlowError(f"{target}: {error.strerror} — name a file that may be written with --output") from None
    return target


def _put_page(target: Path, data: ReportData) -> None:
    from flows.report.render import render_report

    _put(target, render_report(data))


def _put(target: Path, text: str) -> None:
    """Whole or not at all: somebody may be reading it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _charts_path(home: Home) -> Path:
    return home.report.with_name("charts.json")


def _read_charts(home: Home) -> Mapping[str, ChartSeries]:
    """The charts of the last run; none where it kept none. A chart that cannot be read is left out, not guessed."""
    from alerts.message.stored import chart_from_json

    try:
        kept: dict[str, Any] = json.loads(_charts_path(home).read_text(encoding="utf-8"))
        return {node: chart_from_json(plain) for node, plain in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_invented(home: Home) -> bool:
    return (home.root / "demo" / "world.json").exists()
