"""`trendbreak prices`: the price of a day, and a period at other prices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flows.command import trendbreak
from tests.flows.small_bill import first_day, write_small_home

OWN = "version: 1\nprices: [{provider: openai, valid_from: 2020-01-01, percent: -20}]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after one run: a bill, and ten calls of a million tokens on each of the last ten days."""
    home = tmp_path_factory.mktemp("prices")
    config = write_small_home(home)
    config.write_text(
        config.read_text().replace(
            "./inbox}\n", "./inbox}\n  - {name: calls, type: events, location: ./events}\nprices: prices.yml\n", 1
        )
    )
    (home / "prices.yml").write_text(OWN)
    (home / "events").mkdir()
    calls = [
        {
            "time": f"{first_day(10 - day)}T10:00:{n:02d}Z",
            "provider": "openai",
            "model": "gpt-5-mini",
            "feature": "support_chat",
            "task_id": f"t{day}-{n}",
            "input_tokens": 1_000_000,
            "output_tokens": 0,
        }
        for day in range(10)
        for n in range(10)
    ]
    (home / "events" / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))
    done = trendbreak("run", "--direct", cwd=home)
    assert done.returncode == 0, done.stderr + done.stdout
    return home


def test_the_price_of_a_day(folder: Path) -> None:
    shown = trendbreak("prices", "show", "openai/gpt-5-mini", "--as-of", "2026-01-01", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    row = next(line for line in shown.stdout.splitlines() if "openai, standard" in line)
    assert row.split()[-5:] == ["0.2", "0.02", "0.2", "1.6", "1.6"]
    assert "-20%, prices.yml from 2020-01-01" in shown.stdout


def test_without_a_configuration_it_is_the_list_price(tmp_path: Path) -> None:
    shown = trendbreak("prices", "show", "gpt-5-mini", "--as-of", "2026-01-01", cwd=tmp_path)
    row = next(line for line in shown.stdout.splitlines() if "openai, standard" in line)
    assert row.split()[-5:] == ["0.25", "0.025", "0.25", "2", "2"]


def test_an_unknown_price_is_refused_by_name(folder: Path) -> None:
    refused = trendbreak("prices", "show", "no-such-model", cwd=folder)
    assert refused.returncode == 2
    assert "the price of no-such-model" in refused.stderr
    assert "prices.yml" in refused.stderr


def test_a_period_at_other_prices(folder: Path) -> None:
    # Ten calls a day of a million tokens: $2 a day at $0.20; at $0.25 five days cost $12.50 instead of $10.
    (folder / "list.yml").write_text("version: 1\n")
    shown = trendbreak(
        "prices", "diff", "list.yml", "--since", str(first_day(8)), "--until", str(first_day(3)), cwd=folder
    )
    assert shown.returncode == 0, shown.stderr
    total = next(line for line in shown.stdout.splitlines() if "total" in line)
    assert total.split() == ["total", "10.00", "12.50", "+2.50"]


def test_a_period_without_calls_is_told(folder: Path) -> None:
    (folder / "list.yml").write_text("version: 1\n")
    for arguments in (
        ("--since", "2020-01-01", "--until", "2020-02-01"),
        ("--since", "2026-02-02", "--until", "2026-02-01"),
    ):
        refused = trendbreak("prices", "diff", "list.yml", *arguments, cwd=folder)
        assert refused.returncode == 2
        assert "error:" in refused.stderr


def test_check_reads_the_file(folder: Path) -> None:
    checked = trendbreak("check", cwd=folder)
    assert "prices" in checked.stdout
    assert "1 negotiated price" in checked.stdout


def test_a_bad_file_stops_the_run_with_its_line(folder: Path) -> None:
    (folder / "bad.yml").write_text("version: 1\nprices:\n  - {provider: openai, percent: 3}\n")
    refused = trendbreak("prices", "diff", "bad.yml", cwd=folder)
    assert refused.returncode == 2
    assert "bad.yml:3: prices[0].valid_from: this key is required" in refused.stderr
