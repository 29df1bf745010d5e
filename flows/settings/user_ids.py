"""The key under which telemetry's user ids are hashed before anything is written.

A source's own `user_hash_key`, else the environment's TRENDBREAK_USER_HASH_KEY, else a random key that is
made once per home: `<home>/user_hash.key`, readable by its owner only. With another key the same users
become other hashes, and every telemetry file is read again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.base import Connector

ENVIRONMENT_KEY = "TRENDBREAK_USER_HASH_KEY"
KEY_FILE = "user_hash.key"


def with_hash_key(
    cls: type[Connector], options: dict[str, Any], home: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """The options of a telemetry source with the key it shall use; a billing source's as they are."""
    if "user_hash_key" not in cls.Options.model_fields or options.get("user_hash_key"):
        return options
    return {**options, "user_hash_key": environment.get(ENVIRONMENT_KEY) or home_key(home)}


def home_key(home: Path) -> str:
    """The home's own key; made at the first call, whole or not at all."""
    path = home / KEY_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        temporary = home / f".{KEY_FILE}.{secrets.token_hex(4)}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, secrets.token_hex(32).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(temporary, path)  # of two that make one at once, the first one's stays
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text(encoding="ascii").strip()
