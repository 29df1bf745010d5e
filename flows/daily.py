"""The daily flow: the steps of `flows.steps.order` as Prefect tasks, thin wrappers and nothing more."""

# No `from __future__ import annotations` here: Prefect resolves the flow's parameter types at run time.

from datetime import date
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from connectors.errors import TransientError
from flows.errors import AlertsUndelivered, DeliveriesWaiting, SourcesFailed
from flows.logs import configure as configure_logs
from flows.run import Home, Run, open_run
from flows.serving.artifacts import publish_artifacts
from flows.serving.liveness import living_run
from flows.settings import config_path, load_settings
from flows.steps.order import Step, run_steps
from flows.summary import RunSummary, summarise

LOCK_WAIT_SECONDS = 3600  # a scheduled run waits this long for a run that a person started


def _execute_as_task(step: Step, run: Run, label: str, *arguments: Any) -> Any:
    # The run travels in the closure: Prefect would walk and serialise parameters.
    def call() -> Any:
        with run.timed(label):
            return step.function(run, *arguments)

    wrapped = task(
        name=step.name,
        task_run_name=label,
        retries=len(step.retry_delays_seconds),
        retry_delay_seconds=list(step.retry_delays_seconds),
        retry_condition_fn=_can_pass if step.retry_delays_seconds else None,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(call)
    with run.told(label):
        return wrapped()


def _can_pass(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), TransientError | DeliveriesWaiting)


@flow(name="daily", flow_run_name="daily", persist_result=False)
def daily(config: str | None = None, as_of: date | None = None, source: str | None = None) -> RunSummary:
    """Ingest every source, build, forecast, detect, publish, deliver; what was done.

    Fails with SourcesFailed when a source could not be read, with AlertsUndelivered when an alert is not out,
    after everything else is done.
    """
    configure_logs()
    settings = load_settings(config_path(Path(config) if config else None))
    with (
        living_run(Home(settings.home)) as dead,
        open_run(settings, as_of=as_of, only_source=source, wait_seconds=LOCK_WAIT_SECONDS) as run,
    ):
        run.say("Prefect started", "")
        run.notices.extend(one.notice for one in dead)
        run_steps(run, _execute_as_task)
        summary = summarise(run)
        publish_artifacts("daily", summary, run.state.list_incidents(), run.messages)
    if summary.failures:
        raise SourcesFailed(summary.failures, summary)
    if summary.undelivered:
        raise AlertsUndelivered(summary)
    return summary
