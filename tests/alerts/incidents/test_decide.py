"""The state machine of incidents, each edge of it, and what must hold whatever the detector says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.incidents import (
    IncidentPolicy,
    break_from_json,
    break_to_json,
    find_limit_factors,
    incident_from_row,
    incident_to_row,
    make_incident_id,
    record_click,
)
from alerts.message import make_key, render, render_card
from alerts.model import Action, Break, Driver, Incident
from tests.alerts.stories import (
    AS_OF,
    CONTEXT,
    NEWEST,
    NOW,
    ONSET,
    Ledger,
    drop,
    last,
    make_break,
    new_key,
    unit_cost,
    weekend,
)


def kinds(actions: list[Action]) -> list[str]:
    return [action.kind for action in actions]


def opened(found: Break | None = None) -> tuple[Ledger, Incident]:
    ledger = Ledger()
    [action] = ledger.run([found or make_break()])
    return ledger, action.incident


def test_a_break_opens_one_incident_where_its_feature_wants_it() -> None:
    _, incident = opened()
    assert incident.id == make_incident_id("support_chat", "up", 1)
    assert (incident.channel, incident.owner) == ("#support-ai", "U012AB3CD")
    assert (incident.status, incident.severity) == ("open", "high")
    assert (incident.opened_at, incident.onset, incident.last_day) == (NOW, ONSET, NEWEST)


def test_a_feature_without_a_channel_goes_to_the_default() -> None:
    _, incident = opened(new_key())
    assert (incident.channel, incident.owner) == ("#ai-costs", "")


def test_the_same_breaks_again_give_nothing_new() -> None:
    ledger = Ledger()
    breaks = [make_break(), weekend(), new_key(), unit_cost(), drop()]
    first = ledger.run(breaks)
    assert kinds(first) == ["open"] * 5
    before = json.dumps(ledger.rows, default=str)
    second = ledger.run(breaks)
    assert kinds(second) == ["skip"] * 5
    assert all(action.reason for action in second)
    assert json.dumps(ledger.rows, default=str) == before


def test_actions_come_gravest_first_and_skips_last() -> None:
    ledger, _ = opened()
    actions = ledger.run([make_break(), drop(), weekend()])
    assert [(a.kind, a.incident.node) for a in actions] == [
        ("open", "training_cluster"),
        ("open", "support_chat"),
        ("skip", "support_chat"),
    ]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"excess_usd_per_day": Decimal("500.00")}, "skip"),  # + 21%
        ({"excess_usd_per_day": Decimal("520.00")}, "update"),  # + 26%
        ({"excess_usd_per_day": Decimal("210.00")}, "skip"),  # - 49%
        ({"excess_usd_per_day": Decimal("200.00")}, "update"),  # - 51%
        ({"excess_usd_total": Decimal("4999.99")}, "skip"),
        ({"excess_usd_total": Decimal("5000.00")}, "escalate"),
        ({"label": "growth"}, "update"),
        ({"kind": "zero_success"}, "update"),
        ({"kind": "unit_cost"}, "skip"),
        ({"score": 9.0, "actual_usd_per_day": Decimal("790.00")}, "skip"),
    ],
)
def test_only_a_material_change_is_told(changes: dict[str, object], kind: str) -> None:
    ledger, _ = opened()
    [action] = ledger.run([make_break(**changes)])
    assert action.kind == kind
    assert kinds(ledger.run([make_break(**changes)])) == ["skip"]


def test_small_dollars_are_no_material_change() -> None:
    small = make_break(excess_usd_per_day=Decimal("8.00"), excess_usd_total=Decimal("72.00"))
    ledger, _ = opened(small)
    assert kinds(ledger.run([replace(small, excess_usd_per_day=Decimal("12.90"))])) == ["skip"]
    assert kinds(ledger.run([replace(small, excess_usd_per_day=Decimal("13.10"))])) == ["update"]


def test_growth_in_small_steps_is_told_when_it_adds_up() -> None:
    ledger, _ = opened()
    told = [kinds(ledger.run([make_break(excess_usd_per_day=Decimal(412 + 30 * step))]))[0] for step in range(1, 8)]
    assert told == ["skip", "skip", "skip", "update", "skip", "skip", "skip"]


def test_severity_that_rises_escalates() -> None:
    medium = make_break(excess_usd_per_day=Decimal("95.00"), excess_usd_total=Decimal("855.00"))
    ledger, incident = opened(medium)
    assert incident.severity == "medium"
    [action] = ledger.run([replace(medium, excess_usd_per_day=Decimal("105.00"))])
    assert (action.kind, action.incident.status, action.incident.severity) == ("escalate", "escalated", "high")


def test_resolved_only_after_two_days_back_in_range() -> None:
    ledger, _ = opened()
    day = NEWEST + timedelta(days=1)
    assert kinds(ledger.run([last(make_break(), NEWEST, through=day)], as_of=AS_OF + timedelta(days=1))) == ["skip"]
    day += timedelta(days=1)
    [action] = ledger.run([last(make_break(), NEWEST, through=day)], as_of=AS_OF + timedelta(days=2))
    assert (action.kind, action.incident.status) == ("resolve", "resolved")
    assert action.incident.resolved_at is not None
    assert kinds(ledger.run([last(make_break(), NEWEST, through=day)], as_of=AS_OF + timedelta(days=2))) == ["skip"]


def test_days_on_which_a_job_does_not_run_bring_nothing_back_in_range() -> None:
    job = make_break(days_in_range=0)
    ledger, _ = opened(job)
    for days, told, done in ((2, 0, "skip"), (5, 1, "skip"), (8, 1, "skip"), (9, 2, "resolve")):
        over = replace(last(job, NEWEST, through=NEWEST + timedelta(days=days)), days_in_range=told)
        assert kinds(ledger.run([over], as_of=AS_OF + timedelta(days=days))) == [done]


def test_a_job_that_is_dear_each_weekend_is_not_resolved_and_back_each_week() -> None:
    """Told on Sunday and over on Tuesday; back on the next one, and then over after a weekend in its range."""
    sunday, ledger, done = date(2026, 11, 15), Ledger(), []
    for day in range(22):
        newest = sunday + timedelta(days=day)
        last_dear = min(newest - timedelta(days=(newest.weekday() + 1) % 7), sunday + timedelta(days=7))
        onset = last_dear - timedelta(days=1)
        found = last(make_break(onset=onset, is_weekend_only=True), last_dear, through=newest)
        done += [(newest.isoformat()[5:], kind) for kind in kinds(ledger.run([found], as_of=newest)) if kind != "skip"]
    assert done == [("11-15", "open"), ("11-17", "resolve"), ("11-22", "update"), ("11-29", "resolve")]


def test_a_break_that_is_over_when_found_is_told_once() -> None:
    ledger = Ledger()
    [action] = ledger.run([weekend()])
    assert (action.kind, action.incident.status) == ("open", "resolved")
    later = replace(weekend(), data_through=NEWEST + timedelta(days=1))
    assert kinds(ledger.run([later], as_of=AS_OF + timedelta(days=1))) == ["skip"]


def test_old_news_opens_nothing_and_is_not_kept() -> None:
    ledger = Ledger()
    old = last(make_break(onset=date(2026, 10, 1)), date(2026, 11, 12), through=NEWEST)
    [action] = ledger.run([old])
    assert action.kind == "skip"
    assert "nobody was told" in action.reason
    assert ledger.rows == {}
    assert kinds(ledger.run([replace(old, last_day=date(2026, 11, 13))])) == ["open"]


def test_a_break_that_a_restatement_removes_is_withdrawn() -> None:
    ledger, _ = opened()
    [action] = ledger.run([], as_of=AS_OF + timedelta(days=1), through=NEWEST + timedelta(days=1))
    assert (action.kind, action.incident.status) == ("withdraw", "withdrawn")
    assert action.found is None
    assert ledger.run([], as_of=AS_OF + timedelta(days=1)) == []


def test_a_break_told_as_over_is_withdrawn_too() -> None:
    ledger = Ledger()
    ledger.run([weekend()])
    [action] = ledger.run([], as_of=AS_OF, through=NEWEST)
    assert (action.kind, action.incident.status) == ("withdraw", "withdrawn")


def test_a_withdrawn_break_that_comes_back_reopens_its_thread() -> None:
    ledger, incident = opened()
    ledger.run([], through=NEWEST)
    [action] = ledger.run([make_break()])
    assert (action.kind, action.incident.id, action.incident.status) == ("update", incident.id, "open")
    assert "restated" in action.reason


def test_a_break_that_ended_while_nobody_looked_is_resolved_not_withdrawn() -> None:
    ledger, _ = opened()
    month_later = NEWEST + timedelta(days=30)
    [action] = ledger.run([], as_of=month_later + timedelta(days=2), through=month_later)
    assert (action.kind, action.incident.status) == ("resolve", "resolved")


def test_a_resolved_incident_stays_resolved_when_its_break_leaves_sight() -> None:
    ledger = Ledger()
    ledger.run([weekend()])
    assert ledger.run([], through=NEWEST + timedelta(days=10)) == []


def resolve(ledger: Ledger) -> None:
    [action] = ledger.run([last(make_break(), NEWEST, through=NEWEST + timedelta(days=2))])
    assert action.kind == "resolve"


TEN_THOUSAND = {"excess_usd_total": Decimal(10_000)}


def again(first_day: date) -> Break:
    return last(make_break(onset=first_day), first_day)


def test_a_pause_of_a_week_stays_within_the_episode() -> None:
    ledger, incident = opened()
    resolve(ledger)
    [action] = ledger.run([again(NEWEST + timedelta(days=7))])
    assert (action.kind, action.incident.id, action.incident.status) == ("update", incident.id, "open")
    assert "back after the pause" in action.reason


def test_a_longer_pause_begins_a_new_episode() -> None:
    ledger, incident = opened()
    resolve(ledger)
    actions = ledger.run([again(NEWEST + timedelta(days=8))])
    assert [(a.kind, a.incident.episode) for a in actions] == [("open", 2)]
    assert actions[0].incident.id != incident.id


@pytest.mark.parametrize("end", ["resolved", "withdrawn"])
@pytest.mark.parametrize(("days_since", "status"), [(1, "open"), (2, "resolved"), (7, "resolved"), (8, None)])
def test_a_later_burst_is_told_though_it_is_over_when_it_is_first_seen(
    end: str, days_since: int, status: str | None
) -> None:
    first = last(make_break(**dict.fromkeys(("excess_usd_per_day", "excess_usd_total"), Decimal(100))), NEWEST)
    ledger, incident = opened(first)
    seen = [last(first, NEWEST, through=NEWEST + timedelta(days=2))]
    ledger.run(seen if end == "resolved" else [], through=NEWEST + timedelta(days=2))
    assert [one.status for one in ledger.incidents] == [end]

    begun, ended = NEWEST + timedelta(days=5), NEWEST + timedelta(days=6)
    through = ended + timedelta(days=days_since)
    burst = last(make_break(onset=begun, excess_usd_per_day=Decimal(5000), **TEN_THOUSAND), ended, through=through)
    breaks = [last(first, NEWEST, through=through), burst] if end == "resolved" else [burst]
    [action] = ledger.run(breaks, as_of=through + timedelta(days=1), through=through)
    assert action.kind == ("skip" if status is None else "update")
    if status is not None:
        assert (action.incident.id, action.incident.status, action.incident.last_day) == (incident.id, status, ended)
        assert ("over since 2026-11-27" in action.reason) == (status == "resolved")
        assert "$5,000" in render(action, context=CONTEXT).title
    assert kinds(ledger.run(breaks, as_of=through + timedelta(days=1), through=through)) == ["skip"]


def test_the_other_direction_is_another_incident() -> None:
    ledger, incident = opened()
    actions = ledger.run([make_break(), drop()])
    assert {a.incident.id for a in actions} == {incident.id, make_incident_id("support_chat", "down", 1)}


def test_several_metrics_of_one_node_are_one_incident() -> None:
    ledger = Ledger()
    cost, unit = make_break(), make_break(kind="unit_cost", excess_usd_total=Decimal("3000.00"))
    assert [(a.kind, a.incident.kind) for a in ledger.run([unit, cost])] == [("open", "cost")]
    # Once told as a cost break it stays one, also when the other metric has more dollars.
    actions = ledger.run([cost, replace(unit, excess_usd_total=Decimal("3900.00"))])
    assert [(a.kind, a.incident.kind) for a in actions] == [("skip", "cost")]


def test_a_storm_with_pauses_found_at_once_is_one_incident() -> None:
    ledger = Ledger()
    bursts = [last(make_break(onset=day), day + timedelta(days=1), through=NEWEST) for day in days_of_bursts()]
    bursts.append(make_break(onset=NEWEST - timedelta(days=1)))
    [action] = ledger.run(bursts)
    assert (action.kind, action.incident.onset) == ("open", days_of_bursts()[0])
    assert kinds(ledger.run(bursts)) == ["skip"]


def two_bursts(through: date, *, usd: tuple[int, int]) -> list[Break]:
    return [
        last(make_break(onset=day, excess_usd_per_day=Decimal(usd[n])), day + timedelta(days=1), through=through)
        for n, day in enumerate((NEWEST, NEWEST + timedelta(days=4)))
    ]


@pytest.mark.parametrize("usd", [(300, 900), (900, 300)])
def test_of_two_bursts_that_are_over_when_their_bill_comes_each_is_told_once(usd: tuple[int, int]) -> None:
    ledger, through = Ledger(), NEWEST + timedelta(days=7)
    bursts = two_bursts(through, usd=usd)
    actions = ledger.run(bursts, through=through)
    assert kinds(actions) == ["open", "update"]
    assert [action.found for action in actions] == bursts
    assert len({make_key(action.incident, action.kind) for action in actions}) == 2
    [incident] = ledger.incidents
    assert (incident.status, incident.onset, incident.last_day) == ("resolved", NEWEST, NEWEST + timedelta(days=5))
    titles = [render(action, context=CONTEXT).title for action in actions]
    assert [f"+${told}" in title for told, title in zip(usd, titles, strict=True)] == [True, True]
    assert kinds(ledger.run(bursts, through=through)) == ["skip"]


def test_bursts_that_follow_one_that_is_over_are_each_told_once() -> None:
    ledger, _ = opened(last(make_break(onset=NEWEST - timedelta(days=5)), NEWEST - timedelta(days=4), through=NEWEST))
    through = NEWEST + timedelta(days=7)
    bursts = two_bursts(through, usd=(600, 700))
    assert kinds(ledger.run(bursts, through=through)) == ["update", "update"]
    assert kinds(ledger.run(bursts, through=through)) == ["skip"]


def test_a_burst_that_is_too_old_hides_none_that_is_not() -> None:
    ledger, through = Ledger(), NEWEST + timedelta(days=9)
    actions = ledger.run(two_bursts(through, usd=(300, 900)), through=through)
    assert [(one.kind, one.incident.excess_usd_per_day) for one in actions] == [("open", 900), ("skip", 300)]


def days_of_bursts() -> list[date]:
    return [NEWEST - timedelta(days=back) for back in (30, 24, 18, 12, 7)]


def test_the_new_level_is_absorbed_after_four_weeks() -> None:
    ledger, _ = opened()
    day = ONSET + timedelta(days=26)
    assert kinds(ledger.run([last(make_break(), day)], as_of=day)) == ["skip"]
    day += timedelta(days=1)
    [action] = ledger.run([last(make_break(), day)], as_of=day)
    assert (action.kind, action.incident.status) == ("resolve", "absorbed")
    day += timedelta(days=60)
    assert kinds(ledger.run([last(make_break(), day)], as_of=day)) == ["skip"]
    doubled = last(make_break(excess_usd_per_day=Decimal("825.00")), day)
    [action] = ledger.run([doubled], as_of=day)
    assert (action.kind, action.incident.status) == ("escalate", "escalated")
    assert kinds(ledger.run([doubled], as_of=day)) == ["skip"]


def click(ledger: Ledger, incident: Incident, answer: str, *, until: date | None = None) -> None:
    ledger.save(record_click(incident, answer, who="maya", now=NOW, snoozed_until=until))


GRAVER = {"excess_usd_per_day": Decimal("530.00"), "excess_usd_total": Decimal("4800.00")}
NEXT_STEP = {"excess_usd_per_day": Decimal("530.00"), "excess_usd_total": Decimal("5300.00")}


@pytest.mark.parametrize(
    ("answer", "graver", "next_step", "gone"),
    [
        (None, "update", "escalate", "withdraw"),
        ("investigating", "skip", "escalate", "withdraw"),
        ("expected", "skip", "skip", None),
        ("false_alarm", "skip", "skip", None),
        ("resolve", "skip", "skip", None),
        ("snooze", "skip", "skip", "withdraw"),
    ],
)
def test_one_click_changes_what_comes_later(answer: str | None, graver: str, next_step: str, gone: str | None) -> None:
    expected = {"graver": graver, "next_step": next_step, "gone": gone}
    later: dict[str, list[Break]] = {
        "graver": [make_break(**GRAVER)],
        "next_step": [make_break(**NEXT_STEP)],
        "gone": [],
    }
    for name, breaks in later.items():
        ledger, incident = opened()
        if answer:
            click(ledger, incident, answer, until=AS_OF + timedelta(days=7))
        assert kinds(ledger.run(breaks, through=NEWEST)) == ([expected[name]] if expected[name] else []), name


def test_a_snooze_ends_on_its_day() -> None:
    ledger, incident = opened()
    click(ledger, incident, "snooze", until=AS_OF + timedelta(days=1))
    assert kinds(ledger.run([make_break()], as_of=AS_OF)) == ["skip"]
    [action] = ledger.run([make_break()], as_of=AS_OF + timedelta(days=1))
    assert (action.kind, action.incident.status) == ("update", "open")
    assert "snoozed_until" not in action.incident.details
    assert kinds(ledger.run([make_break()], as_of=AS_OF + timedelta(days=1))) == ["skip"]


def test_what_was_accepted_is_told_again_when_it_doubles() -> None:
    ledger, incident = opened()
    click(ledger, incident, "expected")
    twice = make_break(excess_usd_per_day=Decimal("824.16"))
    [action] = ledger.run([twice])
    assert (action.kind, action.incident.status) == ("escalate", "escalated")
    assert "was accepted" in action.reason


@pytest.mark.parametrize("answer", ["expected", "false_alarm", "resolve"])
@pytest.mark.parametrize(("days_since", "status"), [(0, "escalated"), (1, "escalated"), (2, "resolved")])
def test_an_answer_covers_no_other_burst_that_is_twice_as_large(answer: str, days_since: int, status: str) -> None:
    ledger, incident = opened()
    click(ledger, incident, answer)
    ended = NEWEST + timedelta(days=6)
    through = ended + timedelta(days=days_since)
    burst = last(make_break(onset=ended, excess_usd_per_day=Decimal(3000), **TEN_THOUSAND), ended, through=through)
    [action] = ledger.run([burst], as_of=through, through=through)
    assert (action.kind, action.incident.id, action.incident.status) == ("escalate", incident.id, status)
    assert ("over since" in action.reason) == (status == "resolved")
    word = "called a false alarm" if answer == "false_alarm" else "accepted"
    assert action.reason.startswith(f"$412 a day was {word}, now it is $3,000")
    assert kinds(ledger.run([burst], as_of=through, through=through)) == ["skip"]


def test_a_false_alarm_covers_a_week_after_its_own_days_and_no_more() -> None:
    ledger, incident = opened()
    click(ledger, incident, "false_alarm")
    bursts = [again(NEWEST + timedelta(days=days)) for days in (4, 7, 8)]
    assert [kinds(ledger.run([burst])) for burst in bursts] == [["skip"], ["skip"], ["open"]]


def test_a_limit_stays_raised_when_what_raised_it_is_told_again() -> None:
    ledger, incident = opened()
    click(ledger, incident, "false_alarm")
    raised = {("support_chat", "cost", "up"): 1.25}
    assert find_limit_factors(ledger.incidents, as_of=AS_OF) == raised
    assert kinds(ledger.run([make_break(excess_usd_per_day=Decimal(3000))])) == ["escalate"]
    assert find_limit_factors(ledger.incidents, as_of=AS_OF + timedelta(days=90)) == raised
    assert find_limit_factors(ledger.incidents, as_of=AS_OF + timedelta(days=91)) == {}
    click(ledger, ledger.incidents[0], "expected")
    assert find_limit_factors(ledger.incidents, as_of=AS_OF) == {}


def test_a_click_that_is_no_answer_is_refused() -> None:
    _, incident = opened()
    with pytest.raises(ValueError, match="unknown answer 'maybe'"):
        record_click(incident, "maybe", who="maya", now=NOW)
    with pytest.raises(ValueError, match="the day it ends"):
        record_click(incident, "snooze", who="maya", now=NOW)


def test_a_fall_in_cost_is_never_grave() -> None:
    policy = IncidentPolicy()
    assert policy.find_severity(drop()) == "low"
    assert policy.find_severity(replace(drop(), excess_usd_per_day=Decimal("-5000.00"))) == "medium"


def test_breaks_and_incidents_survive_the_store() -> None:
    for found in (make_break(), weekend(), new_key(), unit_cost(), drop()):
        assert break_from_json(json.loads(json.dumps(break_to_json(found)))) == found
    _, incident = opened()
    assert incident_from_row(incident_to_row(incident)) == incident
    as_text = {
        **incident_to_row(incident),
        "onset": incident.onset.isoformat(),
        "last_day": incident.last_day.isoformat(),
        "opened_at": incident.opened_at.isoformat(),
        "updated_at": incident.updated_at.isoformat(),
        "excess_usd_total": str(incident.excess_usd_total),
        "details": json.dumps(incident.details),
    }
    assert incident_from_row(as_text) == incident


@st.composite
def histories(draw: st.DrawFn) -> list[list[Break]]:
    """Ten days of what a detector might say about two features and their sum, restatements and all."""
    first_day = date(2026, 3, 1)
    days: list[list[Break]] = []
    for n in range(10):
        through = first_day + timedelta(days=60 + n)
        breaks: list[Break] = []
        for node in draw(st.sets(st.sampled_from(["support_chat", "doc_search", "all features"]), max_size=2)):
            for _ in range(draw(st.integers(1, 2))):
                onset = through - timedelta(days=draw(st.integers(0, 40)))
                last_day = min(through, onset + timedelta(days=draw(st.integers(0, 40))))
                breaks.append(
                    make_break(
                        node=node,
                        direction=draw(st.sampled_from(["up", "down"])),
                        kind=draw(st.sampled_from(["cost", "unit_cost"])),
                        onset=onset,
                        last_day=last_day,
                        is_active=last_day == through,
                        data_through=through,
                        excess_usd_per_day=Decimal(draw(st.integers(1, 4000))),
                        excess_usd_total=Decimal(draw(st.integers(1, 90_000))),
                    )
                )
        days.append(breaks)
    return days


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine generates slowly
@given(histories())
def test_whatever_the_detector_says(days: list[list[Break]]) -> None:
    ledger = Ledger()
    opened_ids: set[str] = set()
    revisions: dict[str, int] = {}
    for n, breaks in enumerate(days):
        through = date(2026, 3, 1) + timedelta(days=60 + n)
        as_of = through + timedelta(days=2)
        actions = ledger.run(breaks, as_of=as_of, through=through)
        told = [action for action in actions if action.kind != "skip"]
        # One message per incident and run; a thread is opened once; each message has a number of its own.
        assert len({a.incident.id for a in told}) == len(told)
        for action in told:
            assert (action.kind == "open") == (action.incident.id not in opened_ids)
            opened_ids.add(action.incident.id)
            revision = action.incident.details["revision"]
            assert revision == revisions.get(action.incident.id, 0) + 1
            revisions[action.incident.id] = revision
        assert len({(i.node, i.direction, i.episode) for i in ledger.incidents}) == len(ledger.incidents)
        assert kinds(ledger.run(breaks, as_of=as_of, through=through)) == ["skip"] * len(
            ledger.run(breaks, as_of=as_of, through=through)
        )
        live = [i for i in ledger.incidents if i.status in ("open", "escalated")]
        assert len({(i.node, i.direction) for i in live}) == len(live)


def test_the_clock_is_an_argument() -> None:
    ledger, _ = opened()
    [action] = ledger.run([], as_of=date(2031, 1, 1))
    assert action.incident.updated_at == datetime(2031, 1, 1, 9, 30, tzinfo=UTC)


def shared(found: Break) -> Break:
    """The same excess as the sum of all features has it."""
    return replace(found, node="all features", drivers=(Driver("feature", found.node, found.excess_usd_per_day),))


@pytest.mark.parametrize("begins_with", ["feature", "sum"])
def test_two_nodes_that_take_turns_are_told_once(begins_with: str) -> None:
    ledger = Ledger()
    by_day = [last(make_break(), NEWEST + timedelta(days=n)) for n in range(6)]
    forms = [found if (n % 2 == 0) == (begins_with == "feature") else shared(found) for n, found in enumerate(by_day)]
    told = [
        action
        for n, found in enumerate(forms)
        for action in ledger.run([found], as_of=AS_OF + timedelta(days=n), through=NEWEST + timedelta(days=n))
        if action.kind != "skip"
    ]
    assert kinds(told)[0] == "open"
    assert "open" not in kinds(told)[1:]
    assert "withdraw" not in kinds(told)
    over = last(make_break(), NEWEST + timedelta(days=5), through=NEWEST + timedelta(days=8))
    over = over if begins_with == "sum" else shared(over)  # the end is seen at the node that was not told
    ended = ledger.run([over], as_of=AS_OF + timedelta(days=8), through=NEWEST + timedelta(days=8))
    assert kinds([action for action in ended if action.kind != "skip"]) == ["resolve"]
    again = ledger.run([over], as_of=AS_OF + timedelta(days=8), through=NEWEST + timedelta(days=8))
    assert set(kinds(again)) <= {"skip"}
    assert [one.status for one in ledger.incidents] == ["resolved"]


def test_what_one_feature_began_and_all_share_later_is_news() -> None:
    ledger, _ = opened()
    wide = replace(shared(last(make_break(), NEWEST + timedelta(days=1))), excess_usd_per_day=Decimal(2000))
    actions = ledger.run([wide], as_of=AS_OF + timedelta(days=1), through=NEWEST + timedelta(days=1))
    assert [(action.kind, action.incident.node) for action in actions] == [
        ("open", "all features"),
        ("skip", "support_chat"),
    ]


def test_a_shared_break_that_a_restatement_removes_is_withdrawn_at_the_node_that_was_told() -> None:
    ledger, _ = opened()
    day = NEWEST + timedelta(days=1)
    ledger.run([shared(last(make_break(), day))], as_of=AS_OF + timedelta(days=1), through=day)
    [action] = ledger.run([], as_of=AS_OF + timedelta(days=2), through=day)
    assert (action.kind, action.incident.node) == ("withdraw", "support_chat")


def of(node: str, usd_per_day: int, day: date, **changes: object) -> Break:
    usd = Decimal(usd_per_day)
    days = (day - ONSET).days + 1
    return last(make_break(node=node, excess_usd_per_day=usd, excess_usd_total=usd * days, **changes), day)


def run(ledger: Ledger, breaks: list[Break], day: date) -> list[tuple[str, str]]:
    actions = ledger.run(breaks, as_of=day + timedelta(days=2), through=day)
    again = ledger.run(breaks, as_of=day + timedelta(days=2), through=day)
    assert set(kinds(again)) <= {"skip"}
    for action in actions:
        if action.kind != "skip":
            render(action, context=CONTEXT)
            render_card(action.incident, action.found, context=CONTEXT)
    return [(action.kind, action.incident.node) for action in actions]


@pytest.mark.parametrize("answer", [None, "expected", "false_alarm", "resolve", "snooze"])
def test_a_small_shared_incident_does_not_swallow_a_large_break_of_one_feature(answer: str | None) -> None:
    ledger = Ledger()
    [action] = ledger.run([of("all features", 600, NEWEST)])
    if answer:
        click(ledger, action.incident, answer, until=AS_OF + timedelta(days=30))
    day = NEWEST + timedelta(days=1)
    told = run(ledger, [of("doc_search", 20_000, day)], day)
    assert told[0] == ("open", "doc_search")
    is_live = answer in (None, "snooze")
    assert told[1:] == ([("resolve", "all features")] if is_live else [])
    # The sum takes a turn, then the feature again: neither is told a second time.
    for n, node in enumerate(["all features", "doc_search"], 2):
        day = NEWEST + timedelta(days=n)
        turn = run(ledger, [of(node, 20_000, day)], day)
        if is_live:
            assert {kind for kind, _ in turn} == {"skip"}
        assert "open" not in {kind for kind, _ in turn}


def test_what_was_accepted_of_the_sum_is_told_at_its_feature_once_it_doubles() -> None:
    ledger = Ledger()
    [action] = ledger.run([of("all features", 600, NEWEST)])
    click(ledger, action.incident, "expected")
    for n, (usd, kind) in enumerate([(500, "skip"), (1199, "skip"), (1200, "open")], 1):
        day = NEWEST + timedelta(days=n)
        assert run(ledger, [of("doc_search", usd, day)], day) == [(kind, "doc_search")]


def test_a_shared_incident_of_which_less_is_left_at_features_says_where_it_is_told() -> None:
    ledger = Ledger()
    ledger.run([of("all features", 1000, NEWEST)])
    day = NEWEST + timedelta(days=1)
    breaks = [of("support_chat", 300, day), of("doc_search", 150, day)]
    actions = ledger.run(breaks, as_of=day + timedelta(days=2), through=day)
    assert [(a.kind, a.incident.node) for a in actions] == [
        ("resolve", "all features"),
        ("open", "support_chat"),
        ("open", "doc_search"),
    ]
    assert actions[0].reason == "now told with doc_search, support_chat"
    reply = render(actions[0], context=CONTEXT)
    assert (reply.title, reply.summary) == (
        "✅ Told elsewhere · All features",
        "What was reported here is told at doc_search, support_chat from now on.",
    )
    card = render_card(actions[0].incident, context=CONTEXT)
    assert card.title.startswith("✅ Told elsewhere · All features")
    assert card.summary.startswith("This is told at doc_search, support_chat now; what follows was reported before. ")
    day += timedelta(days=1)
    assert {kind for kind, _ in run(ledger, breaks, day)} == {"skip"}
    # Far more of it in the sum than the features have told: its own thread is reopened, and says so.
    [action] = [
        one for one in ledger.run([of("all features", 1000, day)], as_of=day, through=day) if one.kind != "skip"
    ]
    assert (action.kind, action.incident.node, action.incident.status) == ("update", "all features", "open")
    assert action.reason == "it is more than what is told at doc_search, support_chat"
    assert "told_at" not in action.incident.details


def test_a_snooze_ends_on_its_day_at_another_node_too() -> None:
    ledger = Ledger()
    [action] = ledger.run([of("all features", 600, NEWEST)])
    click(ledger, action.incident, "snooze", until=NEWEST + timedelta(days=4))
    day = NEWEST + timedelta(days=1)
    assert ("skip", "all features") in run(ledger, [of("doc_search", 600, day)], day)
    day = NEWEST + timedelta(days=2)
    assert run(ledger, [of("doc_search", 600, day)], day) == [("update", "all features"), ("skip", "doc_search")]
    assert [one.status for one in ledger.incidents] == ["open"]


@pytest.mark.parametrize(("told_at", "billed_at"), [("all features", "doc_search"), ("doc_search", "all features")])
def test_the_bill_has_the_last_word_on_an_estimate_at_another_node_too(told_at: str, billed_at: str) -> None:
    ledger = Ledger()
    ledger.run([of(told_at, 600, NEWEST, basis="estimated")])
    day = NEWEST + timedelta(days=1)
    assert sorted(run(ledger, [of(billed_at, 600, day)], day)) == [("open", billed_at), ("resolve", told_at)]
    day += timedelta(days=1)
    assert run(ledger, [of(billed_at, 600, day)], day) == [("skip", billed_at)]
