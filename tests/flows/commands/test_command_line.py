"""What a person does wrong on the command line is said in one line with its cure, never with a traceback."""

import re
import socket
import subprocess
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.flows.command import trendbreak, trendbreak_process, typed
from tests.flows.small_bill import bill_lines, first_day, write_small_home

SOURCES = """
  - {name: gone, type: focus_files, location: ./nowhere}
  - {name: aws, type: aws_data_exports, location: ./no-export}
  - {name: openai, type: openai, admin_key: "${NO_SUCH_KEY}"}
  - {name: words, type: focus_files, location: ./words}
features: features.yml
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A home after one run, in which one source of five is right; and what the run said."""
    folder = tmp_path_factory.mktemp("home")
    config = write_small_home(folder)
    config.write_text(config.read_text().replace("features: features.yml\n", SOURCES.lstrip("\n")))
    (folder / "words").mkdir()
    (folder / "words" / "bill.csv").write_text(
        (folder / "inbox" / "bill.csv").read_text().replace("123456789012,USD", "another,USD").replace("\n", "\nn/a", 1)
    )
    return folder, trendbreak("run", "--direct", cwd=folder)


@pytest.fixture(scope="module")
def published(run: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return run[0]


def test_a_failing_source_is_named_and_stops_no_other(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = run
    assert done.returncode == 1
    for text in ("gone: ", "nowhere", "aws: ", "no-export", "openai: ", "NO_SUCH_KEY", "words: bill.csv"):
        assert text in done.stderr
    with duckdb.connect(str(folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        charged = con.execute("SELECT sum(billed_cost) FROM core.charges").fetchall()
    assert charged == [(sum(Decimal(line.split(",")[0]) for line in bill_lines(first_day(), 60)[1:]),)]


def test_progress_marks_the_step_that_failed_and_says_why_in_short(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    lines = run[1].stdout.splitlines()
    failed = next(number for number, line in enumerate(lines) if "✗ fetch gone" in line)
    assert re.search(r"✗ fetch gone\s+\d+\.\d s", lines[failed])
    assert "nowhere" in lines[failed + 1]
    assert [line.split()[1:3] for line in lines if "✗" in line] == [
        ["fetch", "gone"],
        ["fetch", "aws"],
        ["fetch", "openai"],
        ["load", "words"],  # its delivery was fetched, and could not be loaded
    ]
    assert any(re.search(r"✓ load drop", line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "select 1", "-o", "no/such/folder/x.csv"], r"--output no/such/folder/x\.csv: No such file"),
        (["query", "select 1", "-o", "."], r"--output \.: Is a directory"),
        (["query", "select interval 3 months as span", "-f", "parquet", "-o", "x.parquet"], r"'span' of type INTERVAL"),
        (["query", "unalocated"], r"no canned query is named 'unalocated'; did you mean 'unallocated'\?"),
        (["query", "select 1", "-f", "parket"], r"'parket' is unknown; did you mean 'parquet'\?"),
        (["query", "select 1", "--timeout", "-3"], "--timeout"),
        (["query", "select 1", "--home", "trendbreak.yml"], "trendbreak.yml"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--home", "trendbreak.yml"], "trendbreak.yml"),
        (["init", "trendbreak.yml"], "trendbreak.yml"),
        (["run", "--direct", "--source", "dropp"], r"no source is named 'dropp'; did you mean 'drop'\?"),
        (["run", "--direct", "--as-of", "9999-12-31"], "--as-of"),
        (["run", "--direct", "--as-of", "0001-01-01"], "--as-of"),
        (["status", "--config", "."], "cannot be read: Is a directory"),
        (["incidents", "show", "nothing"], "no incident 'nothing'"),
        (["slack", "listen"], "buttons need slack.token"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    published: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(published)
    assert typed(*arguments) == 2
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("home: ./data", "home: ./inbox/bill.csv", "home: .*is a file"),
        ("home: ./data", "home: ./inbox/bill.csv/data", "Not a directory"),
        ("features: features.yml", "features: inbox", "is a folder"),
        ("home: ./data", "home: ./data\nstate: nonsense", "state: is not a database URL"),
        ("home: ./data", "home: ./data\nstate: sqlite:////proc/no/state.sqlite", "/proc/no: No such file"),
        ("home: ./data", "home: ./data\nstate: sqlite:////dev/null", "state store .*: disk I/O error"),
    ],
)
def test_a_configuration_that_cannot_work_is_said_in_one_line(
    tmp_path: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_small_home(tmp_path)
    config.write_text(config.read_text().replace(old, new))
    assert typed("run", "--direct", "--config", config) == 2
    assert re.search(said, capsys.readouterr().err)


def test_serve_says_a_missing_token_before_it_starts_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_small_home(tmp_path, extra='slack: {token: "${NO_SUCH_TOKEN}", app_token: "${NO_SUCH_APP}"}\n')
    assert typed("serve", "--config", config) == 2
    assert "NO_SUCH_TOKEN is not set" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_reader_that_has_enough_is_no_error(published: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    done = trendbreak_process(
        "query", "select unnest(range(200000)) as n", "-f", "csv", cwd=published, stdout=ours.fileno()
    )
    ours.close()
    assert done.stderr == ""
