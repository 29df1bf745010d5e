"""What can go wrong at a source, grouped by what the caller should do about it.

    ConnectorError
    ├── TransientError        it can pass: retry with backoff (429, 5xx, timeout, reset)
    │   └── UnreachableError  nobody answers at the address, whatever is asked there
    ├── ConfigError           the person must change the configuration
    │   ├── CredentialError   the credential is missing, expired or refused
    │   └── PermissionDenied  the credential works, but may not do this
    ├── IncompleteDelivery    the provider has not finished writing: try at the next run
    └── PayloadError          the payload is not what its provider documents
        └── PagingError       a cursor repeats, or the page bound is reached

Every message says what happened, where, and the cure. None holds a secret.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """The root: `str(error)` is fit to show to a person."""

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what, self.where, self.cure = what, where, cure
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text} — {cure}" if cure else text)


class TransientError(ConnectorError):
    """Worth another try. `retry_after_seconds` is the provider's own wish, if it said one."""

    def __init__(self, what: str, *, where: str = "", cure: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(what, where=where, cure=cure)
        self.retry_after_seconds = retry_after_seconds


class UnreachableError(TransientError):
    """No connection came about: it is the address or the network, and the same for all that is asked there."""


class ConfigError(ConnectorError):
    """The configuration cannot work as it stands."""


class CredentialError(ConfigError):
    """The credential is missing, expired or refused."""


class PermissionDenied(ConfigError):
    """The credential is good but lacks a permission; the message names it."""


class IncompleteDelivery(ConnectorError):
    """The provider is still writing; nothing of it is loaded."""


class PayloadError(ConnectorError):
    """The payload differs from its documented shape; the message names file, row and field."""


class PagingError(PayloadError):
    """A cursor came twice, or more pages came than the window can hold."""
