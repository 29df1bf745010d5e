"""Errors that end a command: shown to the person as they are, without a traceback.

FlowError
├── SettingsError    trendbreak.yml cannot work as it stands
├── SourcesFailed    the run is finished, but some sources could not be read or loaded
│   └── BackfillFailed  the backfill is through, but some of its months are not in
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


class SourcesFailed(FlowError):
    """All other sources are in, the build and the alerts are done; these sources are not in."""

    said = "sources that failed (all others were loaded)"

    def __init__(self, failures: Mapping[str, str], summary: RunSummary) -> None:
        self.failures = dict(failures)
        self.summary = summary
        lines = [f"{name}: {text}" for name, text in self.failures.items()]
        super().__init__(f"{self.said}:\n  " + "\n  ".join(lines))


class BackfillFailed(SourcesFailed):
    """All other months are in and the build is done; the same command tries these again."""

    said = "months that failed (all others were loaded; the same command tries just these again)"


class DeliveriesWaiting(FlowError):
    """Slack is down, slow or busy: the messages wait, in order, for the next try or the next run."""
