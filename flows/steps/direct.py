"""The steps without Prefect: the same functions in the same order, in a few seconds."""

from __future__ import annotations

from typing import Any

from flows.run import Run
from flows.steps.order import Step, run_steps


def run_direct(run: Run) -> None:
    """Run every step in this process; no retries but the connectors' own."""
    run_steps(run, execute)


def execute(step: Step, run: Run, label: str, *arguments: Any) -> Any:
    """One step, timed and said."""
    with run.told(label), run.timed(label):
        return step.function(run, *arguments)
