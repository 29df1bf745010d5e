"""What only adds to an alert: it may fail, and the alert goes out without it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_LOG = logging.getLogger("trendbreak.alert")


@contextmanager
def told_without(node: str, what: str, notes: list[str]) -> Iterator[None]:
    """An error of the block is logged, and `notes` says that the alert of `node` does not say `what`."""
    try:
        yield
    except Exception as error:  # whatever it is, the dollars of this and of every other feature are right
        _LOG.exception("%s: its alert does not say %s", node, what)
        cause = f"{type(error).__name__}: {error}".partition("\n")[0]
        notes.append(f"{node}: its alert does not say {what} ({cause})")
