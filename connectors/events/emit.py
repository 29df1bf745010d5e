"""Write events from an application: one file, the standard library only. Copy it, or import it.

    events = EventLog("/var/log/ai-events")
    events.emit(provider="openai", model="gpt-5-nano", feature="support_chat", task_id="t-81", input_tokens=212)

An event is one line, written by one `write` to a file that is open for appending: processes and threads may
share a folder, and no line is torn. Only the documented fields are taken, so that no prompt slips in.
Failing to write never breaks the application: `emit` says False, and `lost` counts.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

FIELDS = frozenset(
    (
        *("provider", "model", "feature", "task_id", "task_type", "attempt", "outcome", "user_id", "plan", "release"),
        *("prompt_version", "api_key_id", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"),
        *("reasoning_tokens", "tool_calls", "latency_ms", "gpu_seconds", "status", "response_id", "logged_cost_usd"),
        *("pricing_tier", "trace_id"),
    )
)


class EventLog:
    """A folder of event files, one per UTC day."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lost = 0

    def emit(
        self, *, provider: str, model: str, time: datetime | None = None, **fields: str | int | float | None
    ) -> bool:
        """Append one call; `time` (with its zone) defaults to now. True when it is written.

        Raises TypeError for a field that the schema does not have, ValueError for a time without a zone.
        """
        if unknown := fields.keys() - FIELDS:
            raise TypeError(f"not a field of an event: {', '.join(sorted(unknown))}")
        moment = time or datetime.now(UTC)
        if moment.tzinfo is None:
            raise ValueError("time must have a zone: datetime.now(timezone.utc)")
        moment = moment.astimezone(UTC)
        known = {name: value for name, value in fields.items() if value is not None}
        event = {"time": moment.isoformat(), "provider": provider, "model": model, **known}
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        try:
            handle = os.open(self.folder / f"{moment:%Y-%m-%d}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                written = os.write(handle, line)
            finally:
                os.close(handle)
        except OSError:
            written = 0
        if written != len(line):
            self.lost += 1
            return False
        return True
