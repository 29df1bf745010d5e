"""Through the daily path: a source that stops, telemetry that is lost, a budget in danger."""

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.flows.daily_home import DailyHome, Line, daily_lines

AS_OF = date(2026, 11, 22)
FIRST = AS_OF - timedelta(days=61)


def messages(folder: Path) -> list[str]:
    return [json.loads(path.read_text())["text"] for path in sorted((folder / "data" / "outbox").glob("*.json"))]


def write_calls(folder: Path, until: date) -> None:
    """Two features' calls, until a day; `chat` and `search` share one key's bill by telemetry."""
    calls: list[dict[str, Any]] = []
    for feature, last in (("chat", until), ("search", AS_OF - timedelta(days=1))):
        day = FIRST
        while day <= last:
            calls += [
                {"time": f"{day}T10:00:{n:02d}Z", "provider": "aws", "model": "m", "feature": feature,
                 "task_id": f"{feature}{day}{n}", "response_id": f"{feature}{day}{n}", "input_tokens": 1000}
                for n in range(10)
            ]  # fmt: skip
            day += timedelta(days=1)
    (folder / "events").mkdir(exist_ok=True)
    (folder / "events" / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))


def test_a_source_that_stops_is_told_and_told_again_when_it_is_back(tmp_path: Path) -> None:
    home = DailyHome(tmp_path, sources=("one", "two"))
    home.write()
    chat, search = daily_lines("chat", FIRST, 61), daily_lines("search", FIRST, 55)
    home.bill("one", chat)
    home.bill("two", search)
    home.run(AS_OF)
    [told] = messages(tmp_path)
    assert "two: " in told
    assert "days late" in told
    home.run(AS_OF, hour=12)
    assert len(messages(tmp_path)) == 1
    home.bill("two", daily_lines("search", FIRST, 61))
    home.run(AS_OF, hour=15)
    assert len(messages(tmp_path)) == 2
    assert "two is back" in messages(tmp_path)[1]
    assert home.ask("SELECT kind, status, node FROM ops.incidents") == [("freshness", "resolved", "two")]


def test_a_budget_in_danger_is_one_incident_of_its_month(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    home.feature_text = (
        "version: 1\nfeatures:\n"
        "  chat: {monthly_budget_usd: 2250, channel: '#chat'}\n  search: {monthly_budget_usd: 90000}\n"
        "rules:\n  - {when: {tag.feature: chat}, feature: chat}\n  - {when: {tag.feature: search}, feature: search}\n"
    )
    home.write()
    home.bill("drop", daily_lines("chat", FIRST, 61) + daily_lines("search", FIRST, 61))
    home.run(AS_OF)
    [told] = messages(tmp_path)
    assert "chat: over 99% likely to go over its budget" in told
    assert home.ask("SELECT kind, node, channel FROM ops.incidents") == [("budget", "chat", "#chat")]
    home.bill("drop", daily_lines("chat", FIRST, 65) + daily_lines("search", FIRST, 65))
    home.run(AS_OF + timedelta(days=4))
    assert "over its budget by" in messages(tmp_path)[1]


def test_lost_telemetry_is_one_incident_and_mutes_what_it_would_fake(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    home.feature_text = (
        "version: 1\nfeatures: {chat: {}, search: {}}\n"
        "splits: {gateway: {method: telemetry, trailing_days: 28}}\n"
        "rules:\n  - {when: {service_name: Amazon Bedrock}, split: gateway}\n"
    )
    home.write()
    config = tmp_path / "trendbreak.yml"
    config.write_text(
        config.read_text().replace("features:", "  - {name: calls, type: events, location: ./events}\nfeatures:", 1)
    )
    bill = [Line(line.day, line.cost, tags="{}") for line in daily_lines("chat", FIRST, 61, usd=400)]
    home.bill("drop", bill)
    write_calls(tmp_path, AS_OF - timedelta(days=1))
    first = home.run(AS_OF)
    assert messages(tmp_path) == []
    assert not any("backfill_days" in note for note in first.notes)  # a folder is read whole
    write_calls(tmp_path, AS_OF - timedelta(days=7))  # chat says nothing for six days
    run = home.run(AS_OF, hour=12)
    [told] = messages(tmp_path)
    assert "chat: its telemetry is missing" in told
    assert any("chat: not told, it has lost its telemetry" in note for note in run.notes)
    write_calls(tmp_path, AS_OF - timedelta(days=1))
    home.run(AS_OF, hour=15)
    assert "The telemetry of chat is back." in messages(tmp_path)[1]
    assert Decimal(home.ask("SELECT count(*) FROM ops.incidents")[0][0]) == 1
