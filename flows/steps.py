"""The steps of a daily run, once: `flows.daily` runs them as Prefect tasks, `flows.direct` as plain calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.errors import ConnectorError
from flows import alert, build, forecast, ingest, summary
from flows.errors import DeliveriesWaiting, SettingsError
from flows.run import Run


@dataclass(frozen=True)
class Step:
    """`function(run, *arguments)`. `retries` are for errors that can pass, and for no others."""

    name: str
    function: Callable[..., Any]
    retries: int = 0


SWEEP = Step("sweep", ingest.sweep)
FETCH = Step("fetch", ingest.fetch_source, retries=3)
LOAD = Step("load", ingest.load_source)
BUILD = Step("build", build.build_warehouse)
FORECAST = Step("forecast", forecast.make_forecasts)
DETECT = Step("detect", alert.find_incidents)
PUBLISH = Step("publish", build.publish_snapshot)
DELIVER = Step("deliver", alert.deliver_messages, retries=3)
REPORT = Step("report", summary.write_report)

Execute = Callable[..., Any]  # execute(step, run, label, *arguments)


def run_steps(run: Run, execute: Execute) -> None:
    """All steps in order. A source that fails is noted in `run.failures`; the others go on."""
    from pydantic import ValidationError

    from warehouse.errors import WarehouseError

    execute(SWEEP, run, "sweep")
    for source in run.sources:
        try:
            landed = execute(FETCH, run, f"fetch {source.name}", source)
            execute(LOAD, run, f"load {source.name}", source, landed)
        except (ConnectorError, WarehouseError, SettingsError, ValidationError) as error:
            run.fail(source.name, str(error))
    execute(BUILD, run, "build")
    execute(FORECAST, run, "forecast")
    execute(DETECT, run, "detect")
    execute(PUBLISH, run, "publish")
    try:
        execute(DELIVER, run, "deliver")
    except DeliveriesWaiting as error:
        run.notices.append(str(error))
    execute(REPORT, run, "report")
