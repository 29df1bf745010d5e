"""The estimated lane: rises of hours, found within hours, with few false ones; what the bill says has the last word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.breaks import find_breaks
from alerts.conditions import Condition, ConditionKind, decide_conditions
from alerts.expectations import DetectionSettings, ExpectedChange
from alerts.hourly import choose_hourly_breaks, confirm_estimates, confirm_from_bill, find_hourly_breaks
from alerts.incidents import decide, record_click
from alerts.model import Break, Incident
from alerts.routing import Routing
from tests.alerts.breaks.worlds import START, draw_cost, make_panel

Floats = NDArray[np.float64]
SETTINGS = DetectionSettings()
MIDNIGHT = datetime(2026, 6, 18, tzinfo=UTC)  # a Thursday
NOW = datetime(2026, 6, 18, 15, tzinfo=UTC)


def draw_hours(*, end: datetime, usd_per_day: float = 400.0, noise: float = 0.2, seed: int = 1) -> Floats:
    """13 whole days and today so far: office hours, quiet nights and weekends."""
    rng = np.random.default_rng([seed, 5])
    hours = 13 * 24 + (end - end.replace(hour=0)).seconds // 3600
    moments = [end - timedelta(hours=hours - k) for k in range(hours)]
    shape = np.array([(2.0 if 8 <= m.hour < 19 else 0.35) * (0.4 if m.weekday() >= 5 else 1.0) for m in moments])
    day = np.repeat(np.exp(rng.normal(0, 0.08, hours // 24 + 1)), 24)[:hours]
    return usd_per_day / 26.5 * shape * day * np.exp(rng.normal(0, noise, hours))


def find(hours: Floats, *, end: datetime = NOW, settings: DetectionSettings = SETTINGS) -> list[Break]:
    return find_hourly_breaks(["chat"], hours[None, :], end=end, settings=settings)


def test_a_runaway_job_is_found_within_hours() -> None:
    hours = draw_hours(end=NOW)
    hours[-3:] *= 4
    (found,) = find(hours)
    assert (found.node, found.direction, found.basis, found.onset) == ("chat", "up", "estimated", NOW.date())
    assert found.is_active
    assert float(found.excess_usd_total) == pytest.approx(3 * 90, rel=0.4)
    assert found.expected_usd_per_day == pytest.approx(Decimal(400), rel=Decimal("0.3"))
    assert found.chart is not None
    assert len(found.chart.actual) == 14


def test_in_the_night_a_small_feature_is_found_when_it_has_cost_a_days_gate() -> None:
    end = MIDNIGHT + timedelta(hours=4)
    hours = draw_hours(end=end, usd_per_day=60.0)
    hours[-3:] += 4.0
    assert find(hours, end=end) == []  # 12 dollars
    hours[-3:] += 5.0
    assert len(find(hours, end=end)) == 1


def test_what_is_usual_is_no_rise() -> None:
    hours = draw_hours(end=NOW)
    hours[-3:] *= 1.3
    assert find(hours) == []
    daily_batch = draw_hours(end=NOW)
    daily_batch[NOW.hour - 2 :: 24] += 300  # at this time every day
    assert find(daily_batch) == []
    assert find(draw_hours(end=NOW)[-6 * 24 :] * np.r_[np.ones(6 * 24 - 3), np.full(3, 9.0)]) == []  # six days old


def test_what_is_announced_is_not_told() -> None:
    hours = draw_hours(end=NOW)
    hours[-3:] *= 4
    day = NOW.date()
    announced = {"chat": [ExpectedChange(day, day + timedelta(days=1), 2.0)]}
    assert find(hours, settings=replace(SETTINGS, expected_changes=announced)) == []


def test_false_alerts_are_rare() -> None:
    """60 features, a look every hour of a day: the whole team's budget is two a month."""
    told = set()
    for hour in range(1, 25, 2):
        end = MIDNIGHT + timedelta(hours=hour)
        for seed in range(60):
            whole = draw_hours(end=MIDNIGHT + timedelta(hours=23), noise=0.35, seed=seed)
            hours = whole[: 13 * 24 + hour]
            told.update((found.node, seed) for found in find(hours, end=end))
    assert len(told) <= 1


@pytest.mark.parametrize("kind", ["budget", "coverage", "freshness"])
def test_an_incident_of_a_condition_does_not_silence_its_feature(kind: ConditionKind) -> None:
    condition = Condition(kind, "chat", NOW.date(), 1, "medium", "title", "summary", episode=2026 * 12 + 6)
    routing = Routing("#ai")
    (told,) = decide_conditions([condition], [], judged={kind}, now=NOW, as_of=NOW.date(), routing=routing)
    assert (told.kind, told.incident.node) == ("open", "chat")
    hours = draw_hours(end=NOW)
    hours[-3:] *= 4
    found = find(hours)
    assert len(found) == 1
    assert choose_hourly_breaks(found, [told.incident], as_of=NOW.date()) == found


class TestTheBill:
    @pytest.fixture
    @staticmethod
    def opened() -> Incident:
        hours = draw_hours(end=NOW)
        hours[-3:] *= 4
        (found,) = find(hours)
        (action,) = decide([found], [], now=NOW, as_of=NOW.date(), routing=Routing("#ai"))
        assert (action.kind, action.incident.status) == ("open", "open")
        return action.incident

    @staticmethod
    def judge(opened: Incident, *, bill_factor: float, through: date) -> tuple[str, str, str]:
        days = (through - START).days + 1
        cost = draw_cost(days, level=400.0, weekend=1.0)
        place = (opened.onset - START).days
        if place < days:
            cost[place] = bill_factor * 400.0 * np.exp(0.001 * place)
        confirmed = confirm_from_bill(opened, make_panel({"chat": cost}), through=through, found=[])
        actions = decide(
            [confirmed] if confirmed else [],
            [opened],
            now=NOW + timedelta(days=3),
            as_of=through + timedelta(days=3),
            routing=Routing("#ai"),
            data_through=through,
        )
        if not actions:
            return "", "", ""
        return actions[0].kind, actions[0].incident.status, actions[0].reason

    def test_before_it_comes_nothing_is_said(self, opened: Incident) -> None:
        assert self.judge(opened, bill_factor=1.0, through=opened.onset - timedelta(days=1)) == ("", "", "")

    def test_it_confirms_what_was_over_within_the_day(self, opened: Incident) -> None:
        kind, status, reason = self.judge(opened, bill_factor=1.6, through=opened.onset)
        assert (kind, status) == ("update", "open")
        assert "the bill confirms it" in reason
        kind, status, _ = self.judge(opened, bill_factor=1.6, through=opened.onset + timedelta(days=2))
        assert (kind, status) == ("resolve", "resolved")

    def test_it_withdraws_what_it_does_not_show(self, opened: Incident) -> None:
        kind, status, reason = self.judge(opened, bill_factor=1.05, through=opened.onset)
        assert (kind, status) == ("withdraw", "withdrawn")
        assert "shows no such excess" in reason

    @staticmethod
    def follow(incident: Incident, *, days: int, noise: float, extra_usd: float) -> list[tuple[str, Incident, str]]:
        """What the daily run says of it on each day, from the first whose bill is there; detector and ledger real."""
        history = (incident.onset - START).days
        cost = draw_cost(history + days, level=400.0, noise=noise, weekend=1.0)
        cost[history] = cost[history - 28 : history : 7].mean() + extra_usd
        said = []
        for through in (incident.onset + timedelta(days=n) for n in range(days)):
            panel = make_panel({"chat": cost[: (through - START).days + 1]})
            own = find_breaks(panel, [], SETTINGS)
            bill = {"chat": through}
            for again in (False, True):
                actions = decide(
                    own + confirm_estimates([incident], panel, through=bill, found=own),
                    [incident],
                    now=NOW + timedelta(days=(through - incident.onset).days + 1),
                    as_of=through + timedelta(days=1),
                    routing=Routing("#ai"),
                    data_through=through,
                )
                assert not again or {action.kind for action in actions} <= {"skip"}
                said += [(a.kind, a.incident, a.reason) for a in actions if a.kind != "skip"]
                incident = actions[0].incident if actions else incident
        return said

    @pytest.mark.parametrize(("noise", "extra_usd"), [(0.15, 180.0), (0.03, 400.0)])
    def test_what_it_confirmed_stays_confirmed(self, opened: Incident, noise: float, extra_usd: float) -> None:
        """A noisy series has no break of its own: no reason to withdraw what the bill shows."""
        said = self.follow(opened, days=10, noise=noise, extra_usd=extra_usd)
        assert [kind for kind, _, _ in said] == ["update", "resolve"]
        assert "the bill confirms it" in said[0][2]
        assert said[-1][1].status == "resolved"

    def test_what_it_confirmed_is_withdrawn_once_it_is_restated(self, opened: Incident) -> None:
        ((_, confirmed, _),) = self.follow(opened, days=1, noise=0.15, extra_usd=180.0)
        ((kind, incident, _),) = self.follow(confirmed, days=2, noise=0.15, extra_usd=0.0)
        assert (kind, incident.status) == ("withdraw", "withdrawn")

    @pytest.mark.parametrize(("days", "kinds"), [(2, []), (10, ["resolve"])])
    def test_a_snooze_outlasts_its_confirmation(self, opened: Incident, days: int, kinds: list[str]) -> None:
        until = opened.onset + timedelta(days=4)
        snoozed = record_click(opened, "snooze", who="maya", now=NOW, snoozed_until=until)
        said = self.follow(snoozed, days=days, noise=0.15, extra_usd=180.0)
        assert [kind for kind, _, _ in said] == kinds

    def test_a_snooze_that_ends_says_what_the_bill_confirms(self, opened: Incident) -> None:
        snoozed = record_click(opened, "snooze", who="maya", now=NOW, snoozed_until=opened.onset)
        ((kind, incident, reason),) = self.follow(snoozed, days=1, noise=0.15, extra_usd=180.0)
        assert (kind, incident.status) == ("update", "open")
        assert "the bill confirms it" in reason

    def test_an_own_break_of_the_detector_speaks_for_an_estimate(self, opened: Incident) -> None:
        history = (opened.onset - START).days
        cost = draw_cost(history + 1, level=400.0, noise=0.03, weekend=1.0)
        cost[history] += 400.0
        panel, bill = make_panel({"chat": cost}), {"chat": opened.onset}
        own = find_breaks(panel, [], SETTINGS)
        assert [found.node for found in own] == ["chat"]
        assert confirm_estimates([opened], panel, through=bill, found=own) == []
        (billed,) = confirm_estimates([opened], panel, through=bill, found=[])
        assert (billed.basis, billed.onset, billed.excess_usd_total > 300) == ("reported", opened.onset, True)

    def test_afterwards_the_lane_leaves_the_feature_to_it_for_a_week(self, opened: Incident) -> None:
        hours = draw_hours(end=NOW)
        hours[-3:] *= 4
        found = find(hours)
        withdrawn = replace(opened, status="withdrawn")
        assert choose_hourly_breaks(found, [withdrawn], as_of=NOW.date()) == []
        assert choose_hourly_breaks(found, [opened], as_of=NOW.date()) == found
        assert choose_hourly_breaks(found, [withdrawn], as_of=NOW.date() + timedelta(days=9)) == found
