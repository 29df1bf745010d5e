"""`trendbreak report`: the page again, from the snapshot and from what people have answered since."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flows.command import typed
from tests.flows.small_bill import bill_lines, first_day, write_small_home


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one open incident."""
    folder = tmp_path_factory.mktemp("home")
    config = write_small_home(folder)
    lines = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=4)
    (folder / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    assert typed("run", "--direct", "--config", config) == 0
    return config


def without_time(page: str) -> str:
    return re.sub(r"Written by Trendbreak on [^.]*\.", "", page)


def test_it_is_the_run_s_own_page_with_the_expected_range(config: Path, tmp_path: Path) -> None:
    of_the_run = (config.parent / "data" / "report" / "index.html").read_text()
    assert typed("report", "--config", config, "--output", tmp_path / "to" / "forward.html") == 0
    again = (tmp_path / "to" / "forward.html").read_text()
    assert without_time(again) == without_time(of_the_run)
    assert re.search(r'<path class="band" d="M', again)


def test_an_answer_since_the_run_is_in_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(config.parent)
    assert typed("incidents", "list") == 0
    incident = re.search(r"inc-[0-9a-f]+", capsys.readouterr().out)
    assert incident is not None
    assert typed("incidents", "ack", incident[0]) == 0
    assert typed("report") == 0
    assert "wrote data/report/index.html" in capsys.readouterr().out
    assert "acknowledged" in (config.parent / "data" / "report" / "index.html").read_text()
    assert not list((config.parent / "data" / "report").glob(".*"))


def test_without_the_kept_charts_the_actual_cost_is_drawn(config: Path, tmp_path: Path) -> None:
    charts = config.parent / "data" / "report" / "charts.json"
    for text in ("{", "[]", '{"support_chat": {"start": 3}}'):
        charts.write_text(text)
        assert typed("report", "--config", config, "--output", tmp_path / "x.html") == 0
        page = (tmp_path / "x.html").read_text()
        assert re.search(r'<path class="trace" d="M', page)


def test_what_cannot_be_written_or_is_not_there_is_said(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("report", "--config", config, "--output", tmp_path) == 2
    assert f"{tmp_path}: Is a directory" in capsys.readouterr().err
    assert typed("report", "--config", write_small_home(tmp_path / "new")) == 2
    assert "nothing is published yet" in capsys.readouterr().err
