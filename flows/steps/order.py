"""The steps of a daily run, once: `flows.daily` runs them as Prefect tasks, `flows.steps.direct` as plain calls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from connectors.errors import ConnectorError, TransientError
from flows.errors import DeliveriesWaiting, SettingsError
from flows.report.write import write_report
from flows.run import Run
from flows.settings import SourceSettings
from flows.steps import alert, build, forecast, ingest


@dataclass(frozen=True)
class Step:
    """`function(run, *arguments)`. It is tried again after these seconds for errors that can pass, for no others."""

    name: str
    function: Callable[..., Any]
    retry_delays_seconds: tuple[float, ...] = ()


SWEEP = Step("sweep", ingest.sweep)
FETCH = Step("fetch", ingest.fetch_source, retry_delays_seconds=(5, 15, 45))
LOAD = Step("load", ingest.load_source)
HOURS = Step("hours", ingest.load_hours, retry_delays_seconds=(5, 15, 45))
RATES = Step("rates", ingest.apply_rates)
BUILD = Step("build", build.build_warehouse)
FORECAST = Step("forecast", forecast.make_forecasts)
DETECT = Step("detect", alert.find_incidents)
PUBLISH = Step("publish", build.publish_snapshot)
DELIVER = Step(
    "deliver", alert.deliver_messages, retry_delays_seconds=(20, 60, 120)
)  # 120: what Slack's history may lag
REFRESH = Step("refresh", build.refresh_snapshot)
REPORT = Step("report", write_report)

_LOG = logging.getLogger("trendbreak.ingest")
Execute = Callable[..., Any]  # execute(step, run, label, *arguments)


def ingest_sources(run: Run, execute: Execute) -> None:
    """Every source's news, loaded. A source that fails is noted in `run.failures`; the others go on."""
    from warehouse.errors import WarehouseError

    for source in run.sources:
        try:
            with run.warehouse.turn(f"source {source.name}"):
                _ingest_source(run, source, execute)
        except (ConnectorError, WarehouseError, SettingsError) as error:
            run.fail(source.name, str(error))
        except Exception as error:  # whatever it is, the bills of the other sources can be read
            _LOG.exception("%s: an error that was not foreseen", source.name)
            cause = f"{type(error).__name__}: {error}".partition("\n")[0]
            cure = "not foreseen: please report it with what `trendbreak --log-format text run` says"
            run.fail(source.name, f"{cause} — {cure}")


def _ingest_source(run: Run, source: SourceSettings, execute: Execute) -> None:
    from warehouse.errors import WarehouseError

    try:
        landed = execute(FETCH, run, f"fetch {source.name}", source)
    except TransientError:
        # What came before it broke off is loaded; the rest is for the next run.
        run.whole_reads.discard(source.name)
        landed = sorted(
            run.landed.get(source.name, {}).values(), key=lambda delivery: (delivery.window_start, delivery.scope)
        )
        if landed:
            execute(LOAD, run, f"load {source.name}", source, landed)
        raise
    execute(LOAD, run, f"load {source.name}", source, landed)
    if ingest.meters_hours(source) and source.name not in run.failures:
        try:
            execute(HOURS, run, f"hours of {source.name}", source)
        except (ConnectorError, WarehouseError) as error:  # an estimate that is missing holds up no bill
            run.notices.append(f"{source.name}: its hourly usage could not be read: {error}")


def run_steps(run: Run, execute: Execute) -> None:
    """All steps in order."""
    execute(SWEEP, run, "sweep")
    ingest_sources(run, execute)
    finish_steps(run, execute)


def finish_steps(run: Run, execute: Execute) -> None:
    """From what is loaded to what is told: the steps after every source's own, one run's at a time."""
    with run.warehouse.turn("build"):
        execute(RATES, run, "rates")
        execute(BUILD, run, "build")
        execute(FORECAST, run, "forecast")
        execute(DETECT, run, "detect")
        execute(PUBLISH, run, "publish")
        with suppress(DeliveriesWaiting):  # each is in the summary, and the command's exit code
            execute(DELIVER, run, "deliver")
        execute(REFRESH, run, "refresh")
        execute(REPORT, run, "report")
