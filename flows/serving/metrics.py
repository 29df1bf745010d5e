"""Metrics of a home in Prometheus' text format: `<home>/metrics/trendbreak.prom`, written anew after each run.

A node exporter's textfile collector reads the file; `trendbreak serve` with `metrics.port` answers /metrics with it.
Everything comes from the published snapshot and the state store, so a figure here is one that a query gives too.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from flows.run import Home

if TYPE_CHECKING:
    from warehouse.state import StateStore

Labels = tuple[tuple[str, str], ...]


@dataclass
class Family:
    """One metric: its name by Prometheus' conventions, help, type, and a sample per set of labels."""

    name: str
    help: str
    kind: str = "gauge"
    samples: dict[Labels, float] = field(default_factory=dict)

    def add(self, value: Any, **labels: str) -> None:
        """A sample; None is left out, because unknown is not zero. Instants and days become Unix seconds."""
        if value is None:
            return
        if isinstance(value, datetime):
            value = value.timestamp()
        elif isinstance(value, date):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
        self.samples[tuple(sorted(labels.items()))] = float(value)


def collect(home: Home, state: StateStore) -> list[Family]:
    """What the snapshot and the state store say now; a home without a snapshot has its runs and messages only."""
    families = [*_runs(state), *_messages(state)]
    if home.published.is_file():
        families += _snapshot(home)
    return families


def _runs(state: StateStore) -> Iterable[Family]:
    runs = state.list_runs()
    last = runs[-1] if runs else None
    good = [run for run in runs if run["status"] == "completed"]
    started = Family("trendbreak_last_run_timestamp_seconds", "When the newest run began.")
    succeeded = Family("trendbreak_last_success_timestamp_seconds", "When the newest run without a failure ended.")
    duration = Family("trendbreak_last_run_duration_seconds", "How long the newest run took.")
    steps = Family("trendbreak_last_run_step_duration_seconds", "How long each step of the newest run took.")
    failed = Family("trendbreak_source_failed", "1 when the newest run could not read or load the source.")
    if last is not None:
        started.add(last["started_at"])
        if last["finished_at"] is not None:
            duration.add((last["finished_at"] - last["started_at"]).total_seconds())
        for step, seconds in last["details"].get("seconds", {}).items():
            steps.add(seconds, step=step)
        for source in last["details"].get("sources", []):
            failed.add(0, source=source)
        for source in last["details"].get("failures", {}):
            failed.add(1, source=source)
    if good:
        succeeded.add(good[-1]["finished_at"])
    return started, succeeded, duration, steps, failed


def _messages(state: StateStore) -> Iterable[Family]:
    messages = Family("trendbreak_messages", "Messages in the outbox by what became of them.")
    alerts = Family("trendbreak_alerts_total", "Incidents that were ever opened, by severity.", "counter")
    failures = Family("trendbreak_send_failures_total", "Attempts to send a message that failed.", "counter")
    incidents = Family("trendbreak_open_incidents", "Incidents that are open, by severity.")
    outbox = state.outbox()
    counts = Counter(row["status"] for row in outbox)
    for status in ("pending", "sending", "failed", "sent"):
        messages.add(counts[status], status=status)
    failures.add(sum(max((row["attempts"] or 0) - (row["status"] == "sent"), 0) for row in outbox))
    rows = state.list_incidents()
    from flows.commands.incidents import CLOSED

    severities = Counter(row["severity"] for row in rows)
    still_open = Counter(row["severity"] for row in rows if row["status"] not in CLOSED)
    for severity, count in severities.items():
        alerts.add(count, severity=severity)
        incidents.add(still_open[severity], severity=severity)
    if not rows:
        incidents.add(0, severity="high")
    return messages, alerts, failures, incidents


def _snapshot(home: Home) -> Iterable[Family]:
    from warehouse.reads import open_snapshot, read_metrics, read_published_at

    published = Family("trendbreak_published_timestamp_seconds", "When the snapshot that readers see was published.")
    with open_snapshot(home.published) as snapshot:
        published.add(read_published_at(snapshot))
        found = read_metrics(snapshot)
    families = [published]
    for name, (kind, text, label) in _OF_SNAPSHOT.items():
        family = Family(f"trendbreak_{name}", text, kind)
        for row in found:
            if row["metric"] == name:
                family.add(row["value"], **({label: row["label"]} if label else {}))
        families.append(family)
    return families


# What `reads/metrics.sql` gives: metric → (type, help, label).
_OF_SNAPSHOT: Mapping[str, tuple[str, str, str]] = {
    "source_data_through_timestamp_seconds": ("gauge", "The newest day that the source has spoken for.", "source"),
    "source_settled_through_timestamp_seconds": ("gauge", "The newest day that counts as settled.", "source"),
    "source_fetched_timestamp_seconds": ("gauge", "When the source's newest delivery was fetched.", "source"),
    "source_days_late": ("gauge", "Days that were due at the newest run and are not in.", "source"),
    "source_rows": ("gauge", "Rows of the source's deliveries that stand.", "source"),
    "source_cost_dollars": ("gauge", "Effective cost before credits that is loaded, in US dollars.", "source"),
    "source_restated_days_total": ("counter", "Past daily totals that a later delivery changed.", "source"),
    "feature_month_to_date_dollars": ("gauge", "Effective cost of the newest month so far, in US dollars.", "feature"),
}


def render(families: Iterable[Family]) -> str:
    """Prometheus' text format, version 0.0.4. A family without a sample is left out."""
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in sorted(family.samples.items()):
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
            lines.append(f"{family.name}{f'{{{inner}}}' if inner else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def write_metrics(home: Home, state: StateStore) -> None:
    """Write the file in one rename: a scrape sees the old one or the new one. Raises OSError."""
    home.metrics.parent.mkdir(parents=True, exist_ok=True)
    partial = home.metrics.with_name(f"{home.metrics.name}.{os.getpid()}")  # collectors read *.prom only
    partial.write_text(render(collect(home, state)), encoding="utf-8")
    os.replace(partial, home.metrics)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(value)
