"""What every command prints through: text from outside as text, and commands and paths in one piece, to be copied."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

# Names come from bills: no escape sequence of theirs reaches the terminal.
_CONTROL = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069]")
DEFAULT_CONFIG = Path("trendbreak.yml")


def clean(text: str) -> str:
    """`text` without control characters and without marks that turn the writing's direction."""
    return _CONTROL.sub(" ", text)


class Unbroken:
    """Lines that are never wrapped nor padded: what is copied from the terminal works when it is pasted.

    Print it with `crop=False`.
    """

    def __init__(self, text: str, style: str = "") -> None:
        self._text, self._style = clean(text), Style.parse(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._text.splitlines() or [""]:
            yield Segment(line, self._style)
            yield Segment.line()


def launcher() -> str:
    """How this shell starts the program that is running: `trendbreak` if PATH finds it, else its path."""
    beside = Path(sys.executable).parent / "trendbreak"
    found = shutil.which("trendbreak")
    if found is not None and Path(found).resolve() == beside.resolve():
        return "trendbreak"
    if beside.is_file():
        return shlex.quote(shown_path(beside))
    return "trendbreak" if found is not None else f"{shlex.quote(shown_path(Path(sys.executable)))} -m flows"


def command(*words: str, config: Path | None = None) -> str:
    """A command to paste: `words` after the launcher, with `--config` where the file is not the default one."""
    option = [] if config is None or config == DEFAULT_CONFIG else ["--config", shown_path(config)]
    return " ".join([launcher(), *(_quoted(word) for word in (*words[:1], *option, *words[1:]))])


def shown_path(path: Path) -> str:
    """Relative to the working folder where it is below it, else absolute; everything is below /."""
    # Not resolved: the venv's own path is shown, not that of the interpreter it links to.
    absolute = Path(os.path.abspath(path))
    here = Path.cwd()
    is_below = absolute.is_relative_to(here) and here != Path(here.anchor)
    return str(absolute.relative_to(here)) if is_below else str(absolute)


def _quoted(word: str) -> str:
    # SQL has quotes of its own: double ones around it read better than what shlex makes.
    if "'" in word and not set('"$`\\!') & set(word):
        return f'"{word}"'
    return shlex.quote(word)
