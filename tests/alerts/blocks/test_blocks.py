"""Block Kit: valid by three judges, within every limit, and deaf to what is written in bills and tags."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import blockkit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from alerts.blocks import escape, escape_within, mention, to_blocks, to_text
from alerts.model import Fact, Message, Section
from tests.alerts.golden_files import FOLDER
from tests.servers.slack import check_blocks

NASTY = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "<!channel>",
            "<!here|here>",
            "<@U012AB3CD>",
            "<https://evil.example|click>",
            "https://evil.example",
            "*bold* _it_ ~no~ `code` ```block```",
            ":rotating_light:",
            "&lt;!channel&gt;",
            "a" * 5000,
            "&<>" * 2000,
            "line\nbreak\u202eevil",
            "zero\u200bwidth\ufeff \u200f\u061c",
            "`trendbreak <!channel>` `trendbreak run` `x`",
            "support_chat_v2",
            "",
        ]
    ),
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    lines = st.lists(NASTY, max_size=60).map(tuple)
    return Message(
        idempotency_key="k",
        incident_id="inc-1",
        action="open",
        severity="high",
        channel="#ai-costs",
        title=draw(NASTY) or "title",
        summary=draw(NASTY) or "summary",
        facts=tuple(Fact(label or "l", text) for label, text in draw(st.lists(st.tuples(NASTY, NASTY), max_size=20))),
        why=draw(lines),
        footnotes=draw(lines),
        owner=draw(NASTY),
        sql=draw(NASTY),
        changes=draw(lines),
        cure=draw(NASTY),
        where=draw(lines),
    )


def texts(blocks: Any) -> list[str]:
    """Every text that Slack would parse or show."""
    if isinstance(blocks, dict):
        return [text for key, value in blocks.items() if key != "type" for text in texts(value)]
    if isinstance(blocks, list):
        return [text for value in blocks for text in texts(value)]
    return [blocks] if isinstance(blocks, str) else []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages())
def test_any_message_is_valid_and_harmless(message: Message) -> None:
    blocks = to_blocks(message, interactive=True, chart={"id": "F123"})
    assert check_blocks(json.loads(json.dumps(blocks))) == []
    for block in Block.parse_all(blocks):
        block.to_dict()  # slack_sdk checks lengths here
    for text in [to_text(message), *mrkdwn_texts(blocks)]:
        assert "<" not in text
        assert ">" not in text
        assert all(rest.startswith(("amp;", "lt;", "gt;")) for rest in text.split("&")[1:])
        assert "```" not in text
    assert "<" not in blocks[0]["text"]["text"]


def mrkdwn_texts(blocks: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("type") == "mrkdwn":
                assert node["verbatim"] is True
                found.append(node["text"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(blocks)
    return found


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<!channel> & co", "&lt;!channel&gt; &amp; co"),
        ("support_chat_v2", "support_chat_v2"),
        ("_private_", "ˍprivateˍ"),
        ("*loud* ~gone~ `code`", "∗loud∗ ∼gone∼ ˋcodeˋ"),
        ("2*3", "2∗3"),
        ("arn:aws:bedrock:eu", "arn:\u2060aws:\u2060bedrock:eu"),
        ("a\nb\u202ec", "a bc"),
        ("sup\u200bport\ufeff", "support"),
        ("a\u2028b\u0085c", "a b c"),
        ("&amp;", "&amp;amp;"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@given(st.text(), st.integers(1, 50))
def test_a_cut_never_divides_an_entity(text: str, limit: int) -> None:
    cut = escape_within(text, limit)
    assert len(cut) <= limit
    assert all(rest.startswith(("amp;", "lt;", "gt;")) for rest in cut.split("&")[1:])
    if len(escape(text)) > limit:
        assert cut.endswith("…")


@pytest.mark.parametrize(
    ("owner", "shown"),
    [
        ("U012AB3CD", "<@U012AB3CD>"),
        ("@W012AB3CD", "<@W012AB3CD>"),
        ("S0614TZR7", "<!subteam^S0614TZR7>"),
        ("@maya", "@maya"),
        ("@SUPPORT", "@SUPPORT"),
        ("U012AB3CD> <!channel", "U012AB3CD&gt; &lt;!channel"),
        ("<!here>", "&lt;!here&gt;"),
    ],
)
def test_only_a_slack_id_is_mentioned(owner: str, shown: str) -> None:
    assert mention(owner) == shown


def plain_message(**changes: Any) -> Message:
    message = Message("k", "inc-1", "open", "high", "#c", "t", "s", (), (), (), "", "")
    return replace(message, **changes)


def test_the_last_fact_is_never_cut() -> None:
    facts = (*(Fact(f"fact {n}", "x") for n in range(14)), Fact("Data", "through Fri 20 Nov"))
    [section] = [b for b in to_blocks(plain_message(facts=facts, owner="@maya")) if "fields" in b]
    assert len(section["fields"]) == 10
    assert "through Fri 20 Nov" in section["fields"][8]["text"]
    assert "@maya" in section["fields"][9]["text"]


def test_buttons_only_where_somebody_listens_and_only_on_the_first_message() -> None:
    def has_buttons(message: Message, *, interactive: bool) -> bool:
        return any(block["type"] == "actions" for block in to_blocks(message, interactive=interactive))

    assert has_buttons(plain_message(), interactive=True)
    assert not has_buttons(plain_message(), interactive=False)
    assert not has_buttons(plain_message(action="update"), interactive=True)
    assert not has_buttons(plain_message(status="absorbed"), interactive=True)
    assert has_buttons(plain_message(status="snoozed"), interactive=True)


def buttons(message: Message) -> list[str]:
    return [element["action_id"] for element in to_blocks(message, interactive=True)[-1]["elements"]]


def test_who_investigates_need_not_say_so_again() -> None:
    assert "trendbreak_investigating" in buttons(plain_message())
    assert "trendbreak_investigating" not in buttons(plain_message(status="acknowledged"))


def test_a_changed_card_has_fresh_buttons() -> None:
    ids = {
        to_blocks(message, interactive=True)[-1]["block_id"]
        for message in (plain_message(), plain_message(), plain_message(summary="graver"))
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("address", "is_shown"),
    [
        ("https://traces.example/t/1?a=b&c", True),
        ("http://traces.example/t/1", False),
        ("javascript:alert(1)", False),
        ("https://x.example/|<!channel>", False),
        ("https://x.example/ y", False),
    ],
)
def test_links_lead_to_our_own_templates_only(address: str, is_shown: bool) -> None:
    shown = [
        text for text in mrkdwn_texts(to_blocks(plain_message(links=(("task <1> | a", address),)))) if "Look at" in text
    ]
    assert shown == ([f"*Look at*\n• <{address}|task &lt;1&gt; ∣ a>"] if is_shown else [])


def test_sections_of_a_digest() -> None:
    blocks = to_blocks(
        plain_message(sections=(Section("Movers", ("a", "<b>")), Section("Empty", ()))), interactive=True
    )
    assert [block["text"]["text"] for block in blocks[1:]] == ["s", "*Movers*\n• a\n• &lt;b&gt;"]


GOLDENS = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_goldens_are_what_slack_takes(path: Any) -> None:
    golden = json.loads(path.read_text())
    assert check_blocks(golden["blocks"]) == []
    parsed = Block.parse_all(golden["blocks"])
    assert [type(block).__name__ for block in parsed].count("NoneType") == 0
    assert len(parsed) == len(golden["blocks"])
    for block in parsed:
        block.to_dict()
    built = blockkit.Message(text=golden["text"])
    for block in golden["blocks"]:
        built.add_block(to_blockkit(block))
    assert len(built.build()["blocks"]) == len(golden["blocks"])


def to_blockkit(block: dict[str, Any]) -> Any:
    """The same block through blockkit's own checks."""
    kind = block["type"]
    if kind == "header":
        return blockkit.Header(block["text"]["text"])
    if kind == "section":
        if "text" in block:
            return blockkit.Section(blockkit.Text(block["text"]["text"]).type("mrkdwn").verbatim(True))
        section = blockkit.Section()
        for field in block["fields"]:
            section.add_field(blockkit.Text(field["text"]).type("mrkdwn").verbatim(True))
        return section
    if kind == "context":
        context = blockkit.Context()
        for element in block["elements"]:
            context.add_element(blockkit.Text(element["text"]).type("mrkdwn"))
        return context
    if kind == "rich_text":
        text = block["elements"][0]["elements"][0]["text"]
        return blockkit.RichText([blockkit.RichTextPreformatted([blockkit.RichTextEl(text)])])
    assert kind == "actions"
    actions = blockkit.Actions()
    for element in block["elements"]:
        if element["type"] == "button":
            button = blockkit.Button(element["text"]["text"])
            actions.add_element(button.action_id(element["action_id"]).value(element["value"]))
        elif element["type"] == "datepicker":
            actions.add_element(blockkit.DatePicker().action_id(element["action_id"]))
        else:
            select = blockkit.StaticSelect().action_id(element["action_id"])
            for option in element["options"]:
                select.add_option(blockkit.Option(option["text"]["text"], option["value"]))
            actions.add_element(select)
    return actions
