"""The `trendbreak` command, as a process of its own and in this one."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch


def trendbreak(
    *arguments: str | Path, cwd: Path, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without this machine's Prefect and Trendbreak settings."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("PREFECT_", "TRENDBREAK_", "SLACK_"))}
    return subprocess.run(
        [sys.executable, "-m", "flows", *map(str, arguments)],
        cwd=cwd,
        env={**kept, **environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
        check=False,
    )


def python(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`code` in a process of its own, as `trendbreak`."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("PREFECT_", "TRENDBREAK_", "SLACK_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def typed(*arguments: str | Path) -> int:
    """The command in this process, which is quicker; its exit code. Our own errors are caught as the script does."""
    from flows.cli import main

    with patch.object(sys, "argv", ["trendbreak", *map(str, arguments)]):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0
