"""The `trendbreak` command, in this process and as a process of its own."""

import io
import os
import subprocess
import sys
import traceback
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parents[2]


def trendbreak(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as it is typed in `cwd`, in this process, which saves the imports: seconds of CPU a call."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        chdir(cwd),
        patch.dict(os.environ, {**_without_settings(), **environment}, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = typed(*arguments)
    return subprocess.CompletedProcess(arguments, code, _text(out), _text(err))


def trendbreak_process(
    *arguments: str | Path, cwd: Path, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: for Prefect, for pipes, and for what a process leaves behind."""
    return _start([sys.executable, "-m", "flows", *map(str, arguments)], cwd=cwd, stdout=stdout, **environment)


def python(code: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`code` in a process of its own, as `trendbreak_process`."""
    return _start([sys.executable, "-c", code, *arguments], cwd=cwd, **environment)


def typed(*arguments: str | Path) -> int:
    """The command in this process and folder; its exit code. Our own errors are caught as the script does."""
    from flows.cli import main

    with patch.object(sys, "argv", ["trendbreak", *map(str, arguments)]):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        except Exception:
            traceback.print_exc()
            return 1
    return 0


def _start(
    words: list[str], *, cwd: Path, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=cwd,
        env={**_without_settings(), **environment, "PYTHONPATH": str(ROOT)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
        check=False,
    )


def _without_settings() -> dict[str, str]:
    """The environment without this machine's settings of Prefect, Trendbreak and Slack."""
    return {key: text for key, text in os.environ.items() if not key.startswith(("PREFECT_", "TRENDBREAK_", "SLACK_"))}


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
