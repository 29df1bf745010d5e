"""A drop folder changes: files are corrected, renamed, overwritten, removed. Nothing counts twice or goes unsaid."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows.commands.standing import forget_source, rename_source
from flows.run import Run
from flows.settings import load_settings
from tests.flows.ingesting import Company
from tests.warehouse.bills import focus_row
from warehouse.errors import LoadError


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path, [{"name": "drop", "type": "focus_files", "location": "./inbox"}])


def bill(*costs: str, **values: Any) -> list[dict[str, Any]]:
    """One row a day."""
    return [focus_row(day, cost, **values) for day, cost in enumerate(costs, 1)]


def fine(run: Run) -> Run:
    assert not run.failures, run.failures
    return run


def said(texts: Sequence[str], *words: str) -> bool:
    return any(all(word in text for word in words) for text in texts)


def test_a_restated_bill_beside_the_old_one_is_refused_and_the_cure_works(company: Company) -> None:
    company.drop("january.csv", bill("1", "2", "3"))
    fine(company.run())
    company.drop("january-final.csv", bill("1", "2", "3.5"))
    refused = company.run().failures["drop"]
    assert "'january.csv'" in refused
    assert "'january-final.csv'" in refused
    assert "remove 'january.csv'" in refused
    assert company.billed() == 6
    (company.root / "inbox" / "january.csv").unlink()
    run = fine(company.run())
    assert company.billed() == Decimal("6.5")
    assert said(run.notes, "january-final.csv takes the place of january.csv")
    assert company.ask("SELECT charge_date, delta_effective_cost FROM ops.restatements") == [
        (company.now.date().replace(day=3), Decimal("0.5"))
    ]
    assert company.news(fine(company.run()), "drop") == 0


@pytest.mark.parametrize(
    "changes",
    [{"Tags": '{"team": "b"}'}, {"ChargeDescription": "said in other words"}, {"SubAccountName": "renamed"}],
)
def test_a_restated_bill_is_known_by_its_rows_also_with_other_texts(company: Company, changes: dict[str, str]) -> None:
    company.drop("a.csv", bill("1", "2", "3", Tags='{"team": "a"}', ChargeDescription="x"))
    company.drop("b.csv", [row | changes for row in bill("1.1", "2.2", "3.3", Tags='{"team": "a"}')])
    assert "'a.csv'" in company.run().failures["drop"]
    assert company.billed() == 6


def test_parts_that_only_their_amounts_tell_apart_load_side_by_side(company: Company) -> None:
    rows = [focus_row(day, str(cost)) for day in range(1, 6) for cost in range(1, 41)]
    company.drop("part-1.csv", rows[0::3])
    company.drop("part-2.csv", [*rows[1::3], *rows[2::3]])
    fine(company.run())
    assert company.billed() == sum(range(1, 41)) * 5


def test_a_file_that_is_gone_counts_on_is_told_and_can_be_forgotten(company: Company) -> None:
    company.drop("a.csv", bill("1", "2"))
    company.drop("b.csv", bill("4", BillingAccountId="other"))
    fine(company.run())
    (company.root / "inbox" / "b.csv").unlink()
    run = fine(company.run())
    assert company.billed() == 7
    assert said(run.notices, "b.csv is gone", "4 USD", "`trendbreak forget drop b.csv`")
    with pytest.raises(LoadError, match=r"'a\.csv', 'b\.csv'"):
        forget_source(load_settings(company.config), "drop", "c.csv", quiet())
    forget_source(load_settings(company.config), "drop", "b.csv", quiet())
    assert company.billed() == 3
    assert company.ask("SELECT old_effective_cost, new_effective_cost FROM ops.restatements") == [(4, 0)]
    assert not said(fine(company.run(build=True)).notices, "b.csv")


def quiet() -> Any:
    from rich.console import Console

    return Console(quiet=True)


def test_a_renamed_file_is_the_same_file(company: Company) -> None:
    path = company.drop("a.csv", bill("1", "2"))
    fine(company.run())
    path.rename(path.with_name("b.csv"))
    run = fine(company.run())
    assert (company.billed(), said(run.notices, "a.csv")) == (3, False)
    assert company.ask("SELECT scope FROM ops.deliveries WHERE is_current") == [("b.csv",)]
    assert company.ask("SELECT count(*) FROM ops.restatements") == [(0,)]
    assert company.news(fine(company.run()), "drop") == 0


def test_a_file_overwritten_with_a_copy_of_another_says_no_longer_what_it_said(company: Company) -> None:
    a = company.drop("a.csv", bill("1", "2"))
    b = company.drop("b.csv", bill("4", BillingAccountId="other"))
    fine(company.run())
    shutil.copyfile(a, b)
    run = fine(company.run())
    assert company.billed() == 3
    assert said(run.notes, "b.csv is now a copy of a.csv", "4 USD")
    again = fine(company.run(build=True))
    assert (company.billed(), said(again.notes, "copy")) == (3, False)


def test_daily_files_whose_older_ones_are_moved_away_keep_their_charges(company: Company) -> None:
    company.drop("day-1.csv", [focus_row(1, "1")])
    fine(company.run())
    (company.root / "inbox" / "day-1.csv").unlink()
    company.drop("day-2.csv", [focus_row(2, "2")])
    run = fine(company.run())
    assert company.billed() == 3
    assert said(run.notices, "day-1.csv is gone")


def console_file(company: Company, name: str, days: dict[int, str]) -> Path:
    path = company.root / "console" / name
    path.parent.mkdir(exist_ok=True)
    lines = ["usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,cost_type\n"]
    lines += [
        f"2026-01-{day:02d},claude-sonnet-4-5,Default,key,message,≤ 200k,input_no_cache,{cost},token\n"
        for day, cost in days.items()
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_console_exports_without_an_organization(company: Company) -> None:
    company.sources = [{"name": "console", "type": "provider_csv", "location": "./console"}]
    console_file(company, "claude_2026_01.csv", {1: "1", 2: "2", 3: "3"})
    fine(company.run())
    # Another source of the same issuer, and nobody says whose account it is.
    company.sources.append({"name": "again", "type": "provider_csv", "location": "./again"})
    shutil.copytree(company.root / "console", company.root / "again")
    refused = company.run().failures["again"]
    assert "'console'" in refused
    assert "`organization`" in refused
    assert company.billed() == 6


def test_a_newer_console_export_that_is_removed_leaves_the_older_ones_days(company: Company) -> None:
    company.sources = [{"name": "console", "type": "provider_csv", "location": "./console"}]
    console_file(company, "claude_2026_01_a.csv", {1: "1", 2: "2", 3: "3"})
    newer = console_file(company, "claude_2026_01_b.csv", {1: "1", 2: "2", 3: "3.5", 4: "4"})
    fine(company.run())
    assert company.billed() == Decimal("10.5")
    newer.unlink()
    run = fine(company.run())
    assert company.billed() == 6
    assert said(run.notes, "claude_2026_01_a.csv takes the place of claude_2026_01_b.csv")


def test_a_source_renamed_in_the_settings(company: Company) -> None:
    company.drop("a.csv", bill("1", "2"))
    fine(company.run())
    company.sources[0]["name"] = "bills"
    run = company.run()
    assert "`trendbreak rename drop bills`" in run.failures["bills"]
    assert said(run.notices, "no longer names", "`trendbreak forget drop`")
    settings = load_settings(company.config)
    rename_source(settings, "drop", "bills", quiet())
    again = fine(company.run(build=True))
    assert (company.news(again, "bills"), said(again.notices, "no longer names")) == (0, False)
    assert company.ask("SELECT source_name, sum(billed_cost) FROM core.charges GROUP BY ALL") == [("bills", 3)]
    with company.warehouse():
        from warehouse.landing import Landing

        landing = Landing(company.root / "data" / "landing")
        assert {landed.path.parts[-3] for landed in landing.deliveries()} == {"bills"}
    company.drop("a.csv", bill("1", "2.5"))
    assert company.news(fine(company.run()), "bills") == 1
    assert company.billed() == Decimal("3.5")


def test_a_source_that_is_gone_from_the_settings_can_be_forgotten(company: Company) -> None:
    company.drop("a.csv", bill("1", "2"))
    fine(company.run())
    company.sources = [{"name": "bills", "type": "focus_files", "location": "./inbox"}]
    forget_source(load_settings(company.config), "drop", None, quiet())
    run = fine(company.run(build=True))
    assert (company.billed(), said(run.notices, "no longer names")) == (3, False)
    assert company.ask("SELECT DISTINCT source_name FROM core.charges") == [("bills",)]
