"""`trendbreak check` calls a bill fine only where a run would load it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.commands import check
from flows.settings import load_settings
from tests.flows.ingesting import Company
from tests.flows.small_bill import write_small_home
from tests.warehouse.bills import focus_row

GERMAN = {"BilledCost": "Abgerechnete Kosten", "EffectiveCost": "Effektive Kosten", "BillingCurrency": "Währung"}


def results(company: Company) -> dict[str, tuple[bool, str, str]]:
    company.sources = [{"name": "drop", "type": "focus_files", "location": "./inbox"}]
    return {
        result.name: (result.ok, result.detail, result.cure)
        for subject, result in check.check_all(company.config, load_settings(company.config))
        if subject == "drop"
    }


def test_the_newest_files_are_opened_and_what_a_run_refuses_is_refused(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.drop("old.csv", [focus_row(1, "no money, and not among the newest three")])
    company.drop("bad.csv", [focus_row(1, "1"), focus_row(2, "1.5.2")])
    company.drop("german.csv", [{GERMAN.get(name, name): cell for name, cell in focus_row().items()}])
    company.drop("good.csv", [focus_row(3, "7.25"), focus_row(4, "1")])
    found = results(company)
    assert "old.csv" not in found
    ok, detail, _ = found["good.csv"]
    assert ok
    assert detail.startswith("2 rows can be loaded")
    ok, detail, cure = found["german.csv"]
    assert not ok
    assert "German" in detail + cure
    ok, detail, _ = found["bad.csv"]
    assert not ok
    assert "row 2" in detail
    assert "BilledCost" in detail


def test_a_large_file_is_left_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "TRIED_BYTES", 100)
    company = Company(tmp_path)
    company.drop("large.csv", [focus_row(1, "no money")])
    ok, detail, _ = results(company)["large.csv"]
    assert ok
    assert "not opened" in detail
    assert not (tmp_path / "data" / "landing").exists()


def test_planned_events_are_checked_as_a_run_reads_them(tmp_path: Path) -> None:
    config = write_small_home(tmp_path)
    config.write_text(config.read_text() + "\nevents: events.yml\n")

    def told() -> tuple[bool, str]:
        found = dict(check.check_all(config, load_settings(config)))["events"]
        return found.ok, found.detail

    assert told() == (False, f"{tmp_path}/events.yml: no such file — create it, or take `events` out of trendbreak.yml")
    (tmp_path / "events.yml").write_text("version: 1\nevents: []\n")
    assert told() == (True, "0 planned events")
    (tmp_path / "features.yml").unlink()  # which is told once
    assert told() == (False, "cannot be said: which features they may name is not known")
