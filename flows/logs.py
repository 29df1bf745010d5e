"""Structured logs: one event per step and per outcome of a run, as text or as one JSON object a line, on stderr.

`trendbreak --log-format json run`, or TRENDBREAK_LOG_FORMAT=json, which scheduled flows read too. Without either
nothing is logged: the terminal shows the same for people.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

VARIABLE = "TRENDBREAK_LOG_FORMAT"
FORMATS = ("text", "json")
LOGGERS = ("trendbreak", "connectors", "warehouse", "alerts")
_OWN = "trendbreak_fields"
_LOG = logging.getLogger("trendbreak.run")
# Without a format nothing is logged: not by Python's last resort, and not by the handlers that Prefect gives the root.
logging.getLogger("trendbreak").addHandler(logging.NullHandler())
logging.getLogger("trendbreak").propagate = False


def configure(log_format: str | None = None) -> None:
    """Send the logs of Trendbreak's own packages to stderr in `log_format`, by default the one of the environment.

    Doing it again replaces the handler. Raises ValueError for an unknown format.
    """
    chosen = log_format or os.environ.get(VARIABLE)
    if not chosen:
        return
    if chosen not in FORMATS:
        raise ValueError(f"the log format is {' or '.join(FORMATS)}, not {chosen!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if chosen == "json" else TextFormatter())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            if isinstance(old.formatter, JsonFormatter | TextFormatter):
                logger.removeHandler(old)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    os.environ[VARIABLE] = chosen  # processes that this one starts log the same way


def log_event(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """One event of a run with its fields: plain values, dates, Decimals."""
    _LOG.log(level, event, extra={_OWN: fields})


class JsonFormatter(logging.Formatter):
    """{"time", "level", "logger", "event", …fields}; one line whatever the texts hold."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """time level event key=value …; control characters and line breaks are written as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
        pairs = " ".join(f"{key}={_plain(value)}" for key, value in _fields(record).items())
        text = f"{time} {record.levelname.lower():<7} {_plain(record.getMessage(), quote=False)} {pairs}".rstrip()
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, _OWN, {})
    return fields


def _plain(value: Any, *, quote: bool = True) -> str:
    text = json.dumps(str(value), ensure_ascii=False)
    return text if quote and " " in text else text[1:-1]
