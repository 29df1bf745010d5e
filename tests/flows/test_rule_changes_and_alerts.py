"""A changed rule is no change of cost: it opens nothing, and what it ends says that the rules did it."""

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.flows.daily_home import DailyHome, Line, daily_lines

AS_OF = date(2026, 11, 22)
FIRST = AS_OF - timedelta(days=61)


def write_rules(home: DailyHome, *rules: str) -> None:
    lines = "\n".join(f"  - {{{rule}}}" for rule in rules)
    home.feature_text = f"version: 1\nfeatures: {{chat: {{}}, search: {{}}}}\nrules:\n{lines}\n"
    home.write()


CHAT, SEARCH = "when: {tag.feature: chat}, feature: chat", "when: {tag.feature: search}, feature: search"
OPS = "name: ops, when: {tag.feature: ops}, feature: search"


def messages(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "data" / "outbox").glob("*.json"))]


def test_a_rule_that_holds_from_a_day_on_opens_no_incident(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    write_rules(home, CHAT, SEARCH)
    steady = daily_lines("chat", FIRST, 60) + daily_lines("search", FIRST, 60) + daily_lines("ops", FIRST, 60, usd=150)
    home.bill("drop", steady)
    home.run(AS_OF)
    since = AS_OF - timedelta(days=8)
    write_rules(home, CHAT, SEARCH, f"{OPS}, valid_from: {since}")
    run = home.run(AS_OF, hour=12)
    assert any(found.node == "search" and found.direction == "up" for found in run.breaks)
    assert messages(tmp_path) == []
    assert any("search: not told, the rules in features.yml changed" in note for note in run.notes)
    home.bill("drop", [*steady, *daily_lines("ops", FIRST + timedelta(days=60), 1, usd=150)])
    home.run(AS_OF + timedelta(days=1))
    assert messages(tmp_path) == []


def test_a_rule_written_before_it_holds_opens_no_incident_on_its_day_or_after(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    since = AS_OF - timedelta(days=4)
    write_rules(home, CHAT, SEARCH, f"{OPS}, valid_from: {since}")
    days = (AS_OF - FIRST).days

    def bill(through: int) -> None:
        names = {"chat": 100, "search": 100, "ops": 150}
        home.bill("drop", [line for name, usd in names.items() for line in daily_lines(name, FIRST, through, usd=usd)])

    for late in (9, 0):  # the rule is recorded before its day; bills follow
        bill(days - late)
        run = home.run(AS_OF - timedelta(days=late))
        assert messages(tmp_path) == []
    assert any(found.node == "search" and found.direction == "up" for found in run.breaks)
    assert any("search: not told, the rules in features.yml changed" in note for note in run.notes)


def test_a_break_beside_a_rule_that_begins_to_hold_is_told(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    since = AS_OF - timedelta(days=5)
    write_rules(home, CHAT, SEARCH, f"{OPS}, valid_from: {since}")
    days = (AS_OF - FIRST).days
    quiet = [line for name in ("chat", "search", "ops") for line in daily_lines(name, FIRST, days - 9, usd=40)]
    home.bill("drop", quiet)
    home.run(AS_OF - timedelta(days=9))
    lines = daily_lines("chat", FIRST, days, usd=40) + daily_lines("ops", FIRST, days, usd=40)
    storm = [
        Line(line.day, line.cost * (5 if line.day >= since else 1), line.feature)
        for line in daily_lines("search", FIRST, days, usd=40)
    ]
    home.bill("drop", lines + storm)
    run = home.run(AS_OF)
    (told,) = messages(tmp_path)
    assert "search has cost" in told["text"], run.notes


def test_a_real_break_that_changes_hands_is_withdrawn_there_and_told_here(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    write_rules(home, CHAT, SEARCH, OPS)
    storm = [
        Line(line.day, line.cost * (3 if line.day >= AS_OF - timedelta(days=6) else 1), line.feature)
        for line in daily_lines("ops", FIRST, 60, usd=150)
    ]
    home.bill("drop", daily_lines("chat", FIRST, 60) + daily_lines("search", FIRST, 60) + storm)
    home.run(AS_OF)
    assert ["search" in message["text"] for message in messages(tmp_path)] == [True]
    write_rules(home, CHAT, SEARCH, OPS.replace("feature: search", "feature: chat"))
    home.run(AS_OF, hour=12)
    _, *later = messages(tmp_path)
    assert len(later) == 2
    withdrawn = next(m for m in later if "Withdrawn" in m["text"])
    opened = next(m for m in later if "Withdrawn" not in m["text"])
    assert "With the rules of features.yml as they are now, search was within its expected range" in withdrawn["text"]
    assert "chat has cost" in opened["text"]
    [(reason,)] = home.ask("SELECT text FROM ops.incident_events WHERE kind = 'withdraw'")
    assert "the rules in features.yml changed" in reason


def test_an_excess_that_grows_with_the_rules_says_so(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    write_rules(home, CHAT, SEARCH)
    storm = [
        Line(line.day, line.cost * (2 if line.day >= AS_OF - timedelta(days=6) else 1), line.feature)
        for line in daily_lines("chat", FIRST, 60)
    ]
    home.bill("drop", storm + daily_lines("search", FIRST, 60) + daily_lines("ops", FIRST, 60, usd=150))
    home.run(AS_OF)
    assert len(messages(tmp_path)) == 1
    since = AS_OF - timedelta(days=6)
    write_rules(home, CHAT, SEARCH, f"when: {{tag.feature: ops}}, feature: chat, valid_from: {since}")
    home.run(AS_OF, hour=12)
    _, update = messages(tmp_path)
    assert "The rules in features.yml changed: with them the excess grew" in update["text"]
    assert Decimal(home.ask("SELECT sum(delta_effective_cost_before_credits_usd) FROM ops.rule_change_days")[0][0]) == 0
