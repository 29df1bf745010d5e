"""What a connector supplies to be run through the conformance suite: a small source that can misbehave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.base import Connector, Window
from connectors.http_api import RetryPolicy
from connectors.registry import connector_class
from tests.servers.json_api import JsonApi

# Waits short enough for a test, long enough to see that one took place; answers may be late on a busy machine.
FAST = RetryPolicy(attempts=3, first_wait_seconds=0.001, longest_wait_seconds=0.05)
HASTY = replace(FAST, read_timeout_seconds=0.5)  # for providers that never answer


class World(ABC):
    """A provider with a few days of charges (or calls) inside `window`, none at its first day."""

    source_type: str
    window = Window(date(2026, 1, 1), date(2026, 1, 9))
    empty_window = Window(date(2025, 12, 20), date(2025, 12, 22))
    api: JsonApi | None = None  # the stub behind an HTTP source
    is_paged = False  # the provider pages by a cursor, so it can repeat one or never end
    secrets: tuple[str, ...] = ()
    reads_all_days = False  # discover offers every delivery, whatever the window
    retry = FAST

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]: ...

    @property
    @abstractmethod
    def truth(self) -> dict[date, Decimal]:
        """Σ effective cost by day in the source's currency, or the number of calls by day."""

    @abstractmethod
    def empty(self) -> None:
        """The source takes back every charge of the window, without a word."""

    @abstractmethod
    def add_unknown_field(self, name: str) -> None:
        """The provider begins to send a field that nobody knows, beside each of its records."""

    @abstractmethod
    def deny(self) -> None:
        """The source is there, but what is configured does not open it."""

    def connect(self, *, name: str = "source", **changes: Any) -> Connector:
        cls = connector_class(self.source_type)
        settings: dict[str, Any] = {"name": name, "options": cls.Options.model_validate({**self.options, **changes})}
        if self.api is not None:
            settings["retry"] = self.retry
        return cls(**settings)
