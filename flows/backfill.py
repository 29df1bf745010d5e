"""The backfill as a Prefect flow, for a deployment: `flows.backfills` does the work."""

# No `from __future__ import annotations` here: Prefect resolves the flow's parameter types at run time.

from datetime import date
from pathlib import Path

from prefect import flow, get_run_logger

from flows.backfills import run_backfill
from flows.commands.incidents import open_state
from flows.logs import configure as configure_logs
from flows.run import Home
from flows.serving.artifacts import publish_artifacts
from flows.serving.liveness import living_run
from flows.settings import config_path, load_settings
from flows.summary import RunSummary


@flow(name="backfill", flow_run_name="backfill {since} to {until}", persist_result=False)
def backfill(since: date, until: date, reason: str, source: str | None = None, config: str | None = None) -> RunSummary:
    """Read the days from `since` to `until`, both inclusive, again. A run that died is taken up where it was."""
    configure_logs()
    settings = load_settings(config_path(Path(config) if config else None))
    logger = get_run_logger()
    with living_run(Home(settings.home)):
        summary = run_backfill(settings, first=since, last=until, reason=reason, source=source, say=logger.info)
    publish_artifacts("backfill", summary, open_state(settings).list_incidents())
    return summary
