"""Errors that end a command: shown to the person as they are, without a traceback.

FlowError
├── SettingsError    trendbreak.yml cannot work as it stands
├── RunIncomplete    the run is finished, but not all of it worked
│   ├── SourcesFailed      some sources could not be read or loaded
│   │   └── BackfillFailed   the backfill is through, but some of its months are not in
│   └── AlertsUndelivered  some messages are not where they belong; they stay in the outbox
└── DeliveriesWaiting  messages could not be sent yet; they stay in the outbox
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.summary import RunSummary


class FlowError(Exception):
    """The root; `str(error)` says what happened and the cure."""


class SettingsError(FlowError):
    """The configuration file is missing, unreadable or wrong; the message names the key."""


class RunIncomplete(FlowError):
    """Everything that could be done is done, and `summary` says what; the command ends with exit code 1."""

    def __init__(self, text: str, summary: RunSummary) -> None:
        self.summary = summary
        super().__init__(text)


class SourcesFailed(RunIncomplete):
    """All other sources are in, the build and the alerts are done; these sources are not in."""

    said = "sources that failed (all others were loaded)"

    def __init__(self, failures: Mapping[str, str], summary: RunSummary) -> None:
        self.failures = dict(failures)
        lines = [f"{name}: {text}" for name, text in self.failures.items()]
        text = f"{self.said}:\n  " + "\n  ".join(lines)
        super().__init__("\n".join([text, *_undelivered(summary)]), summary)


class BackfillFailed(SourcesFailed):
    """All other months are in and the build is done; the same command tries these again."""

    said = "months that failed (all others were loaded; the same command tries just these again)"


class AlertsUndelivered(RunIncomplete):
    """The sources are in and the figures are published, but nobody was told in the place meant for it."""

    def __init__(self, summary: RunSummary) -> None:
        super().__init__("\n".join(_undelivered(summary)), summary)


def _undelivered(summary: RunSummary) -> list[str]:
    if not summary.undelivered:
        return []
    return ["alerts that were not delivered (each run tries them again):", *(f"  {x}" for x in summary.undelivered)]


class DeliveriesWaiting(FlowError):
    """Slack is down, slow or busy: the messages wait, in order, for the next try or the next run."""
