"""Drivers and labels: members against themselves, causes by what is paid for the same work."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.explain import choose_label, compare_days, rank_drivers
from alerts.model import FeaturePanel, Label, MemberSeries
from tests.alerts.breaks.worlds import START, draw_cost, make_panel

Floats = NDArray[np.float64]
DAYS, ONSET = 100, 94
AFTER = np.arange(DAYS) >= ONSET


def member(dimension: str, name: str, cost: Floats) -> MemberSeries:
    return MemberSeries("chat", dimension, name, cost)


class TestCompareDays:
    def test_weekdays_are_compared_with_themselves(self) -> None:
        weekend = np.arange(DAYS) % 7 >= 5
        cost = np.where(weekend, 10.0, 100.0)
        change = compare_days(cost, onset=96, last=97)  # Saturday and Sunday
        assert (change.before, change.after, change.log_ratio) == (10.0, 10.0, 0.0)

    def test_an_unknown_day_counts_on_neither_side(self) -> None:
        series = np.where(np.arange(DAYS) % 7 >= 5, 10.0, 100.0)
        series[97] = np.nan
        change = compare_days(series, onset=95, last=97)
        assert (change.before, change.after) == (55.0, 55.0)

    def test_nothing_before(self) -> None:
        assert np.isnan(compare_days(np.ones(5), onset=0, last=4).before)

    def test_nothing_known(self) -> None:
        change = compare_days(np.full(DAYS, np.nan), onset=90, last=95)
        assert np.isnan(change.after)
        assert np.isnan(change.log_ratio)


class TestDrivers:
    def test_ranked_by_excess_and_new_ones_marked(self) -> None:
        steady = draw_cost(DAYS, level=1000.0, noise=0.01)
        risen = np.where(AFTER, 180.0, 60.0)
        new = np.where(AFTER, 200.0, 0.0)
        members = [member("model", "steady", steady), member("model", "risen", risen), member("model", "new", new)]
        drivers = rank_drivers(members, start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=320.0)
        assert [driver.member for driver in drivers] == ["new", "risen"]
        assert [driver.is_new for driver in drivers] == [True, False]
        assert [driver.excess_usd_per_day for driver in drivers] == [Decimal("200.00"), Decimal("120.00")]
        assert drivers[0].first_seen == START + timedelta(days=ONSET)
        assert drivers[1].first_seen == START

    def test_what_is_all_of_the_feature_before_and_after_tells_nothing(self) -> None:
        rise = np.where(AFTER, 300.0, 100.0)
        alone = [member(dimension, "the one", rise) for dimension in ("provider", "sub_account_id", "service_name")]
        drivers = rank_drivers(alone, start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=200.0)
        assert [driver.dimension for driver in drivers] == ["service_name"]
        other = [member("model", "small", np.full(DAYS, 50.0)), member("model", "large", rise - 50.0)]
        drivers = rank_drivers([*alone, *other], start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=200.0)
        assert [(driver.dimension, driver.member) for driver in drivers] == [("model", "large")]

    def test_machines_that_come_and_go_are_counted_not_named(self) -> None:
        days = np.arange(DAYS)
        # Every day its own machines: two before the onset, five since; each costs 55 dollars.
        machines = []
        for day in days:
            for n in range(5 if day >= ONSET else 2):
                machines.append(member("resource_id", f"i-{day}-{n}", np.where(days == day, 55.0, 0.0)))
        drivers = rank_drivers(machines, start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=165.0)
        [crowd] = drivers
        assert crowd.members == 5 * (DAYS - ONSET)
        assert crowd.replaced > 0
        assert crowd.is_new
        assert abs(float(crowd.excess_usd_per_day) - 165.0) < 15

    def test_of_equal_ones_the_most_specific_is_kept(self) -> None:
        rise = np.where(AFTER, 300.0, 100.0)
        dimensions = ["provider", "service_name", "model", "api_key_id", "region_id", "sub_account_id", "token_type"]
        members = [member(dimension, f"the {dimension}", rise) for dimension in dimensions]
        members += [member(dimension, f"another {dimension}", np.full(DAYS, 50.0)) for dimension in dimensions]
        drivers = rank_drivers(members, start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=200.0)
        assert len(drivers) == 6
        assert drivers[0].dimension == "api_key_id"
        assert "provider" not in {driver.dimension for driver in drivers}

    def test_falls_name_what_fell(self) -> None:
        members = [
            member("model", "gone", np.where(AFTER, 0.0, 90.0)),
            member("model", "grown", np.where(AFTER, 120.0, 100.0)),
        ]
        (driver,) = rank_drivers(members, start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=-70.0)
        assert (driver.member, driver.excess_usd_per_day) == ("gone", Decimal("-90.00"))

    @pytest.mark.parametrize("excess", [0.0, 100.0])
    def test_nothing_to_name(self, excess: float) -> None:
        flat = [member("model", "flat", np.full(DAYS, 50.0))]
        assert rank_drivers(flat, start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=excess) == ()
        assert rank_drivers([], start=START, onset=ONSET, last=DAYS - 1, excess_usd_per_day=excess) == ()


class TestLabels:
    """One feature of 1,000 tasks and 2,000 calls a day at $400; `factor` is what the story does to each."""

    @staticmethod
    def label(
        members: list[MemberSeries] | None = None,
        *,
        has_telemetry: bool = True,
        weekday_only: bool = False,
        **factor: float,
    ) -> Label:
        shape = np.where(np.arange(DAYS) % 7 >= 5, 0.3, 1.0) if weekday_only else np.ones(DAYS)

        def series(name: str, usual: float) -> dict[str, Floats]:
            return {"chat": usual * shape * np.where(AFTER, factor.get(name, 1.0), 1.0)}

        telemetry = {
            "tasks": series("tasks", 1000),
            "calls": series("calls", 2000),
            "retries": series("retries", 40),
            "failed_calls": series("failed_calls", 20),
            "successful_tasks": series("good", 900),
        }
        panel: FeaturePanel = make_panel(series("cost", 400), **(telemetry if has_telemetry else {}))
        return choose_label(panel, 0, members or [], onset=ONSET, last=DAYS - 1)

    def test_growth(self) -> None:
        assert self.label(cost=1.6, tasks=1.6, calls=1.6, good=1.6, retries=1.6, failed_calls=1.6) == "growth"

    def test_efficiency_retries(self) -> None:
        assert self.label(cost=2.0, calls=2.0, retries=25.0) == "efficiency"

    def test_efficiency_more_calls_a_task(self) -> None:
        assert self.label(cost=1.7, calls=1.7) == "efficiency"

    def test_efficiency_fewer_successes(self) -> None:
        assert self.label(good=0.6) == "efficiency"

    def test_efficiency_longer_prompts(self) -> None:
        parts = [
            member("token_type", "input", np.where(AFTER, 250.0, 100.0)),
            member("token_type", "output", np.full(DAYS, 300.0)),
        ]
        assert self.label(parts, cost=1.375) == "efficiency"

    def test_mix(self) -> None:
        parts = [
            member("model", "small", np.where(AFTER, 50.0, 300.0)),
            member("model", "large", np.where(AFTER, 550.0, 100.0)),
        ]
        assert self.label(parts, cost=1.5) == "mix"

    def test_price(self) -> None:
        parts = [
            member("token_type", name, np.where(AFTER, 1.4, 1.0) * usd) for name, usd in (("in", 100), ("out", 300))
        ]
        assert self.label(parts, cost=1.4) == "price"

    def test_idle(self) -> None:
        machines = [member("gpu_type", "A10G", np.where(AFTER, 800.0, 400.0))]
        assert self.label(machines, cost=2.0) == "idle"

    def test_retries_on_own_machines_are_not_idle(self) -> None:
        machines = [member("gpu_type", "A10G", np.where(AFTER, 800.0, 400.0))]
        assert self.label(machines, cost=2.0, calls=2.0, retries=25.0) == "efficiency"

    def test_idle_without_telemetry_needs_quiet_days(self) -> None:
        cost = np.where(np.arange(DAYS) % 7 >= 5, 100.0, 400.0)
        cost[96:98] = 400.0
        machines = [member("sku_meter", "BoxUsage:g6e.12xlarge", cost)]
        panel = make_panel({"chat": cost})
        assert choose_label(panel, 0, machines, onset=96, last=97) == "idle"
        assert self.label(machines, has_telemetry=False, cost=2.0) == "unknown"

    def test_training_is_no_idle_machine(self) -> None:
        tuned = np.where(AFTER, 800.0, 400.0)
        machines = [member("gpu_type", "A10G", tuned)]
        work = {"chat": np.full(DAYS, 1000.0)}
        panel = make_panel({"chat": tuned}, serving_cost_usd={"chat": np.full(DAYS, 400.0)}, tasks=work, calls=work)
        assert choose_label(panel, 0, machines, onset=ONSET, last=DAYS - 1) == "unknown"

    def test_unknown(self) -> None:
        assert self.label(has_telemetry=False, cost=2.0) == "unknown"
