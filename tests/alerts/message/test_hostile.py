"""Every kind of message, from names that mean harm: valid for Slack, and nothing of them is more than text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import blockkit
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from alerts import chart
from alerts.blocks import to_blocks, to_text
from alerts.conditions import Condition, decide_conditions
from alerts.incidents import record_click
from alerts.message import DigestFacts, DigestFeature, render, render_card, render_click, render_digest, render_test
from alerts.model import Action, ActionKind, Break, ChartSeries, Driver, Incident, IncidentStatus, Message, Part
from tests.alerts.blocks.test_blocks import to_blockkit
from tests.alerts.stories import AS_OF, CONTEXT, NEWEST, NOW, ONSET, ROUTING, Ledger, make_break
from tests.servers.slack import check_blocks

HARM = (
    "<!channel>",
    "<!subteam^S0614TZR7>",
    "<@U012AB3CD>",
    "<https://evil.example|invoice>",
    "`trendbreak run` ``` *b* _i_ ~s~",
    ":rotating_light: @here @channel #general",
    "\u202egnp.exe\u200f\u061c",
    "zero\u200bwidth\u2060\ufeffname",
    "two\nlines\r\x00\x1b[31m",
    "&lt;!channel&gt; & <b>",
    "x" * 4000,
    "*" * 4000,
    "&" * 4000,
    "家" * 4000,
    "🔥" * 300,
    "'; DROP TABLE x; --",
    "",
    " ",
)
PAIRS = st.tuples(st.sampled_from(HARM), st.sampled_from(HARM)).map(" ".join)
NAMES = st.one_of(st.sampled_from(HARM), st.text(max_size=80), PAIRS)


def breaks(name: st.SearchStrategy[str]) -> st.SearchStrategy[Break]:
    drivers = st.lists(
        st.builds(
            Driver,
            dimension=st.sampled_from(["api_key_id", "model", "resource_id", "sku_meter", "provider", "tags"]),
            member=name,
            excess_usd_per_day=st.integers(-500, 500).map(Decimal),
            is_new=st.booleans(),
            first_seen=st.just(ONSET),
        ),
        max_size=6,
    )
    return st.builds(
        lambda node, drivers, kind, label: make_break(
            node=node or "x",
            kind=kind,
            label=label,
            drivers=tuple(drivers),
            parts=(Part("retries", Decimal(40)), Part("tasks", Decimal(-3))),
        ),
        name,
        drivers,
        st.sampled_from(["cost", "unit_cost", "zero_success"]),
        st.sampled_from(["growth", "efficiency", "mix", "price", "idle", "unknown"]),
    )


@st.composite
def stories(draw: st.DrawFn) -> list[Message]:
    """One message of every kind about a break, a condition and a week, with hostile names in every place."""
    found, name = draw(breaks(NAMES)), draw(NAMES)
    [opened] = Ledger().run([found])
    context = replace(
        CONTEXT,
        units={found.node: name},
        changes={opened.incident.id: (f"New release {name}: 90% of the calls since", name)},
        worst_tasks={opened.incident.id: ((f"Task {name}", "https://traces.example/t/%3C%21channel%3E"),) * 3},
    )
    incident = replace(opened.incident, owner=name, channel="#ai-costs")
    cards: list[Message] = []
    kinds: tuple[tuple[ActionKind, IncidentStatus], ...] = (
        ("open", "open"), ("update", "open"), ("escalate", "escalated"), ("resolve", "resolved"),
        ("resolve", "absorbed"), ("withdraw", "withdrawn"),
    )  # fmt: skip
    for kind, status in kinds:
        told = replace(incident, status=status)
        cards.append(render(Action(kind, told, f"because of {name}", found), context=context))
        cards.append(render_card(told, found, context=context))
    cards += answers(incident, name, context)
    late, facts = f"{name}: late", ((name or "l", name),)
    condition = Condition("freshness", name or "x", AS_OF, 1, "high", late, name, facts, cure=name, sql=name)
    cards += of_condition(condition, name, context)
    feature = DigestFeature(name, Decimal(5), Decimal(3), Decimal(9), Decimal(7), Decimal(1), Decimal(2))
    week = (date(2026, 11, 9), date(2026, 11, 15))
    digest = DigestFacts(*week, "#c", (feature,) * 12, going_on=(name,) * 30, savings=((name, Decimal(4)),) * 5)
    return [*cards, render_digest(digest), render_test("#c", sent_at=NOW)]


def answers(incident: Incident, name: str, context: Any) -> Iterable[Message]:
    for answer in ("expected", "investigating", "false_alarm", "resolve", "snooze"):
        clicked = record_click(incident, answer, who=name, now=NOW, snoozed_until=NEWEST)
        yield render_click(clicked, answer=answer, who=name, key="k", context=context)
        yield render_card(clicked, context=context)


def of_condition(condition: Condition, name: str, context: Any) -> Iterable[Message]:
    def decide(given: list[Condition], ledger: list[Incident]) -> Action:
        [action] = decide_conditions(given, ledger, judged={"freshness"}, now=NOW, as_of=AS_OF, routing=ROUTING)
        return action

    opened = decide([condition], [])
    yield render(opened, context=context)
    graver = decide([replace(condition, level=2)], [opened.incident])
    yield render(graver, context=context)
    over = decide([replace(condition, holds=False, closing=name)], [graver.incident])
    yield render(over, context=context)
    for action in (opened, graver, over):
        yield render_card(action.incident, context=context)
    yield from answers(opened.incident, name, context)


LINK = re.compile(r"<https://traces\.example/t/%3C%21channel%3E\|[^<>|]*>")
MENTION = re.compile(r"\*Owner\*\n<(@[UW]|!subteam\^S)[A-Z0-9]+>")


def harmless(text: str) -> bool:
    """Nothing in it but our own link and the owner can be a link, a mention or an entity."""
    rest = MENTION.sub("", LINK.sub("", text))
    entities = all(part.startswith(("amp;", "lt;", "gt;")) for part in rest.split("&")[1:])
    return "<" not in rest and ">" not in rest and entities and "```" not in rest


def texts_of(node: Any, kind: str) -> Iterable[str]:
    if isinstance(node, dict):
        if node.get("type") == kind:
            yield node["text"]
        for value in node.values():
            yield from texts_of(value, kind)
    elif isinstance(node, list):
        for value in node:
            yield from texts_of(value, kind)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(stories())
def test_every_kind_of_message_is_valid_and_harmless(messages: list[Message]) -> None:
    for message in messages:
        blocks = to_blocks(message, interactive=True, chart={"id": "F123"} if message.action == "open" else None)
        assert check_blocks(json.loads(json.dumps(blocks))) == []
        parsed = Block.parse_all(blocks)
        assert len(parsed) == len(blocks)
        for block in parsed:
            block.to_dict()
        built = blockkit.Message(text=to_text(message))
        for block in blocks:
            if block["type"] != "image":  # blockkit knows no picture by a Slack file
                built.add_block(to_blockkit(block))
        assert len(built.build()["blocks"]) <= 50
        for text in (to_text(message), *texts_of(blocks, "mrkdwn")):
            assert harmless(text), text
        for text in texts_of(blocks, "plain_text"):
            assert "<" not in text
            assert not re.search("[\u200b-\u200f\u202a-\u202e\u061c\ufeff\n]", text)


@pytest.mark.parametrize("name", [HARM[0], HARM[6], HARM[10], HARM[13], HARM[14], ""])
def test_a_chart_is_drawn_whatever_its_title(name: str) -> None:
    levels = [np.full(90, level) for level in (2.0, 1.0, 0.5, 1.5)]
    series = ChartSeries(ONSET, "cost per day", "usd_per_day", *levels)
    picture = chart.draw(series, title=f"🔴 High · {name}", onset=None)
    assert picture.startswith(b"\x89PNG")
