"""The sinks beside Slack: a folder, a stream, an incoming webhook, a signed webhook; and the terminal's view."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient

from alerts.message import render
from alerts.sinks import (
    DeliveryDelayed,
    DeliveryRefused,
    FolderSink,
    IncomingWebhookSink,
    Letter,
    Receipt,
    SignedWebhookSink,
    StreamSink,
    verify,
)
from alerts.terminal import to_plain_text
from tests.alerts.stories import CONTEXT, Ledger, make_break, make_chart, weekend
from tests.servers.slack import TOKEN, serve
from tests.servers.webhook import receiving

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def make_letter(**changes: Any) -> Letter:
    [action] = Ledger().run([make_break()])
    return Letter(replace(render(action, context=CONTEXT), **changes), sent_at=NOW)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_tells_the_story_in_order(tmp_path: Path) -> None:
    sink, letter = FolderSink(tmp_path / "outbox"), make_letter(chart=make_chart())
    parent = sink.send(letter)
    reply = replace(letter.message, idempotency_key="x/2/resolve", action="resolve", title="✅ Resolved · support_chat")
    sink.send(Letter(replace(reply, chart=None), NOW, thread=parent))
    assert names(tmp_path / "outbox") == [
        "001-open-support-chat.json",
        "001-open-support-chat.png",
        "001-open-support-chat.txt",
        "002-resolve-support-chat.json",
        "002-resolve-support-chat.txt",
    ]
    stored = json.loads((tmp_path / "outbox/002-resolve-support-chat.json").read_text())
    assert stored["metadata"]["event_payload"]["thread"] == "001-open-support-chat"


def test_a_folder_takes_a_key_once(tmp_path: Path) -> None:
    letter = make_letter()
    first = FolderSink(tmp_path).send(letter)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert FolderSink(tmp_path).send(letter) == replace(first, was_found=True)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_folder_ignores_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / "001-open-support-chat.png").write_bytes(b"half")
    (tmp_path / ".001-open-support-chat.json.partial").write_bytes(b"{")
    FolderSink(tmp_path).send(make_letter(chart=make_chart()))
    assert (tmp_path / "001-open-support-chat.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "001-open-support-chat.json").exists()


def test_a_message_in_the_folder_can_be_posted_as_it_is(tmp_path: Path) -> None:
    FolderSink(tmp_path).send(make_letter(chart=make_chart(), channel="#ai-costs"))
    [path] = tmp_path.glob("*.json")
    with serve() as slack:
        WebClient(token=TOKEN, base_url=slack.base_url).chat_postMessage(**json.loads(path.read_text()))
        [stored] = slack.posts()
    assert stored["blocks"][0]["text"]["text"] == "🔴 High · support_chat +$412/day (+111%)"


def test_a_stream_prints_the_panel() -> None:
    stream = io.StringIO()
    StreamSink(stream).send(make_letter())
    assert "🔴 High · support_chat +$412/day (+111%)" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "may arrive twice" in stream.getvalue()


def test_the_terminal_shows_hostile_text_as_text() -> None:
    letter = make_letter(summary="[bold]x[/bold] \x1b[31mred\u202e", owner="[link=evil]me[/link]", why=("a\tb\x07",))
    shown = to_plain_text(letter.message)
    assert "[bold]x[/bold]  [31mred" in shown
    assert "[link=evil]me[/link]" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert max(len(line) for line in shown.splitlines()) <= 100


def test_the_terminal_shows_the_same_facts_as_slack() -> None:
    [action] = Ledger().run([weekend()])
    message = render(action, context=CONTEXT)
    shown = to_plain_text(message)
    for text in (message.title, *(fact.text for fact in message.facts), "Scale it down while nobody uses it"):
        assert text in shown


def test_an_incoming_webhook_says_that_it_may_repeat() -> None:
    with receiving() as receiver:
        IncomingWebhookSink(receiver.url).send(make_letter())
    posted = json.loads(receiver.bodies[0])
    assert "may arrive twice" in posted["blocks"][-1]["elements"][0]["text"]
    assert posted["text"].startswith("🔴 High · support_chat")


@pytest.mark.parametrize("make", [IncomingWebhookSink, lambda url: SignedWebhookSink(url, "s3cret")])
def test_webhooks_sort_their_troubles_and_keep_their_address(make: Any) -> None:
    with receiving() as receiver:
        receiver.status = 503
        with pytest.raises(DeliveryDelayed) as delayed:
            make(receiver.url).send(make_letter())
        receiver.status = 404
        with pytest.raises(DeliveryRefused) as refused:
            make(receiver.url).send(make_letter())
    with pytest.raises(DeliveryDelayed) as down:
        make("http://127.0.0.1:9/services/secret").send(make_letter())
    for error in (delayed, refused, down):
        assert "secret" not in str(error.value).replace("shared secret", "")


def test_a_signed_webhook_can_be_verified() -> None:
    with receiving() as receiver:
        receipt = SignedWebhookSink(receiver.url, "s3cret").send(make_letter())
    assert isinstance(receipt, Receipt)
    body, header = receiver.bodies[0], receiver.headers[0]["X-Trendbreak-Signature"]
    assert verify(body, header, b"s3cret", now=NOW + timedelta(seconds=60))
    assert not verify(body, header, b"other", now=NOW)
    assert not verify(body + b" ", header, b"s3cret", now=NOW)
    assert not verify(body, header, b"s3cret", now=NOW + timedelta(seconds=301))
    for nonsense in ("nonsense", "", "t=²,v1=a", "t=1", header.replace("v1=", "v1=é"), header + ",v1="):
        assert not verify(body, nonsense, b"s3cret", now=NOW)
    assert json.loads(body)["delivery"] == "at least once"
    assert json.loads(body)["message"]["title"] == "🔴 High · support_chat +$412/day (+111%)"
