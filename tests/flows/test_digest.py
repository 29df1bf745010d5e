"""The weekly digest through the daily path: a settled week, once, to Slack."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from flows.commands.incidents import open_state, present_context
from flows.digest import choose_week, gather_facts, send_digest
from flows.errors import FlowError
from flows.settings import load_settings
from tests.flows.daily_home import DailyHome, daily_lines
from tests.servers import slack

AS_OF = date(2026, 11, 25)
FIRST = AS_OF - timedelta(days=61)
NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)


@pytest.mark.parametrize(("through", "monday"), [(22, 16), (21, 9), (23, 16), (28, 16), (29, 23)])
def test_the_week_is_the_newest_whose_sunday_is_settled(through: int, monday: int) -> None:
    assert choose_week(date(2026, 11, through)) == date(2026, 11, monday)


def test_a_week_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with slack.serve() as server:
        monkeypatch.setenv("BOT", slack.TOKEN)
        home = DailyHome(
            tmp_path, extra=f'slack: {{token: "${{BOT}}", channel: "#ai-costs", base_url: "{server.base_url}"}}\n'
        )
        home.feature_text = (
            "version: 1\nfeatures: {chat: {monthly_budget_usd: 90000}, search: {}}\n"
            "rules:\n  - {when: {tag.feature: chat}, feature: chat}\n"
            "  - {when: {tag.feature: search}, feature: search}\n"
        )
        home.write()
        storm = daily_lines("chat", FIRST + timedelta(days=52), 8, factor=Decimal("2.5"))
        home.bill("drop", daily_lines("chat", FIRST, 52) + storm + daily_lines("search", FIRST, 60, usd=40))
        home.run(AS_OF)
        opened = len(server.posts())
        assert opened == 1
        settings = load_settings(tmp_path / "trendbreak.yml")
        state = open_state(settings)
        facts = gather_facts(settings, state, present_context(settings, state), now=NOW)
        week = [facts.week_start + timedelta(days=n) for n in range(7)]
        [(cost,)] = home.ask(
            "SELECT sum(effective_cost_before_credits_usd) FROM marts.feature_cost_daily WHERE feature = 'chat' "
            f"AND charge_date BETWEEN DATE '{week[0]}' AND DATE '{week[-1]}'"
        )
        [chat] = [row for row in facts.features if row.feature == "chat"]
        assert chat.cost_usd == cost
        assert chat.monthly_budget_usd == 90000
        assert chat.month_end_usd is not None
        assert facts.opened == 1
        assert len(facts.going_on) == 1

        server.fail_next("chat.postMessage", slack.Fault("status", 500))
        _, delivered, _ = send_digest(settings, now=NOW)
        assert [one.status for one in delivered] == ["waiting"]
        for days in (0, 1, 2):
            send_digest(settings, now=NOW + timedelta(days=days, hours=1))
        posts = server.posts()[opened:]
        assert len(posts) == 1
        said = json.dumps(posts[0]["blocks"])
        assert all(part in said for part in ("Features", "Movers", "Month end against budget", "Going on"))
        with pytest.raises(FlowError, match="is not settled"):
            send_digest(settings, now=NOW, week=AS_OF)
