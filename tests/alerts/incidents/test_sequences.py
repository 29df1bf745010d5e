"""The state machine under hostile sequences: clicks, restatements, swaps of nodes, and a clock that goes backwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts.incidents import record_click
from alerts.message import make_key, render
from alerts.model import LIVE, Action, Break, Driver, Incident
from tests.alerts.stories import CONTEXT, Ledger, make_break

BEGIN = date(2026, 9, 1)
NODES = ("support_chat", "doc_search")


class Incidents(RuleBasedStateMachine):
    """One day after the other with what a detector may say of two features and their sum; people answer in between."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.today = BEGIN
        self.keys: set[str] = set()
        self.opened: set[str] = set()
        self.storms: dict[str, tuple[date, Decimal]] = {}  # node → onset, dollars a day

    @property
    def through(self) -> date:
        return self.today - timedelta(days=2)

    @rule(days=st.integers(-3, 9))
    def move_the_clock(self, days: int) -> None:
        self.today = max(self.today + timedelta(days=days), BEGIN)

    @rule(node=st.sampled_from(NODES), usd=st.sampled_from([6, 60, 400, 900, 5000]))
    def begin_or_change_a_storm(self, node: str, usd: int) -> None:
        onset, _ = self.storms.get(node, (self.through, Decimal(0)))
        self.storms[node] = (onset, Decimal(usd))

    @rule(node=st.sampled_from(NODES))
    def restate_it_away(self, node: str) -> None:
        self.storms.pop(node, None)

    @precondition(lambda self: self.ledger.incidents)
    @rule(
        data=st.data(),
        answer=st.sampled_from(["expected", "investigating", "false_alarm", "resolve", "snooze"]),
        days=st.integers(1, 10),
    )
    def somebody_answers(self, data: st.DataObject, answer: str, days: int) -> None:
        incident = data.draw(st.sampled_from([one for one in self.ledger.incidents if one.status in LIVE] or [None]))
        if incident is not None:
            until = self.today + timedelta(days=days)
            now = datetime(self.today.year, self.today.month, self.today.day, tzinfo=UTC)
            clicked = record_click(incident, answer, who="maya", now=now, snoozed_until=until)
            self.keys.add(make_key(clicked, "click"))
            self.ledger.save(clicked)

    @rule(is_shared=st.booleans(), is_over=st.booleans(), is_twice=st.booleans())
    def run_the_day(self, is_shared: bool, is_over: bool, is_twice: bool) -> None:
        before = {one.id: one for one in self.ledger.incidents}
        breaks = [
            self.storm(node, is_over=is_over) for node, (onset, _) in self.storms.items() if onset <= self.through
        ]
        if is_shared and breaks:
            breaks = [self.sum_of(breaks)]
        elif is_twice:
            breaks = [burst for found in breaks for burst in self.divide(found)]
        actions = self.ledger.run(breaks, as_of=self.today, through=self.through)
        for action in actions:
            self.check(action, before)
            before[action.incident.id] = action.incident
        again = self.ledger.run(breaks, as_of=self.today, through=self.through)
        assert {action.kind for action in again} <= {"skip"}  # the same day run twice posts nothing

    def storm(self, node: str, *, is_over: bool) -> Break:
        onset, usd = self.storms[node]
        last_day = max(onset, self.through - timedelta(days=3)) if is_over else self.through
        return make_break(
            node=node, onset=onset, last_day=last_day, is_active=last_day == self.through, data_through=self.through,
            excess_usd_per_day=usd, excess_usd_total=usd * ((last_day - onset).days + 1), excess_percent=Decimal(80),
        )  # fmt: skip

    def divide(self, found: Break) -> list[Break]:
        """The same as two bursts, where it lasted for long enough."""
        pause = timedelta(days=3)
        if (found.last_day - found.onset).days < 2 * pause.days:
            return [found]
        first = replace(found, last_day=found.onset + pause, is_active=False)
        return [first, replace(found, onset=found.last_day)]

    def sum_of(self, breaks: list[Break]) -> Break:
        widest = max(breaks, key=lambda found: found.excess_usd_per_day)
        return replace(
            widest,
            node="all features",
            onset=min(found.onset for found in breaks),
            excess_usd_per_day=sum((found.excess_usd_per_day for found in breaks), Decimal(0)),
            excess_usd_total=sum((found.excess_usd_total for found in breaks), Decimal(0)),
            drivers=tuple(Driver("feature", found.node, found.excess_usd_per_day) for found in breaks),
        )

    def check(self, action: Action, before: dict[str, Incident]) -> None:
        incident, was = action.incident, before.get(action.incident.id)
        if action.kind == "skip":
            return
        render(action, context=CONTEXT)  # whatever is told can be said
        key = make_key(incident, action.kind)
        assert key not in self.keys  # each message has a key of its own, whatever the clock did
        self.keys.add(key)
        assert (action.kind == "open") == (incident.id not in self.opened)
        self.opened.add(incident.id)
        if action.kind == "open" and incident.node == "all features":
            near = [one for one in before.values() if one.node in NODES and one.status in LIVE]
            told = [one.excess_usd_per_day for one in near if abs((one.onset - incident.onset).days) <= 3]
            assert sum(told, Decimal(0)) * 2 < incident.excess_usd_per_day  # most of it is news
        if was is None:
            return
        if was.details.get("feedback") == "false_alarm":  # closed for good, but for twice as much
            called_off = abs(Decimal(was.details["accepted_usd_per_day"]))
            assert (action.kind, abs(incident.excess_usd_per_day) >= 2 * called_off) == ("escalate", True)
        if was.status == "snoozed" and action.kind != "withdraw" and action.found is not None:
            assert self.today >= date.fromisoformat(was.details["snoozed_until"])
        if was.status == "absorbed":
            accepted = abs(Decimal(was.details["accepted_usd_per_day"]))
            assert (action.kind, abs(incident.excess_usd_per_day) >= 2 * accepted) == ("escalate", True)
        if action.kind == "resolve" and was.status == "acknowledged":
            assert incident.status in ("resolved", "absorbed")

    @invariant()
    def one_thread_speaks_for_an_excess(self) -> None:
        live = [one for one in self.ledger.incidents if one.status in LIVE]
        assert len({(one.node, one.direction) for one in live}) == len(live)
        assert len({(one.node, one.direction, one.episode) for one in self.ledger.incidents}) == len(self.ledger.rows)


TestSequences = Incidents.TestCase
TestSequences.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
