"""What was new on the onset day, and the links to the worst tasks: from calls through the daily run to the message."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alerts.message import RenderContext, render_test
from alerts.outbox import enqueue_message
from flows.commands.incidents import open_state, present_context
from flows.errors import SettingsError
from flows.settings import load_settings
from flows.steps.findings import add_findings, address_of, list_new_prices, recall_findings
from tests.alerts.stories import Ledger, make_break
from tests.flows.daily_home import DailyHome, daily_lines
from tests.warehouse.ledger import add_charges, build_marts, charge, new_warehouse
from warehouse.features import parse_features
from warehouse.state import StateStore

AS_OF = date(2026, 11, 22)
FIRST = AS_OF - timedelta(days=46)
ONSET = AS_OF - timedelta(days=6)
HOSTILE = 'a/b c|<!channel>"&?#%2e'


def write_calls(folder: Path) -> None:
    """Ten tasks a day; since the onset one of them is asked again and again, by another release and prompt."""
    calls: list[dict[str, Any]] = []
    for offset in range(46):
        day = FIRST + timedelta(days=offset)
        is_new = day >= ONSET
        plain = {
            "provider": "openai",
            "model": "gpt-5",
            "feature": "chat",
            "release": "2.4.1" if is_new else "2.4.0",
            "prompt_version": "<!here>" if is_new else "p1",
            "input_tokens": 1000,
            "output_tokens": 100,
        }
        for n in range(10):
            task = f"{HOSTILE}{day}" if is_new and n == 0 else f"task-{day}-{n}"
            attempts = 10 + offset if is_new and n == 0 else 1
            calls += [
                {**plain, "time": f"{day}T10:{n:02d}:{attempt:02d}Z", "task_id": task, "attempt": attempt}
                for attempt in range(1, attempts + 1)
            ]
    (folder / "events").mkdir()
    (folder / "events" / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))


def make_home(folder: Path, alerts: str = "") -> DailyHome:
    home = DailyHome(folder, features=("chat",), extra=alerts)
    home.write()
    config = folder / "trendbreak.yml"
    config.write_text(
        config.read_text().replace("features:", "  - {name: calls, type: events, location: ./events}\nfeatures:", 1)
    )
    home.bill(
        "drop", daily_lines("chat", FIRST, 40, usd=200) + daily_lines("chat", ONSET, 6, usd=200, factor=Decimal("2.5"))
    )
    write_calls(folder)
    return home


def test_what_is_new_and_the_worst_tasks_are_on_the_card(tmp_path: Path) -> None:
    home = make_home(tmp_path, 'alerts: {task_url: "https://traces.example.com/t/{task_id}?tab=calls"}\n')
    run = home.run(AS_OF)
    [card] = [message for message in run.messages if message.kind == "cost"]
    new = {line.split(",")[0]: line for line in card.changes if line.startswith("New ")}
    assert set(new) >= {"New release 2.4.1", "New prompt version <!here>"}
    assert f"first seen {ONSET.day} Nov: 100% of the calls since" in new["New release 2.4.1"]
    assert len(card.links) == 3
    newest = AS_OF - timedelta(days=3)  # settled
    text, address = card.links[0]  # the one with most attempts
    quoted = "a%2Fb%20c%7C%3C%21channel%3E%22%26%3F%23%252e"
    assert address == f"https://traces.example.com/t/{quoted}{newest}?tab=calls"
    assert "53 calls, 52 retried, looks like a loop" in text
    [blocks] = [path.read_text() for path in (tmp_path / "data" / "outbox").glob("*.json")]
    assert quoted in blocks
    assert "<!channel>" not in blocks
    assert "<!here>" not in blocks
    # A card that is drawn again, without the warehouse, still says so.
    settings = load_settings(tmp_path / "trendbreak.yml")
    context = present_context(settings, open_state(settings))
    assert context.worst_tasks[card.incident_id] == card.links
    assert context.changes[card.incident_id] == card.changes


@pytest.mark.parametrize(
    ("task_id", "address"),
    [
        ("a/../b", "https://x.example.com/a%2F..%2Fb?t"),
        ("..", ""),
        (".", ""),
        ("", ""),
        ("x\u202e|<!here>\n", "https://x.example.com/x%E2%80%AE%7C%3C%21here%3E%0A?t"),
    ],
)
def test_a_task_id_cannot_lead_elsewhere(task_id: str, address: str) -> None:
    assert address_of("https://x.example.com/{task_id}?t", task_id) == address


def test_each_incident_keeps_what_was_found_for_it(tmp_path: Path) -> None:
    """Neither a budget's card nor a later break of the same feature hides it."""
    state = StateStore(f"sqlite:///{tmp_path / 'state.sqlite'}")
    state.create()
    plain = render_test("#c", sent_at=datetime(2026, 11, 22, tzinfo=UTC))
    card = replace(plain, node="chat", kind="cost", changes=("New release 2",), links=(("Task 1", "https://x/1"),))
    later = replace(card, changes=("New release 3",), links=())
    for number, message in enumerate((card, replace(plain, node="chat", kind="budget"), later)):
        key = {"idempotency_key": f"inc-{number}/1/open", "incident_id": f"inc-{number}"}
        enqueue_message(state, replace(message, **key), now=datetime(2026, 11, 22, tzinfo=UTC))
    context = recall_findings(state, RenderContext(as_of=AS_OF), task_url="https://x/{task_id}")
    assert context.changes == {"inc-0": ("New release 2",), "inc-2": ("New release 3",)}
    assert context.worst_tasks == {"inc-0": (("Task 1", "https://x/1"),), "inc-2": ()}
    state.close()


def test_a_price_that_changed_on_the_onset_day_is_named() -> None:
    wh = new_warehouse()
    charges = []
    for offset in range(20):
        day = FIRST + timedelta(days=offset)
        for feature, model, kind, before, since, *other in (
            ("a", "gpt-5", "output", "10", "12.5"), ("a", "gpt-5", "input", "1.25", "1.25"),
            ("a", "o3", "output", "8", f"{8 + offset % 3}"), ("b", "gpt-5-mini", "output", "0.1", "0.125"),
            ("a", "tiny", "output", "0.0000003", "3"), ("b", "gpt-5", "output", "10", "20", {"provider": "azure"}),
            ("a", "gpt-5", "input", "1", "9", {"workload": "fine_tuning"}),
        ):  # fmt: skip
            usd = Decimal(before if offset < 15 else since) * 3
            where = {"charge_date": day, "sub_account_id": feature, "model": model, **dict(*other)}
            charges.append(charge(usd, tokens=3_000_000, token_type=kind, **where))
    add_charges(wh, charges)
    rules = "[{when: {sub_account_id: a}, feature: a}, {when: {sub_account_id: b}, feature: b}]"
    build_marts(wh, parse_features(f"version: 1\nfeatures: {{a: {{}}, b: {{}}}}\nrules: {rules}"))
    told = FIRST + timedelta(days=15)
    for onset in (told - timedelta(days=1), told, told + timedelta(days=1)):
        found = make_break(node="a", onset=onset, last_day=FIRST + timedelta(days=19))
        assert list_new_prices(wh.con, found) == [
            f"New price of gpt-5 output: $12.50 per million tokens (+25%), first seen {told.day} {told:%b}"
        ]
    assert list_new_prices(wh.con, make_break(node="a", onset=told, last_day=told)) != []
    assert list_new_prices(wh.con, replace(found, onset=told + timedelta(days=3))) == []
    # What cannot be found ends no other alert.
    notes: list[str] = []
    found = make_break(node="b", onset=told, last_day=told)
    action = replace(Ledger().run([found])[0], kind="open")
    bad = replace(action, incident=replace(action.incident, id="bad"), found=replace(found, onset=date.min))
    context = add_findings(wh.con, RenderContext(as_of=AS_OF), [bad, action], notes, task_url=None)
    since = f"first seen {told.day} {told:%b}"
    assert context.changes == {
        action.incident.id: (
            f"New price of gpt-5 output: $20 per million tokens (+100%), {since}",
            f"New price of gpt-5-mini output: $0.125 per million tokens (+25%), {since}",
        )
    }
    assert notes == ["b: its alert does not say what was new (OverflowError: date value out of range)"]


def test_without_an_address_no_task_is_named(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    run = home.run(AS_OF)
    assert all(message.links == () for message in run.messages)
    assert not any("!channel" in json.dumps(str(row)) for row in home.ask("SELECT * FROM ops.outbox"))
    assert HOSTILE not in str(home.ask("SELECT * FROM ops.incidents"))


@pytest.mark.parametrize(
    "address",
    ["http://x.example.com/{task_id}", "https://x.example.com/", "https://x.example.com/{task_id}/{id}",
     "https://{task_id}/", "https://x.example.com/{task_id}|<b", "https://x.example.com/{task_id}/{task_id}"],
)  # fmt: skip
def test_an_address_that_cannot_work_is_refused(tmp_path: Path, address: str) -> None:
    DailyHome(tmp_path, extra=f"alerts: {{task_url: '{address}'}}\n").write()
    with pytest.raises(SettingsError, match=r"alerts\.task_url: must be an https address with"):
        load_settings(tmp_path / "trendbreak.yml")
