"""Flow runs whose machine died: Prefect shows them as `Running` for ever, and nobody takes their work up.

Every run of a home holds a lock file, `<home>/prefect/runs/<flow run id>`, with flock, which the kernel frees
with its process. Whoever finds such a file unlocked has found a dead run: it is marked Crashed, and if it came from
a deployment other than the finder's own, it is started again with its parameters, once.
"""

# No `from __future__ import annotations` here: Prefect is imported where it is needed, like everywhere in flows.

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from flows.run import Home

RESUMED_TAG = "resumed"  # a run that died twice is not started a third time


@dataclass(frozen=True)
class DeadRun:
    """`resumed_as`: the id of the run that does its work now; None when the next run of its schedule will."""

    flow_run_id: UUID
    name: str
    deployment_id: UUID | None
    resumed_as: UUID | None

    @property
    def notice(self) -> str:
        """One line for a person."""
        again = "; it was started again" if self.resumed_as else ""
        return f"the run {self.name!r} ({self.flow_run_id}) had died with its process and was marked Crashed{again}"


def _folder(home: Home) -> Path:
    return home.prefect / "runs"


@contextmanager
def living_run(home: Home) -> Iterator[list[DeadRun]]:
    """Within the block this process's flow run is known to be alive. Yields the dead ones that were found."""
    from prefect.runtime import deployment, flow_run

    if not flow_run.id:
        yield []
        return
    own_deployment = UUID(str(deployment.id)) if deployment.id else None
    folder = _folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(flow_run.id)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield sweep_dead_runs(home, own_deployment=own_deployment)
        path.unlink(missing_ok=True)
    except Exception:
        path.unlink(missing_ok=True)  # it failed, and says so itself: it is not dead
        raise
    finally:
        os.close(handle)


def sweep_dead_runs(home: Home, *, own_deployment: UUID | None = None) -> list[DeadRun]:
    """Mark every dead run of this home Crashed, and start again what nobody else will.

    The next run of `own_deployment`, which is this one, does a dead run's work anyway: daily runs begin at the first
    day that is not in.
    """
    found = []
    folder = _folder(home)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            flow_run_id = UUID(path.name)
            handle = os.open(path, os.O_RDWR)
        except (ValueError, FileNotFoundError):
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            dead = _bury(flow_run_id, own_deployment)
            path.unlink(missing_ok=True)
            found += [dead] if dead else []
        except BlockingIOError:
            continue  # alive
        finally:
            os.close(handle)
    return found


def _bury(flow_run_id: UUID, own_deployment: UUID | None) -> DeadRun | None:
    """Mark it Crashed and start it again; None for a run that Prefect does not know, or has seen end."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        try:
            known: Any = client.read_flow_run(flow_run_id)
        except ObjectNotFound:
            return None
        if known.state is not None and known.state.is_final() and not known.state.is_crashed():
            return None
        if known.state is None or not known.state.is_final():
            message = "Its process is gone: the machine or the worker died while it ran."
            client.set_flow_run_state(flow_run_id, Crashed(message=message), force=True)
        resumed_as = None
        if known.deployment_id and known.deployment_id != own_deployment and RESUMED_TAG not in known.tags:
            again = client.create_flow_run_from_deployment(
                known.deployment_id,
                parameters=known.parameters,
                tags=[*known.tags, RESUMED_TAG],
                idempotency_key=f"resume-{flow_run_id}",
            )
            resumed_as = again.id
    return DeadRun(flow_run_id, known.name, known.deployment_id, resumed_as)
