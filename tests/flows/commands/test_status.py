"""`trendbreak status` says what is late, how the last runs went, and what nobody owns; cron reads its exit code."""

import io
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from flows.commands.status import show_status
from flows.run import open_run
from flows.settings import Settings, load_settings
from flows.steps.direct import run_direct
from flows.summary import summarise
from tests.flows.small_bill import first_day, write_small_home

DAYS = 20
NEWEST = first_day(DAYS) + timedelta(days=DAYS - 1)


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def run_once(config: Path, day: date) -> Settings:
    settings = load_settings(config)
    with open_run(settings, as_of=day, now=noon(day)) as run:
        run_direct(run)
        summarise(run)
    return settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    config = write_small_home(tmp_path_factory.mktemp("status"), days=DAYS)
    return run_once(config, NEWEST + timedelta(days=1))


def status(settings: Settings, today: date) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=200, record=True)
    return show_status(settings, console, now=noon(today)), console.export_text()


def test_a_bill_that_is_in_is_fresh(home: Settings) -> None:
    ok, text = status(home, NEWEST + timedelta(days=1))
    assert ok, text
    assert "fresh" in text
    assert "late" not in text
    assert f"run {NEWEST + timedelta(days=1)} 12:00 UTC: completed" in text
    for words in ("features  ", "of what is spent on AI", "no feature yet", "not AI", "unclassified"):
        assert words in text


def test_a_bill_that_settles_late_has_its_days(home: Settings) -> None:
    # focus_files settles a day after two more; one day over that is not worth an alarm.
    assert status(home, NEWEST + timedelta(days=4))[0]


def test_an_old_drop_is_late_by_days_though_no_run_has_seen_it(home: Settings) -> None:
    ok, text = status(home, NEWEST + timedelta(days=33))
    assert not ok
    assert "drop: 30 days late; its newest day is" in text
    assert "last fetched 32 days ago" in text
    assert "fresh" not in text


def test_a_source_that_never_came_and_a_run_that_failed_are_told(tmp_path: Path) -> None:
    config = write_small_home(tmp_path, days=DAYS)
    config.write_text(
        config.read_text().replace(
            "features: features.yml",
            "  - {name: aws, type: aws_data_exports, location: ./nowhere}\nfeatures: features.yml",
        )
    )
    settings = run_once(config, NEWEST + timedelta(days=1))
    ok, text = status(settings, NEWEST + timedelta(days=1))
    assert not ok
    assert "aws: nothing loaded yet" in text
    assert ": failed, " in text
    assert "; failed: aws" in text
