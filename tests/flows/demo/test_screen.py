"""The last screen fits the terminal and shows text as text."""

import io
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from flows.commands.terminal import launcher, shown_path
from flows.demo.screen import render_terminal_summary, show_story, sparkline
from flows.demo.world import DemoWorld
from flows.report.data import ReportData, SuggestedQuery
from tests.flows.report.sample import sample_report


def shown(data: ReportData, width: int) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(render_terminal_summary(data, width=width), crop=False)
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_it_fits_and_says_everything(width: int) -> None:
    text = shown(sample_report(), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    together = " ".join(text.split())
    for part in (
        "support_chat ●", "$1,801", "+20%", "$0.31", "$2,821", "shared: tax", "doc_search $0.62 · support_chat $0.31",
        "$1,620 so far in October; $2,855 expected at month end, 80% sure between $2,700 and $3,010",
        "budget $2,800: $55 over, 70% likely to be exceeded", "2 breaks", "+$59/day", "data/report/index.html",
            "What else is open 2 incidents", "Budgets in danger",
        "trendbreak query unallocated",
    ):  # fmt: skip
        assert part in together, part
    assert "…" not in text


def test_quiet_and_unknown_are_said() -> None:
    text = shown(replace(sample_report(), incidents=(), forecast=None, files=(), queries=()), 80)
    assert "every feature is on its trend" in text
    assert "too little history" in text
    assert "Where it is" not in text


def test_neither_markup_nor_escape_codes_from_bills_are_obeyed() -> None:
    data = sample_report()
    nasty = "[bold]x[/bold]\x1b[31m\x1b]8;;http://evil\x07\u202e"
    features = (replace(data.features[0], feature=nasty), *data.features[1:])
    incidents = (replace(data.incidents[0], node=nasty, reason=nasty), *data.incidents[1:])
    text = shown(replace(data, features=features, incidents=incidents), 100)
    assert "[bold]x[/bold]" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_sparklines_rise_with_the_weekly_mean() -> None:
    rising = sparkline(tuple(100.0 + day * 3 for day in range(60)), 15)
    assert len(rising) == 15
    assert list(rising) == sorted(rising)
    assert rising[-1] == "█"
    # The week's own shape does not show.
    assert len(set(sparkline(tuple(50.0 + (day % 7) * 5 for day in range(60)), 15))) == 1
    assert sparkline((1.0,) * 10, 15) == ""
    assert sparkline((None,) * 60, 15) == ""


def test_the_story_names_the_company_and_not_the_breaks(world: DemoWorld) -> None:
    stream = io.StringIO()
    show_story(world, Console(file=stream, width=80))
    text = stream.getvalue()
    assert world.company_name in text
    for planted in world.planted:
        assert planted.note not in text


def test_a_total_with_an_unknown_part_is_not_compared() -> None:
    data = sample_report()
    assert data.total_cost_usd == Decimal("2820.60")
    assert data.previous_total_cost_usd is None


def test_a_command_and_a_path_are_never_broken() -> None:
    command = "trendbreak query --config demo/seed-7/trendbreak.yml 'SELECT model, sum(x) FROM core.allocations'"
    where = "/srv/a-rather-long-folder-name/of-some-team/on-some-machine/demo/seed-7/report/index.html"
    data = replace(
        sample_report(), queries=(SuggestedQuery("Ask", command),), files=(("report", where), ("warehouse", "x"))
    )
    lines = shown(data, 80).splitlines()
    assert f"  {command}" in lines
    assert f"report     {where}" in lines


def test_where_path_finds_the_command_its_name_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    beside = Path(sys.executable).parent
    monkeypatch.chdir(beside.parents[1])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert launcher() == f"{beside.parent.name}/bin/trendbreak"
    monkeypatch.chdir(tmp_path)
    assert launcher() == str(beside / "trendbreak")
    monkeypatch.setenv("PATH", f"{beside}:/usr/bin")
    assert launcher() == "trendbreak"


def test_a_path_is_short_below_the_working_folder_and_whole_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "data" / "x") == "data/x"
    monkeypatch.chdir("/")  # where systemd starts a service
    assert shown_path(tmp_path / "data" / "x") == str(tmp_path / "data" / "x")
