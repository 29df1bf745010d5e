"""The estimated lane: usage of the last hours, judged before any bill tells of it. `trendbreak run --hourly`.

    fetch telemetry and metered hours → load → build → detect on hours → publish → deliver

What it finds is told as an estimate. The daily lane has the last word: when the bill has come it confirms or withdraws
the incident in its own thread (flows.steps.alert).
"""

from __future__ import annotations

from datetime import timedelta

from alerts.incidents import decide, incident_from_row
from connectors.base import Window
from connectors.errors import ConnectorError
from connectors.registry import connector_class
from flows.errors import SettingsError
from flows.run import Run
from flows.settings import SourceSettings
from flows.steps import alert, ingest
from flows.steps.delivery import make_context
from flows.steps.order import BUILD, DELIVER, FETCH, HOURS, LOAD, PUBLISH, RATES, REFRESH, SWEEP, Execute, Step


def run_hours(run: Run, execute: Execute) -> None:
    """The lane's steps in order. Only what tells of the last hours is read: telemetry, and meters by the hour."""
    from contextlib import suppress

    from flows.errors import DeliveriesWaiting

    execute(SWEEP, run, "sweep")
    for source in run.sources:
        _ingest(run, source, execute)
    with run.warehouse.turn("build"):
        execute(RATES, run, "rates")
        execute(BUILD, run, "build")
        execute(Step("detect", find_hourly_incidents), run, "detect on hours")
        execute(PUBLISH, run, "publish")
        with suppress(DeliveriesWaiting):
            execute(DELIVER, run, "deliver")
        execute(REFRESH, run, "refresh")


def _ingest(run: Run, source: SourceSettings, execute: Execute) -> None:
    from warehouse.errors import WarehouseError

    try:
        with run.warehouse.turn(f"source {source.name}"):
            if connector_class(source.type).kind == "telemetry":
                window = Window(run.as_of - timedelta(days=1), run.as_of + timedelta(days=1))
                landed = execute(FETCH, run, f"fetch {source.name}", source, window)
                execute(LOAD, run, f"load {source.name}", source, landed)
            elif ingest.meters_hours(source):
                execute(HOURS, run, f"hours of {source.name}", source)
    except (ConnectorError, WarehouseError, SettingsError) as error:
        run.fail(source.name, str(error))


def find_hourly_incidents(run: Run) -> None:
    """Find rises of the last hours, told as estimates; falls and confirmations wait for the bill."""
    from alerts.hourly import choose_hourly_breaks, find_hourly_breaks
    from warehouse.hourly import read_hourly_spend

    spend = read_hourly_spend(run.warehouse.con, now=run.now)
    if spend is None:
        run.notices.append("no usage by the hour: the estimated lane needs telemetry, or a provider that meters hours")
        return
    ledger = [incident_from_row(row) for row in run.state.list_incidents()]
    detection = alert.make_detection(run, ledger, spend.features)
    found = find_hourly_breaks(spend.features, spend.spend_usd, end=spend.end, settings=detection)
    run.breaks = choose_hourly_breaks(found, ledger, as_of=run.as_of)
    told = {one.node for one in run.breaks}
    run.actions = decide(
        run.breaks,
        [incident for incident in ledger if incident.node in told and incident.direction == "up"],
        now=run.now,
        as_of=run.as_of,
        routing=alert.make_routing(run),
        data_through=(spend.end - timedelta(hours=1)).date(),
    )
    alert.record_actions(run, make_context(run.features, (), as_of=run.as_of, settled_through=None))
