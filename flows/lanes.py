"""The lanes besides the daily one as Prefect flows; `flows.steps.hourly` and so on do the work."""

# No `from __future__ import annotations` here: Prefect resolves the flow's parameter types at run time.

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.backtest import backtest_and_keep
from flows.commands.incidents import send_waiting
from flows.digest import send_digest
from flows.errors import FlowError
from flows.lake import bring_published
from flows.logs import configure as configure_logs
from flows.run import Home, open_run
from flows.serving.liveness import living_run
from flows.settings import config_path, load_settings
from flows.steps.direct import execute
from flows.steps.hourly import run_hours
from flows.summary import RunSummary, summarise, summary_markdown

LOCK_WAIT_SECONDS = 1800  # the daily run goes first


@flow(name="hourly", flow_run_name="hourly", persist_result=False)
def hourly(config: str | None = None) -> RunSummary:
    """The last hours of usage, told as estimates."""
    configure_logs()
    settings = load_settings(config_path(Path(config) if config else None))
    with living_run(Home(settings.home)), open_run(settings, wait_seconds=LOCK_WAIT_SECONDS) as run:
        run_hours(run, execute)
        summary = summarise(run)
    create_markdown_artifact(key="hourly-summary", markdown=summary_markdown(summary))
    return summary


@flow(name="digest", flow_run_name="digest", persist_result=False)
def digest(config: str | None = None) -> str:
    """The week in one message, once per week. Fails with FlowError when it could not be delivered."""
    configure_logs()
    settings = load_settings(config_path(Path(config) if config else None))
    bring_published(settings)
    facts, delivered, _ = send_digest(settings, now=datetime.now(UTC))
    waiting = [f"{one.title}: {one.detail}" for one in delivered if one.status in ("waiting", "failed")]
    if waiting:
        raise FlowError("not delivered, the next run tries again: " + "; ".join(waiting))
    said = f"the week to {facts.week_end}"
    create_markdown_artifact(key="digest-summary", markdown=said)
    return said


@flow(name="deliver", flow_run_name="deliver", persist_result=False)
def deliver(config: str | None = None) -> list[str]:
    """What waits in the outbox, such as for the end of the quiet hours. Fails with FlowError when some could not go."""
    configure_logs()
    settings = load_settings(config_path(Path(config) if config else None))
    delivered, _ = send_waiting(settings)
    waiting = [f"{one.title}: {one.detail}" for one in delivered if one.status in ("waiting", "failed")]
    if waiting:
        raise FlowError("not delivered, the next run tries again: " + "; ".join(waiting))
    return [one.title for one in delivered]


@flow(name="backtest", flow_run_name="backtest", persist_result=False)
def backtest(config: str | None = None) -> list[str]:
    """Every forecast engine on the published history; the daily runs of the next weeks use the best per feature."""
    configure_logs()
    settings = load_settings(config_path(Path(config) if config else None))
    bring_published(settings)
    found = backtest_and_keep(settings, now=datetime.now(UTC))
    said = [f"{feature}: {engine}" for feature, engine in sorted(found.chosen.items())]
    create_markdown_artifact(key="backtest-summary", markdown="\n".join(f"- {line}" for line in said))
    return said
