"""What each kind of message says, word for word in the goldens, and that its query really runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest

import alerts.breaks
from alerts.blocks import to_blocks, to_text
from alerts.incidents import record_click
from alerts.message import (
    BudgetView,
    RenderContext,
    make_card_key,
    make_sql,
    message_from_json,
    message_to_json,
    render,
    render_card,
    render_click,
    render_test,
)
from alerts.model import ALL_FEATURES, UNSEEN, Action, Break, Driver, Evidence, Message, Part
from alerts.terminal import to_plain_text
from tests.alerts.golden_files import check_golden
from tests.alerts.stories import (
    AS_OF,
    CONTEXT,
    NEWEST,
    NOW,
    ONSET,
    Ledger,
    drop,
    estimate,
    growth,
    last,
    make_break,
    make_chart,
    new_key,
    unit_cost,
    weekend,
    zero_success,
)

OPENINGS = {
    "open-retry-storm": make_break(),
    "open-growth": growth(),
    "open-idle-weekend": weekend(),
    "open-new-key": new_key(),
    "open-unit-cost": unit_cost(),
    "open-zero-success": zero_success(),
    "open-drop": drop(),
    "open-estimate": estimate(),
}


def open_message(found: Break, context: RenderContext = CONTEXT) -> Message:
    [action] = Ledger().run([found])
    return render(action, context=context)


def follow_up(*breaks: Break, days: int = 0) -> Action:
    ledger = Ledger()
    ledger.run([make_break()])
    as_of = AS_OF + timedelta(days=days)
    [action] = ledger.run(list(breaks), as_of=as_of, through=NEWEST + timedelta(days=days))
    return action


REPLIES = {
    "reply-update": lambda: follow_up(make_break(excess_usd_per_day=Decimal("530.00"))),
    "reply-escalate": lambda: follow_up(make_break(excess_usd_total=Decimal("5300.00"))),
    "reply-resolve": lambda: follow_up(last(make_break(), NEWEST, through=NEWEST + timedelta(days=2)), days=2),
    "reply-withdraw": lambda: follow_up(days=1),
    "reply-new-level": lambda: follow_up(
        last(make_break(excess_usd_total=Decimal("4900.00")), NEWEST + timedelta(days=30)), days=30
    ),
}


def golden_of(message: Message) -> dict[str, object]:
    return {
        "channel": message.channel,
        "text": to_text(message),
        "blocks": to_blocks(message, interactive=True),
        "terminal": to_plain_text(message).splitlines(),
    }


@pytest.mark.parametrize("name", OPENINGS)
def test_opening_message(name: str) -> None:
    check_golden(name, golden_of(open_message(OPENINGS[name])))


@pytest.mark.parametrize("name", REPLIES)
def test_reply_in_the_thread(name: str) -> None:
    action = REPLIES[name]()
    check_golden(name, golden_of(render(action, context=CONTEXT)))


@pytest.mark.parametrize("name", REPLIES)
def test_card_after_the_reply(name: str) -> None:
    action = REPLIES[name]()
    card = render_card(action.incident, action.found, context=CONTEXT)
    check_golden(name.replace("reply", "card"), golden_of(card))
    assert card.idempotency_key == make_card_key(action.incident.id)


@pytest.mark.parametrize("answer", ["investigating", "expected", "false_alarm", "snooze"])
def test_card_after_a_click(answer: str) -> None:
    [action] = Ledger().run([make_break()])
    clicked = record_click(action.incident, answer, who="maya", now=NOW, snoozed_until=AS_OF + timedelta(days=7))
    reply = render_click(clicked, answer=answer, who="maya", key="one", context=CONTEXT)
    golden = {**golden_of(render_card(clicked, context=CONTEXT)), "reply": to_text(reply)}
    check_golden(f"card-{answer.replace('_', '-')}", golden)


def test_every_message_of_an_incident_has_a_key_of_its_own() -> None:
    ledger = Ledger()
    runs = [
        [make_break()],
        [make_break(excess_usd_per_day=Decimal("530.00"))],
        [make_break(excess_usd_total=Decimal("5300.00"), excess_usd_per_day=Decimal("530.00"))],
        [],
    ]
    keys: list[str] = []
    for breaks in runs:
        for action in ledger.run(breaks, through=NEWEST):
            again = render(action, context=CONTEXT).idempotency_key
            assert again == render(action, context=CONTEXT).idempotency_key
            keys.append(again)
    assert len(keys) == len(set(keys)) == 4
    assert keys[0] == make_card_key(ledger.incidents[0].id)


def test_a_test_message() -> None:
    first, second = (render_test("#c", sent_at=NOW + timedelta(seconds=n)) for n in range(2))
    assert first.idempotency_key != second.idempotency_key
    check_golden("test", golden_of(first))


def test_a_skip_says_nothing() -> None:
    ledger = Ledger()
    ledger.run([make_break()])
    [action] = ledger.run([make_break()])
    with pytest.raises(ValueError, match="told already"):
        render(action, context=CONTEXT)


def test_a_message_survives_the_outbox() -> None:
    for found in (*OPENINGS.values(), make_break(chart=make_chart())):
        message = open_message(found)
        stored = message_from_json(json.loads(json.dumps(message_to_json(message))))
        assert stored == message
        assert (stored.chart is None) == (message.chart is None)
        if stored.chart is not None and message.chart is not None:
            assert stored.chart.start == message.chart.start
            assert stored.chart.actual == pytest.approx(message.chart.actual, abs=1e-6)


def test_the_new_key_is_named_with_its_cure() -> None:
    message = open_message(new_key())
    assert "key_Zt81kq" in message.summary
    assert "when: {api_key_id: key_Zt81kq}" in message.cure
    long = replace(new_key(), drivers=(Driver("api_key_id", "k" * 5000, Decimal("231.00"), True),))
    assert "trendbreak query unallocated" in open_message(long).cure
    odd = replace(new_key(), drivers=(Driver("api_key_id", "a: b'c", Decimal("231.00"), True),))
    assert "{api_key_id: 'a: b''c'}" in open_message(odd).cure


def test_short_history_says_so() -> None:
    assert any("Only 27 days of history" in note for note in open_message(make_break(history_days=27)).footnotes)
    assert open_message(make_break(history_days=28)).footnotes == ()


def fact(message: Message, label: str) -> str:
    return next(fact.text for fact in message.facts if fact.label == label)


@pytest.mark.parametrize(
    ("context", "changes", "said"),
    [
        ({"settled_through": NEWEST}, {}, "through Fri 20 Nov, settled"),
        ({"settled_through": NEWEST - timedelta(days=1)}, {}, "through Fri 20 Nov, provisional"),
        ({}, {"basis": "estimated"}, "through Fri 20 Nov, estimated from usage"),
    ],
)
def test_how_sure_the_data_are(context: dict[str, date], changes: dict[str, str], said: str) -> None:
    message = open_message(make_break(**changes), replace(CONTEXT, **context))
    assert fact(message, "Data") == said


def test_month_end_counts_the_days_that_are_left() -> None:
    # 10 days from 21 to 30 November: 3,708.72 + 10 x 412.08
    assert fact(open_message(make_break()), "By month end at this pace") == "$7,830 more than expected"
    drift = make_break(newest_excess_usd_per_day=Decimal(600))  # it grew to that: 3,708.72 + 10 x 600
    assert fact(open_message(drift), "By month end at this pace") == "$9,709 more than expected"
    last_day = last(make_break(), date(2026, 11, 30))
    assert fact(open_message(last_day), "By month end at this pace") == "$3,709 more than expected"
    assert not any(f.label.startswith("By month end") for f in open_message(weekend()).facts)


def test_a_weekend_only_break_is_projected_on_weekends() -> None:
    # Sat 14, Sun 15 and Sat 21 Nov, calm in between; of November the 22nd, 28th and 29th are left.
    found = replace(
        weekend(), onset=date(2026, 11, 14), last_day=date(2026, 11, 21), data_through=date(2026, 11, 21),
        is_active=True, is_weekend_only=True, excess_usd_total=Decimal("3000"), excess_usd_per_day=Decimal("375"),
    )  # fmt: skip
    message = open_message(found)
    said = fact(message, "By month end at this pace")
    assert said == "$6,000 more than expected, if the weekends that are left are like this"
    assert fact(message, "Since") == "Sat 14 Nov (weekends only)"


def test_a_unit_cost_card_speaks_of_the_same_work_not_of_a_pace() -> None:
    message = open_message(unit_cost())
    assert message.title == "🟠 Medium · doc_search +86% per successful document"
    assert fact(message, "For the same successes") == "about $68 a day more than expected, $616 in all"
    assert not any("pace" in one.label or one.label.startswith("Excess") for one in message.facts)


def test_what_explains_little_is_not_what_changed() -> None:
    found = make_break(
        drivers=(
            Driver("resource_id", "", Decimal("429.00"), True, ONSET, members=11),
            Driver("sku_meter", "a side show", Decimal("55.00"), True, ONSET),
        )
    )
    message = open_message(found)
    assert message.changes == ("11 new resources, together +$429/day",)
    assert message.why[0] == "+$429/day (100% of the excess): 11 new resources"


def test_budget_without_a_forecast() -> None:
    context = replace(CONTEXT, budgets={"support_chat": BudgetView(Decimal(12000))})
    assert fact(open_message(make_break(), context), "Budget") == "$12,000 a month"


def test_what_else_changed_on_the_day() -> None:
    [action] = Ledger().run([make_break()])
    said = {"inc-of-last-year": ("Release 3 went out",), action.incident.id: ("Release 4.12 went out at 14:05 UTC",)}
    assert render(action, context=replace(CONTEXT, changes=said)).changes == (
        "New SKU gpt-5-mini, output, first seen 12 Nov: +$301/day",
        "Release 4.12 went out at 14:05 UTC",
    )


def test_nobody_is_sent_to_what_was_new_where_the_card_lists_nothing() -> None:
    little = Driver("sku_meter", "a side show", Decimal("1.00"), True, ONSET)
    message = open_message(make_break(drivers=(little,)))
    assert message.changes == ()
    assert message.cure == "See what is retried: time-outs and rate limits come first."


@pytest.mark.parametrize(("driver", "cure"), [(UNSEEN, "`trendbreak status` shows"), ("idle", "training")])
def test_what_no_call_explains_has_a_cure_too(driver: str, cure: str) -> None:
    found = make_break(drivers=(), evidence=(), label="unknown", parts=(Part(driver, Decimal(50)),))
    message = open_message(found)
    assert message.why[-1].startswith("+$50/day: ")
    assert cure in message.cure


@pytest.fixture
def snapshot() -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts that messages point at, by their columns."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute(
            "CREATE TABLE marts.feature_cost_daily (charge_date DATE, feature VARCHAR, "
            "effective_cost_before_credits_usd DECIMAL(38, 12))"
        )
        connection.execute(
            "CREATE TABLE marts.feature_member_daily (charge_date DATE, feature VARCHAR, dimension VARCHAR, "
            "member VARCHAR, effective_cost_before_credits_usd DECIMAL(38, 12))"
        )
        connection.execute(
            "CREATE TABLE marts.feature_unit_economics_daily (usage_date DATE, feature VARCHAR, "
            "effective_cost_usd DECIMAL(38, 12), calls BIGINT, retries BIGINT, tasks BIGINT, "
            "successful_tasks BIGINT, cost_per_task_usd DECIMAL(38, 12), "
            "cost_per_successful_task_usd DECIMAL(38, 12))"
        )
        yield connection


def test_a_break_that_all_features_share_shows_them_all(snapshot: duckdb.DuckDBPyConnection) -> None:
    assert alerts.breaks.ALL_FEATURES == ALL_FEATURES
    shared = make_break(
        node=ALL_FEATURES, label="unknown", evidence=(), drivers=(Driver("feature", "doc_search", Decimal("300.00")),)
    )
    message = open_message(shared)
    assert message.title == "🔴 High · All features +$412/day (+111%)"
    assert message.why == ("+$300/day (73% of the excess): feature doc_search",)
    for feature in ("doc_search", "support_chat"):
        snapshot.execute("INSERT INTO marts.feature_cost_daily VALUES (?, ?, 1)", [NEWEST, feature])
    assert [row[1] for row in snapshot.execute(message.sql).fetchall()] == ["doc_search", "support_chat"]


def waste(calls: tuple[int, int], retries: tuple[int, int], good: tuple[int, int]) -> str:
    """The summary of a break whose evidence is (expected, actual) of each, at 1,000 tasks a day."""
    rows = {"calls": calls, "retries": retries, "tasks": (1000, 1000), "successful_tasks": good}
    evidence = tuple(
        Evidence(name, "tasks" if "task" in name else "calls", Decimal(actual), Decimal(expected))
        for name, (expected, actual) in rows.items()
    )
    return open_message(make_break(evidence=evidence)).summary


def test_the_summary_names_what_is_paid_beside_the_work() -> None:
    assert "Retries went from 40 to 1,200 a day" in waste((2000, 3160), (40, 1200), (900, 880))
    assert "Each answer takes 3.5 calls instead of 2." in waste((2040, 3540), (40, 40), (900, 900))
    assert "55% of answers succeed, where 90% did." in waste((2000, 2000), (40, 40), (900, 550))
    assert "The work has not grown" in waste((2000, 2000), (40, 40), (900, 900))


HOSTILE = [
    "plain",
    "o'brien",
    "<!channel>",
    "a & b",
    "x`y",
    "';DROP TABLE marts.feature_cost_daily;--",
    "né\u0000w",
    "<",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_query_finds_the_rows_of_any_name(snapshot: duckdb.DuckDBPyConnection, name: str) -> None:
    days = [NEWEST - timedelta(days=back) for back in (0, 8)]
    for day in days:
        snapshot.execute("INSERT INTO marts.feature_cost_daily VALUES (?, ?, 1)", [day, name])
        snapshot.execute("INSERT INTO marts.feature_cost_daily VALUES (?, 'another', 1)", [day])
        snapshot.execute(
            "INSERT INTO marts.feature_unit_economics_daily (usage_date, feature) VALUES (?, ?)", [day, name]
        )
        snapshot.execute(
            "INSERT INTO marts.feature_member_daily VALUES (?, 'unallocated', 'api_key_id', ?, 1)", [day, name]
        )
    key = replace(new_key(), drivers=(Driver("api_key_id", name, Decimal("231.00"), True),))
    for found in (make_break(node=name), make_break(node=name, kind="unit_cost"), key):
        sql = make_sql(found)
        assert not set("<>&`") & set(sql)
        assert [row[0] for row in snapshot.execute(sql).fetchall()] == sorted(days)
