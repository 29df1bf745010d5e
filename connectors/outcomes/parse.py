"""One record of an outcomes file → the outcome of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.calls.projection import Projection
from connectors.calls.reading import OutcomeRow, find, identifier, moment
from connectors.calls.rules import Rejected, read_time

FIELDS = ("task_id", "outcome", "time")


def read_outcome(
    record: Mapping[str, Any], projection: Projection, names: Mapping[str, str], rename: Mapping[str, str]
) -> Iterator[OutcomeRow]:
    """The outcome, or nothing where there is none yet. Raises Rejected."""
    used = {name.partition(".")[0] for name in names.values()} | set(names.values())
    projection.drop_fields(name for name in record if name not in used and record[name] is not None)
    task_id = identifier(find(record, [names["task_id"]]), "task_id")
    outcome = identifier(find(record, [names["outcome"]]), "outcome")
    if task_id is None:
        raise Rejected("task_id: missing")
    if outcome is None:
        projection.keep("no_outcome")  # not known yet is no outcome: never a failure
        return
    yield OutcomeRow(task_id, rename.get(outcome, outcome), read_time(moment(find(record, [names["time"]]))))
