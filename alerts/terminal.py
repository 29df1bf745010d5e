"""A Message on a terminal: a panel that reads like the Slack message."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from alerts.figures import format_day
from alerts.model import Message, Severity

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLOURS: dict[Severity, str] = {"high": "red", "medium": "dark_orange", "low": "yellow"}
_CONTROL = re.compile(r"[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WIDTH = 100


def to_terminal(message: Message) -> RenderableType:
    """A rich panel of a message. Text from outside is shown as it is: no markup, no escape codes."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.panel import Panel
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.text import Text

    is_over = message.status in ("resolved", "withdrawn", "absorbed")
    colour = "green" if is_over else _COLOURS[message.severity]
    parts: list[RenderableType] = [Text(_clean(message.summary))]
    if message.cure:
        parts += [Text(), Text.assemble(("What to do: ", "bold"), _clean(message.cure))]
    if facts := [(fact.label, fact.text) for fact in message.facts]:
        if message.owner:
            facts.append(("Owner", message.owner))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column()
        for label, text in facts:
            grid.add_row(_clean(label), Text(_clean(text)))
        parts += [Text(), grid]
    day = f" on {format_day(message.onset, today=message.onset)}" if message.onset else ""
    lists = [("Why", message.why), ("Where", message.where), (f"What changed{day}", message.changes)]
    lists += [(section.title, section.lines) for section in message.sections]
    if message.links:
        lists.append(("Look at", tuple(f"{text}: {address}" for text, address in message.links)))
    for title, lines in lists:
        if lines:
            bullets = Table.grid(padding=(0, 1))
            for line in lines:
                bullets.add_row(" •", Text(_clean(line)))
            parts += [Text(), Text(_clean(title), style="bold"), bullets]
    if message.sql:
        sql = Syntax(message.sql, "sql", theme="ansi_dark", background_color="default", word_wrap=True)
        parts += [Text(), Padding(sql, (0, 0, 0, 2))]
    for note in message.footnotes:
        parts += [Text(), Text(_clean(note), style="dim")]
    return Panel(
        Group(*parts),
        title=Text(_clean(message.title), style=f"bold {colour}"),
        title_align="left",
        subtitle=Text(f"{_clean(message.channel)}", style="dim"),
        subtitle_align="right",
        border_style=colour,
        padding=(1, 2),
        width=_WIDTH,
    )


def to_plain_text(message: Message) -> str:
    """The same panel without colours."""
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=_WIDTH, color_system=None, force_terminal=False, legacy_windows=False).print(
        to_terminal(message)
    )
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)
