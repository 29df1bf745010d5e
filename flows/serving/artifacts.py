"""What Prefect's page of a run shows: the summary, the sources as a table, the open incidents, a chart."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flows.summary import RunSummary, summary_markdown

if TYPE_CHECKING:
    from alerts.model import Message


def publish_artifacts(
    flow: str, summary: RunSummary, incidents: Iterable[Mapping[str, Any]], messages: Sequence[Message] = ()
) -> None:
    """Write the artifacts of one run; keys begin with the flow's name. `incidents` are rows of the state store."""
    from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

    create_markdown_artifact(key=f"{flow}-summary", markdown=summary_markdown(summary))
    create_table_artifact(key=f"{flow}-sources", table=source_rows(summary), description="What each source brought.")
    create_table_artifact(key=f"{flow}-incidents", table=incident_rows(incidents), description="Open incidents.")
    chart = draw_chart(messages)
    if chart is not None:
        encoded = base64.b64encode(chart).decode()
        create_image_artifact(
            key=f"{flow}-chart", image_url=f"data:image/png;base64,{encoded}", description="The run's first alert."
        )


def source_rows(summary: RunSummary) -> list[dict[str, Any]]:
    """One row per source."""
    return [
        {
            "source": line.name,
            "deliveries": line.deliveries,
            "rows": line.source_rows,
            "restated days": line.restated_days,
            "failure": line.failure,
        }
        for line in summary.sources
    ]


def incident_rows(incidents: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per open incident, the costliest first. Money is US dollars per day."""
    from flows.commands.incidents import CLOSED

    rows = [row for row in incidents if row["status"] not in CLOSED]
    return [
        {
            "incident": row["id"],
            "node": row["node"],
            "severity": row["severity"],
            "status": row["status"],
            "since": row["onset"].isoformat(),
            "excess per day": f"${row['excess_usd_per_day']:,.2f}",
        }
        for row in sorted(rows, key=lambda row: -abs(row["excess_usd_per_day"]))
    ]


def draw_chart(messages: Sequence[Message]) -> bytes | None:
    """The PNG of the first message that has a chart."""
    from alerts import chart

    for message in messages:
        if message.chart is not None:
            return chart.draw(message.chart, title=message.title, onset=message.onset, last_day=message.last_day)
    return None
