"""The `trendbreak` command as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def trendbreak(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without this machine's Prefect and Trendbreak settings."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("PREFECT_", "TRENDBREAK_", "SLACK_"))}
    return subprocess.run(
        [sys.executable, "-m", "flows", *map(str, arguments)],
        cwd=cwd,
        env={**kept, **environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
