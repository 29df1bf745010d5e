"""Maintenance as a Prefect flow: `flows.keeping.maintain` does the work."""

# No `from __future__ import annotations` here: Prefect resolves the flow's parameter types at run time.

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.keeping.maintain import maintain
from flows.logs import configure as configure_logs
from flows.run import Home
from flows.serving.liveness import living_run
from flows.settings import config_path, load_settings


@flow(name="maintenance", flow_run_name="maintenance", persist_result=False)
def maintenance(config: str | None = None) -> list[str]:
    """Close dead runs, remove what is no longer needed, back up."""
    configure_logs()
    settings = load_settings(config_path(Path(config) if config else None))
    with living_run(Home(settings.home)) as dead:
        said = [*(one.notice for one in dead), *maintain(settings)]
    create_markdown_artifact(key="maintenance-summary", markdown="\n".join(f"- {line}" for line in said))
    return said
