"""What a daily run reads of its sources, and what it leaves alone."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Window
from connectors.errors import TransientError
from flows.run import open_run
from flows.settings import load_settings
from flows.steps.ingest import fetch_source, load_source
from tests.connectors.aws_data_exports.world import _Folder
from tests.connectors.billing_files import AwsExport, focus_row, parquet
from tests.flows.ingesting import Company
from tests.servers.json_api import RefusalError, Request, serve
from tests.servers.openai import Cost, OpenAIStub, Usage
from tests.servers.openrouter import Activity, OpenRouterStub
from tests.warehouse.bills import focus_row as focus_csv_row
from warehouse.errors import CurrencyError


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def month(period: str, cost: str) -> bytes:
    start = date.fromisoformat(f"{period}-01")
    row = focus_row(1, cost=cost)
    moved = {name: row[name].replace(year=start.year, month=start.month) for name in ("ChargePeriodStart",)}
    moved["ChargePeriodEnd"] = moved["ChargePeriodStart"] + timedelta(days=1)
    moved["BillingPeriodStart"] = moved["ChargePeriodStart"]
    moved["BillingPeriodEnd"] = moved["ChargePeriodStart"] + timedelta(days=28)
    return parquet([row | moved])


def export(company: Company) -> AwsExport:
    made = AwsExport(_Folder(company.root / "copy"))
    location = str(company.root / "copy/exports/focus")
    company.sources = [{"name": "aws", "type": "aws_data_exports", "location": location}]
    return made


def test_the_first_look_at_an_export_reads_every_period_however_old(company: Company) -> None:
    made = export(company)
    for period, cost in (("2023-11", "1"), ("2025-02", "2"), ("2026-01", "4")):
        made.deliver(period, {"f.parquet": month(period, cost)})
    run = company.run()
    assert not run.failures
    assert company.billed() == 7
    assert company.news(company.run(), "aws") == 0


def test_a_period_that_failed_at_first_is_read_when_it_is_mended(company: Company) -> None:
    made = export(company)
    made.deliver("2023-11", {"f.parquet": b"no parquet"})
    made.deliver("2026-01", {"f.parquet": month("2026-01", "4")})
    assert "f.parquet" in company.run().failures["aws"]
    assert company.billed() == 4
    made.deliver("2023-11", {"f.parquet": month("2023-11", "1")})
    assert not company.run().failures
    assert company.billed() == 5


def test_a_period_that_aws_delivers_anew_is_read_however_old_it_is(company: Company) -> None:
    """Refunds of last year are in the daily run, and restatements, without a backfill."""
    made = export(company)
    made.deliver("2023-11", {"f.parquet": month("2023-11", "1")}, execution="20231201T000000Z-a")
    made.deliver("2024-02", {"f.parquet": month("2024-02", "5")})
    made.deliver("2026-01", {"f.parquet": month("2026-01", "4")})
    company.run()
    made.deliver("2023-11", {"f.parquet": month("2023-11", "3")}, execution="20260119T000000Z-b")
    assert company.news(company.run(), "aws") == 1
    assert company.billed() == 12
    assert company.ask("SELECT charge_date, delta_effective_cost FROM ops.restatements") == [
        (date(2023, 11, 1), Decimal(2))
    ]
    assert company.news(company.run(), "aws") == 0
    # One that has handed over goes on to restate what it counts for, and nothing else.
    company.sources[0]["until"] = "2024-03-01"
    made.deliver("2024-02", {"f.parquet": month("2024-02", "6")})
    company.run()
    assert company.billed() == 9
    del company.sources[0]["until"]
    company.sources[0]["since"] = "2025-01-01"
    made.deliver("2023-11", {"f.parquet": month("2023-11", "9")})
    company.run()
    assert company.billed() == 4


def test_a_window_given_reaches_behind_the_due_days(company: Company) -> None:
    made = export(company)
    made.deliver("2023-11", {"f.parquet": month("2023-11", "1")})
    company.run()
    made.deliver("2023-11", {"f.parquet": month("2023-11", "3")})
    for path in (company.root / "copy").rglob("*.*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # a copy that was changed, and is as old as before
    assert company.news(company.run(), "aws") == 0
    settings = load_settings(company.config)
    with open_run(settings, as_of=company.now.date(), now=company.now) as run:
        [source] = run.sources
        load_source(run, source, fetch_source(run, source, Window(date(2023, 11, 1), date(2023, 11, 2))))
    assert company.billed() == 3


def test_what_may_be_restated_is_looked_at_however_short_the_first_run_reaches_back(company: Company) -> None:
    made = export(company)
    made.deliver("2025-12", {"f.parquet": month("2025-12", "1")})
    company.extra = {"backfill_days": 7}
    company.run()
    made.deliver("2025-12", {"f.parquet": month("2025-12", "3")})
    for path in (company.root / "copy").rglob("*.*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # no news by its age
    company.run()
    assert company.billed() == 3


@contextmanager
def openai(company: Company, **more: object) -> Iterator[OpenAIStub]:
    api = OpenAIStub(rng=random.Random(5), admin_key="demo-stub")
    api.projects = {"proj_a": "Support"}
    api.costs = [
        Cost(date(2026, 1, day), Decimal(day) / 7, "gpt-5-nano, input_tokens", project)
        for day in range(1, 20)
        for project in ("proj_a", "proj_b")
    ]
    with serve(api):
        options = {"admin_key": "demo-stub", "base_url": f"{api.url}/v1", "usage": ["completions"], **more}
        company.sources = [{"name": "openai", "type": "openai", **options}]
        yield api


def test_an_answer_that_says_the_same_in_other_bytes_is_no_news(company: Company) -> None:
    with openai(company) as api:
        first = company.run()
        assert company.news(first, "openai") > 0
        assert any("read from 2025-09-22 on" in note for note in first.notes)
        total = company.billed()
        company.run()
        api.projects |= {"proj_new": "Made today"}
        api.rng.seed(77)  # other page sizes, other order of fields
        again = company.run()
        assert company.news(again, "openai") == 0
        company.extra = {"backfill_days": 1}
        api.costs[-3] = replace(api.costs[-3], dollars=Decimal(9))  # of two days ago
        assert company.news(company.run(), "openai") == 1
        total = company.billed()
        assert not any("raise backfill_days" in note for note in again.notes)
        assert company.billed() == total
        api.costs.append(Cost(date(2026, 1, 19), Decimal(1), "web search", "proj_a"))
        changed = company.run()
        assert (company.news(changed, "openai"), company.billed()) == (1, total + 1)


def test_days_that_a_provider_keeps_no_more_are_asked_for_once(company: Company) -> None:
    """A source of which nothing older can be read is no source with a gap."""
    api = OpenRouterStub(management_key="demo-stub", oldest_day=date(2025, 12, 21), newest_day=date(2026, 1, 19))
    api.activity = [Activity(date(2026, 1, 19), Decimal("0.5"))]
    with serve(api):
        options = {"management_key": api.management_key, "base_url": f"{api.url}/api/v1"}
        company.sources = [{"name": "router", "type": "openrouter", **options}]
        first = company.run()
        assert any("router: read from 2025-12-21 on; the provider gives 30 days" in note for note in first.notes)
        api.requests.clear()
        company.run()
        asked = sorted(request.query["date"][0] for request in api.requests)
        assert asked == ["2026-01-17", "2026-01-18", "2026-01-19"]
        assert company.billed() == Decimal("0.5")


def test_what_came_before_a_limit_was_reached_is_loaded_and_not_asked_for_again(company: Company) -> None:
    with openai(company) as api:
        api.costs.append(Cost(date(2025, 11, 2), Decimal(5), "web search", "proj_a"))
        answer, limit = api.answer, "1764979200"  # 2025-12-06, when a window begins
        second, third = "1759622400", "1762300800"  # as two others do, which are fetched side by side
        third_is_told = threading.Event()

        def limited(request: Request) -> Any:
            start = request.query.get("start_time", [""])[0]
            if request.path.endswith("/costs") and start >= limit:
                raise RefusalError(429, {"error": {"message": "slow down"}}, (("Retry-After", "3600"),))
            if request.path.endswith("/costs") and start == second and "page" not in request.query:
                third_is_told.wait(0.5)
                time.sleep(0.1)
            if request.path.endswith("/usage/completions") and start == third:
                third_is_told.set()
            return answer(request)

        def asked() -> set[bool]:
            return {one.query["start_time"][0] >= limit for one in api.requests if one.path.endswith("/costs")}

        api.answer = limited  # type: ignore[method-assign]
        settings = load_settings(company.config)
        with open_run(settings, as_of=company.now.date(), now=company.now) as run:
            for expected in ({False, True}, {True}):
                api.requests.clear()
                with pytest.raises(TransientError, match="slow down"):
                    fetch_source(run, run.sources[0])
                assert asked() == expected
        third_is_told.clear()
        assert "slow down" in company.run().failures["openai"]
        assert company.billed() == 5
        began = [start for (start,) in company.ask("SELECT window_start FROM ops.deliveries ORDER BY load_number")]
        assert len(began) == 3
        assert began == sorted(began)  # and not in the order in which the answers came
        api.answer = answer  # type: ignore[method-assign]
        assert not company.run().failures
        assert company.billed() == sum(cost.dollars.quantize(Decimal("1E-12")) for cost in api.costs)


def test_windows_are_asked_for_side_by_side(company: Company) -> None:
    with openai(company, usage=[]) as api:
        answer, together = api.answer, threading.Barrier(2)

        def meet(request: Request) -> Any:
            is_window = request.path.endswith("/costs") and "page" not in request.query
            if is_window and len(api.requests) > 1 and not together.broken:
                with suppress(threading.BrokenBarrierError):  # the last window may find nobody
                    together.wait(1)
                    met.append(request)
            return answer(request)

        met: list[Request] = []
        api.answer = meet  # type: ignore[method-assign]
        assert not company.run().failures
        assert len(met) >= 2
        assert company.billed() == sum(cost.dollars.quantize(Decimal("1E-12")) for cost in api.costs)


def test_hours_of_usage_stand_for_the_estimated_lane(company: Company) -> None:
    with openai(company) as api:
        api.usage = [
            Usage(date(2026, 1, day), "gpt-5-nano-2025-08-07", "proj_a", "key_1", 1000, 400, 0, 77, 3, hour=hour)
            for day in (5, 18, 19, 20)
            for hour in (3, 8, 10)
        ]
        run = company.run(build=True)  # at 10:30 on the 20th: the hour of 10 is not over
        assert not run.failures
        hours = "SELECT usage_hour, model, sub_account_id, calls, input_tokens FROM core.usage_hourly ORDER BY 1"
        found = company.ask(hours)
        assert [(row[0].day, row[0].hour) for row in found] == [
            (18, 3), (18, 8), (18, 10), (19, 3), (19, 8), (19, 10), (20, 3), (20, 8)
        ]  # fmt: skip
        assert set(found[0][1:]) == {"gpt-5-nano", "proj_a", 3, 600}
        asked = len(api.requests)
        api.usage = [usage for usage in api.usage if usage.day.day != 19]
        company.now += timedelta(days=1)
        company.run(build=True)
        hourly = [request for request in api.requests[asked:] if request.query.get("bucket_width") == ["1h"]]
        assert {request.query["start_time"][0] for request in hourly} == {"1768780800"}  # 2026-01-19
        assert [row[0].day for row in company.ask(hours)] == [18, 18, 18, 20, 20, 20]


def test_hours_that_cannot_be_read_hold_up_no_bill(company: Company) -> None:
    with openai(company) as api:
        api.hours_denied = True
        run = company.run()
        assert not run.failures
        assert company.billed() > 0
        assert any("its hourly usage could not be read" in notice for notice in run.notices)


def test_a_refused_key_is_said_once_and_asked_once(company: Company) -> None:
    with openai(company) as api:
        api.admin_key = "another"
        run = company.run()
        assert run.failures["openai"].count("401") == 1
        assert len(api.requests) == 1


def euro_bill(company: Company) -> None:
    company.sources = [{"name": "drop", "type": "focus_files", "location": "./inbox"}]
    rows = [focus_csv_row(day, "10", BillingCurrency="EUR") for day in (1, 10)]
    company.drop("a.csv", [*rows, focus_csv_row(2, "5", BillingAccountId="other")])


def rate(since: str, usd: str) -> dict[str, str]:
    return {"currency": "EUR", "valid_from": since, "usd_per_unit": usd}


def test_changed_currency_rates_reach_what_is_loaded(company: Company) -> None:
    euro_bill(company)
    company.extra["currency_rates"] = [rate("2026-01-01", "1.10")]
    with_first = company.run(build=True)
    assert not with_first.failures
    dollars = "SELECT sum(billed_cost_usd), sum(list_cost_usd) FROM core.charges"
    assert company.ask(dollars) == [(27, 27)]
    company.extra["currency_rates"].append(rate("2026-01-10", "1.25"))
    changed = company.run(build=True)
    assert company.ask(dollars) == [(Decimal("28.5"), Decimal("28.5"))]
    assert company.ask("SELECT sum(effective_cost_usd) FROM core.allocations") == [(Decimal("28.5"),)]
    assert any("1 charges in EUR are 12.5 USD now, 11 before" in note for note in changed.notes)
    assert company.ask("SELECT count(*) FROM ops.restatements") == [(0,)]
    assert not any("currency_rates" in note for note in company.run(build=True).notes)


def test_a_rate_that_is_taken_away_stops_the_run(company: Company) -> None:
    euro_bill(company)
    company.extra["currency_rates"] = [rate("2026-01-01", "1.10")]
    company.run(build=True)
    company.extra["currency_rates"] = [rate("2026-01-05", "1.10")]
    with pytest.raises(CurrencyError, match=r"charges of 2026-01-01 are loaded in EUR.*currency_rates"):
        company.run(build=True)


def test_of_many_tags_the_listed_ones_are_kept_and_the_list_may_change(company: Company) -> None:
    company.sources = [{"name": "drop", "type": "focus_files", "location": "./inbox", "tag_keys": ["feature"]}]
    tags = [f'{{"feature": "chat", "team": "a", "pod": "pod-{number}"}}' for number in range(20)]
    company.drop("a.csv", [focus_csv_row(1, "1", Tags=text) for text in tags])
    company.run()
    kept = "SELECT tags, billed_cost FROM core.charges"
    assert company.ask(kept) == [('{"feature":"chat"}', 20)]
    assert company.news(company.run(), "drop") == 0
    company.sources[0]["tag_keys"] = ["feature", "team"]
    run = company.run()
    assert company.ask(kept) == [('{"feature":"chat","team":"a"}', 20)]
    assert company.ask("SELECT count(*) FROM ops.restatements") == [(0,)]
    assert company.news(run, "drop") == 1


def test_each_source_has_its_settled_watermark(company: Company) -> None:
    with openai(company):
        run = company.run(build=True)
        assert run.state.watermarks() == {"openai": "2026-01-18"}
