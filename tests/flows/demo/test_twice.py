"""The demo through the command line: run twice, it tells the same story and sends nothing again."""

import re
import shutil
from pathlib import Path

import pytest

from flows.demo.world import DemoWorld
from tests.flows.checksums import checksums_of
from tests.flows.command import typed
from tests.flows.demo.landed import SEED


def test_a_second_demo_says_that_nothing_is_told_twice(
    world: DemoWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    arguments = ("demo", "--direct", "--seed", str(SEED), "--home", tmp_path / "home")
    assert typed(*arguments) == 0
    first = capsys.readouterr().out
    posted = sorted((tmp_path / "home" / "outbox").iterdir())
    assert typed(*arguments) == 0
    second = capsys.readouterr().out
    assert "as it would be posted, 1 of " in first
    assert "as it would be posted" not in second
    assert "posted by an earlier run of this demo: nothing is told twice" in " ".join(second.split())

    def story(text: str) -> str:
        return text[text.index("What each feature costs") : text.index(" s in all: ")].rsplit("\n", 1)[0]

    assert story(first) == story(second)
    assert "per successful" in first[first.index("In Slack") : first.index("What each feature costs")]
    assert sorted((tmp_path / "home" / "outbox").iterdir()) == posted
    assert len([path for path in posted if path.suffix == ".json" and "budget" not in path.name]) == len(world.planted)
    report = (tmp_path / "home" / "report" / "index.html").read_text()
    assert f"--config {tmp_path}/home/trendbreak.yml" in report
    # The planted retry storm and the machines of the idle weekend are found in the waste, too.
    wasted = re.sub(r"<[^>]+>|\s+", " ", report[report.index("What bought nothing") : report.index('id="trust"')])
    nodes = {planted.story: planted.node.capitalize().replace("_", " ") for planted in world.planted}
    assert re.search(rf"{nodes['idle_gpu']} +GPU hours that served no call", wasted)
    assert re.search(rf"{nodes['retry_storm']} +calls that failed and were billed", wasted)


@pytest.mark.slow
def test_six_months_of_bills_and_telemetry_come_out_of_landing_to_the_last_digit(
    tmp_path: Path,
) -> None:
    """The short form: tests/flows/commands/test_rebuild.py."""
    assert typed("demo", "--direct", "--seed", str(SEED), "--home", tmp_path / "home") == 0
    published = tmp_path / "home" / "published" / "trendbreak.duckdb"
    before = checksums_of(published)
    assert before["core.charges"][0] > 5_000
    shutil.rmtree(tmp_path / "home" / "warehouse")
    published.unlink()
    assert typed("rebuild", "--config", tmp_path / "home" / "trendbreak.yml") == 0
    assert checksums_of(published) == before
