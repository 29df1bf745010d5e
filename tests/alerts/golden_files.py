"""Goldens of what is posted. `TRENDBREAK_REGENERATE_GOLDENS=1 pytest tests/alerts` writes them again: read the diff."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "goldens"
SWITCH = "TRENDBREAK_REGENERATE_GOLDENS"


def check_golden(name: str, content: dict[str, Any]) -> None:
    """Compare with the stored golden. Fails where there is none, or where it differs."""
    path = FOLDER / f"{name}.json"
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get(SWITCH):
        path.write_text(text)
    assert path.exists(), f"no golden {path.name}; write it with {SWITCH}=1"
    assert json.loads(text) == json.loads(path.read_text()), f"{path.name} differs; if that is meant, {SWITCH}=1"
