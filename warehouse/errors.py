"""What can go wrong in the warehouse. Each text says what happened, where, and the cure.

WarehouseError
├── LandingError            a landed delivery is not what its manifest says
├── StoreError              the warehouse's own files cannot be used
│   ├── WarehouseLocked     another run holds the writer's lock; the text says which
│   └── WriteConflict       another process's commit came first (DuckLake); the same again may succeed
├── LoadError               a delivery cannot be loaded; the warehouse stands as before
│   ├── OverlapError        it covers charges that another source or file covers already
│   └── CurrencyError       amounts in a currency without a dated rate
├── ModelError              a SQL model does not run, or its names make a circle
│   └── CheckError          a `-- fail:` check found rows
└── ReconciliationError     Σ differs between two layers; nothing of the build is kept
"""

from __future__ import annotations

import errno

# A full disk, a full quota, a file larger than the system allows; a disk that takes nothing.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_NO_ROOM_TEXTS = ("no space left", "file too large", "disk quota exceeded", "disk is full", "read-only file system")
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})
_NOT_ALLOWED_TEXTS = ("readonly database", "unable to open database file", "permission denied")
FREE_SPACE = "free space there and run again: what is not whole is taken back, and nothing is counted twice"
MOUNT_TO_WRITE = "its disk is mounted read-only: mount it to be written, or point `home` at another"
GIVE_RIGHTS = (
    "let the user of this process read and write there (or run as its owner), and mount its disk to be written"
)


class WarehouseError(Exception):
    """The root: `str(error)` is fit to show to a person."""

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what, self.where, self.cure = what, where, cure
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text} — {cure}" if cure else text)


class LandingError(WarehouseError):
    """A landed delivery is damaged or incomplete."""


class StoreError(WarehouseError):
    """The warehouse's own files cannot be opened or brought to this version."""


class WarehouseLocked(StoreError):
    """Another process writes to this warehouse; the text names its pid, host and since when."""


class WriteConflict(StoreError):
    """Another process has changed the same tables since this transaction began; nothing of it is kept."""


class LoadError(WarehouseError):
    """A delivery cannot be loaded. `where` names file, row and column where one value is at fault."""


class OverlapError(LoadError):
    """Two sources, or two files of one source, cover the same charges."""


class CurrencyError(LoadError):
    """Amounts in a currency that no dated rate turns into US dollars."""


class ModelError(WarehouseError):
    """A SQL model cannot be read, ordered or run."""


class CheckError(ModelError):
    """A check beside a model that must hold does not."""


class ReconciliationError(WarehouseError):
    """The sums of two layers differ; `where` names step, source, day, currency and measure."""


def place_cure(error: BaseException) -> str:
    """What to do about a place that system, DuckDB or SQLite does not let us use; "" where that is not the matter."""
    text, number = str(error).lower(), getattr(error, "errno", None)
    if number == errno.EROFS or "read-only file system" in text:
        return MOUNT_TO_WRITE
    if number in _NOT_ALLOWED or any(one in text for one in _NOT_ALLOWED_TEXTS):
        return GIVE_RIGHTS
    return FREE_SPACE if has_no_room(error) else ""


def has_no_room(error: BaseException) -> bool:
    """Whether an error of the system, DuckDB or SQLite says that the disk takes no more."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    return any(text in str(error).lower() for text in _NO_ROOM_TEXTS)
