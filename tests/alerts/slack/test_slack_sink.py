"""An unmodified slack_sdk against a local Slack: what it stores is what counts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerts.message import render
from alerts.sinks import DeliveryDelayed, DeliveryRefused, Letter, Receipt
from alerts.slack import SCOPES, SlackSink, check_token, make_manifest
from tests.alerts.stories import CONTEXT, Ledger, make_break, make_chart
from tests.servers.slack import BOT_USER, TOKEN, Fault, SlackServer, serve


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with serve() as server:
        server.add_channel("support-ai")
        yield server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.slack._PICTURE_PAUSES", (0.05, 0.1, 0.1))


def make_sink(slack: SlackServer, **more: object) -> SlackSink:
    return SlackSink(TOKEN, base_url=slack.base_url, timeout_seconds=5, **more)  # type: ignore[arg-type]


def make_letter(**changes: object) -> Letter:
    [action] = Ledger().run([make_break()])
    message = replace(render(action, context=CONTEXT), **changes)  # type: ignore[arg-type]
    return Letter(message, sent_at=datetime.now(UTC))


def says_of_slack(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is logged of Slack: slack_sdk writes nothing of its own."""
    return [record for record in caplog.records if "slack" in record.name]


def post(sink: SlackSink, letter: Letter) -> Receipt:
    return sink.send(sink.prepare(letter))


def test_a_message_with_its_chart_inside(slack: SlackServer) -> None:
    letter = make_letter(chart=make_chart())
    receipt = post(make_sink(slack), letter)
    [stored] = slack.posts("support-ai")
    assert (receipt.channel_id, receipt.ts) == (stored["channel"], stored["ts"])
    assert stored["metadata"]["event_payload"]["key"] == letter.key
    assert stored["text"].startswith("🔴 High · support_chat +$412/day (+111%). support_chat has cost $782 a day")
    [image] = [block for block in stored["blocks"] if block["type"] == "image"]
    file = slack.files[image["slack_file"]["id"]]
    assert file["content"].startswith(b"\x89PNG")
    assert file["shared_in"] == []
    arguments = slack.called("chat.postMessage")[-1]
    assert arguments["unfurl_links"] in (False, "0")


def test_slack_needs_a_moment_before_it_shows_a_file(slack: SlackServer) -> None:
    slack.file_delay_seconds = 0.12
    receipt = post(make_sink(slack), make_letter(chart=make_chart()))
    [stored] = slack.posts()
    assert receipt.note == ""
    assert any(block["type"] == "image" for block in stored["blocks"])
    assert len(slack.called("chat.postMessage")) > 1


@pytest.mark.parametrize("trouble", ["never ready", "no scope", "upload down"])
def test_no_picture_is_no_reason_to_lose_an_alert(slack: SlackServer, trouble: str) -> None:
    if trouble == "never ready":
        slack.file_delay_seconds = 60
    elif trouble == "no scope":
        slack.scopes.discard("files:write")
    else:
        slack.fault_for_ever["files.getUploadURLExternal"] = Fault("status", 503)
    receipt = post(make_sink(slack), make_letter(chart=make_chart()))
    [stored] = slack.posts()
    assert not any(block["type"] == "image" for block in stored["blocks"])
    assert "chart" in receipt.note


def test_replies_go_into_the_thread_and_the_card_is_edited(slack: SlackServer) -> None:
    sink, letter = make_sink(slack, interactive=True), make_letter(chart=make_chart())
    parent = post(sink, letter)
    reply = replace(letter.message, idempotency_key="inc/2/resolve", action="resolve", title="✅ Resolved", chart=None)
    card = replace(letter.message, title="✅ Resolved · support_chat", chart=None)
    answer = Letter(reply, datetime.now(UTC), thread=parent, card=card)
    sink.send(answer)
    picture = [block for block in slack.posts()[0]["blocks"] if block["type"] == "image"]
    for _ in range(2):
        sink.edit(answer)
    stored, stored_reply = slack.posts()
    assert stored_reply["thread_ts"] == stored["ts"]
    assert not any(block["type"] in ("actions", "image") for block in stored_reply["blocks"])
    assert stored["blocks"][0]["text"]["text"] == "✅ Resolved · support_chat"
    assert [block for block in stored["blocks"] if block["type"] == "image"] == picture
    assert stored["metadata"]["event_payload"]["key"] == letter.key


def test_the_card_of_a_deleted_message_is_let_be(slack: SlackServer) -> None:
    sink, letter = make_sink(slack), make_letter()
    parent = sink.send(letter)
    slack.messages[parent.channel_id].clear()
    sink.edit(Letter(letter.message, datetime.now(UTC), thread=parent, card=letter.message))
    assert slack.posts() == []


def since(letter: Letter) -> datetime:
    return letter.sent_at - timedelta(seconds=1)


def test_find_reads_back_parents_and_replies_through_pages(slack: SlackServer) -> None:
    slack.page_limit = 2
    sink, letter = make_sink(slack), make_letter()
    parent = sink.send(letter)
    for n in range(5):
        other = replace(letter.message, idempotency_key=f"other/{n}")
        sink.send(Letter(other, letter.sent_at))
        sink.send(Letter(replace(other, idempotency_key=f"reply/{n}"), letter.sent_at, thread=parent))
    found = sink.find(letter, since=since(letter))
    assert found == Receipt(parent.channel_id, parent.ts, was_found=True)
    first_reply = Letter(replace(letter.message, idempotency_key="reply/0"), letter.sent_at, thread=parent)
    found = sink.find(first_reply, since=since(letter))
    assert found is not None
    assert found.ts == slack.thread(slack.posts()[0])[0]["ts"]
    missing = Letter(replace(letter.message, idempotency_key="reply/9"), letter.sent_at, thread=parent)
    assert sink.find(missing, since=since(letter)) is None
    assert sink.find(Letter(missing.message, letter.sent_at), since=since(letter)) is None


def test_another_apps_metadata_is_not_ours(slack: SlackServer) -> None:
    letter = make_letter()
    sink = make_sink(slack)
    sink.send(letter)
    slack.posts()[0]["metadata"]["event_type"] = "someone_else"
    assert sink.find(letter, since=since(letter)) is None


def test_history_shows_a_message_late(slack: SlackServer) -> None:
    slack.history_delay_seconds = 3600
    sink, letter = make_sink(slack), make_letter()
    sink.send(letter)
    assert sink.find(letter, since=since(letter)) is None
    slack.history_delay_seconds = 0
    assert sink.find(letter, since=since(letter)) is not None


@pytest.mark.parametrize(
    ("fault", "is_unknown", "is_stored"),
    [
        (Fault("status", 503), True, False),
        (Fault("stored_status", 502), True, True),
        (Fault("drop"), True, False),
        (Fault("stored_drop"), True, True),
        (Fault("error", error="internal_error"), True, False),
        (Fault("status", 429, retry_after=3600), False, False),
    ],
)
def test_what_may_have_arrived_and_what_did_not(
    slack: SlackServer, fault: Fault, is_unknown: bool, is_stored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    slack.fail_next("chat.postMessage", fault)
    with pytest.raises(DeliveryDelayed) as delayed:
        make_sink(slack).send(make_letter())
    assert delayed.value.is_unknown is is_unknown
    assert len(slack.posts()) == is_stored
    if fault.status == 429:
        assert delayed.value.retry_after_seconds == 3600
    assert says_of_slack(caplog) == []


def test_a_short_429_is_waited_out(slack: SlackServer) -> None:
    slack.fail_next("chat.postMessage", Fault("status", 429, retry_after=1))
    make_sink(slack).send(make_letter())
    assert len(slack.posts()) == 1


def test_slow_slack_times_out_as_unknown(slack: SlackServer) -> None:
    slack.fail_next("chat.postMessage", Fault("stored_slow", seconds=1.5))
    sink = SlackSink(TOKEN, base_url=slack.base_url, timeout_seconds=1)
    with pytest.raises(DeliveryDelayed) as delayed:
        sink.send(make_letter())
    assert delayed.value.is_unknown
    assert len(slack.posts()) == 1


def break_token(slack: SlackServer) -> None:
    slack.is_token_revoked = True


def rename_channel(slack: SlackServer) -> None:
    next(c for c in slack.channels.values() if c.name == "support-ai").name = "elsewhere"


def leave_channel(slack: SlackServer) -> None:
    next(c for c in slack.channels.values() if c.name == "support-ai").is_member = False


def archive_channel(slack: SlackServer) -> None:
    next(c for c in slack.channels.values() if c.name == "support-ai").is_archived = True


def drop_scope(slack: SlackServer) -> None:
    slack.scopes.discard("chat:write")


@pytest.mark.parametrize(
    ("trouble", "what", "cure"),
    [
        (break_token, "the bot token was revoked", "install the Slack app again"),
        (rename_channel, "no channel #support-ai", "correct the channel in trendbreak.yml or features.yml"),
        (leave_channel, "the bot is not in #support-ai", "/invite @Trendbreak in #support-ai"),
        (archive_channel, "#support-ai is archived", "unarchive it"),
        (drop_scope, "lacks the scope chat:write", "OAuth & Permissions"),
    ],
)
def test_what_waiting_does_not_heal_names_its_cure(
    slack: SlackServer, trouble: object, what: str, cure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    trouble(slack)  # type: ignore[operator]
    with pytest.raises(DeliveryRefused) as refused:
        make_sink(slack).send(make_letter())
    assert what in refused.value.what
    assert cure in refused.value.cure
    assert TOKEN not in f"{refused.value} {refused.value!r} {caplog.text}"
    assert says_of_slack(caplog) == []
    assert slack.posts() == []


def test_blocks_that_slack_refuses_go_as_text(slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    letter = make_letter(sql="x")
    from tests.servers import slack as server_module

    monkeypatch.setattr(server_module, "check_blocks", lambda blocks: ["some new rule [json-pointer:/blocks/0]"])
    receipt = make_sink(slack).send(letter)
    [stored] = slack.posts()
    assert "blocks" not in stored
    assert "support_chat has cost $782" in stored["text"]
    assert "some new rule" in receipt.note


def test_a_channel_may_be_given_by_id(slack: SlackServer) -> None:
    channel = next(c for c in slack.channels.values() if c.name == "support-ai")
    sink, letter = make_sink(slack), make_letter(channel=channel.id)
    receipt = sink.send(letter)
    assert sink.find(letter, since=since(letter)) == replace(receipt, was_found=True)
    assert slack.called("conversations.list") == []


def test_public_channels_can_be_read_back_without_the_private_scope(slack: SlackServer) -> None:
    slack.add_channel("secret", is_private=True)
    sink, letter = make_sink(slack), make_letter()
    sink.send(letter)
    slack.fail_next("conversations.list", Fault("error", error="missing_scope"))
    assert sink.find(letter, since=since(letter)) is not None


def check(slack: SlackServer, token: str = TOKEN) -> tuple[str, str]:
    return check_token(token, "#support-ai", base_url=slack.base_url)


def test_check_token(slack: SlackServer) -> None:
    assert check(slack) == ("trendbreak in Acme, posts to #support-ai", "")
    leave_channel(slack)
    found, cure = check(slack)
    assert "the bot is not in #support-ai" in found
    assert "/invite" in cure
    assert check(slack, "xoxb-wrong")[0] == "Slack does not know the bot token"
    slack.fault_for_ever["auth.test"] = Fault("status", 503)
    found, cure = check(slack)
    assert "503" in found
    assert cure


def test_the_manifest_asks_for_what_is_used_and_no_more(slack: SlackServer) -> None:
    manifest = make_manifest()
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    assert scopes == sorted(scopes, key=list(SCOPES).index)
    slack.scopes = set(scopes)
    sink, letter = make_sink(slack), make_letter(chart=make_chart())
    parent = post(sink, letter)
    assert any(block["type"] == "image" for block in slack.posts()[0]["blocks"])
    assert sink.find(letter, since=since(letter)) is not None
    sink.edit(Letter(letter.message, letter.sent_at, thread=parent, card=replace(letter.message, chart=None)))
    assert sink.is_member(parent.channel_id, BOT_USER)
    assert check(slack)[1] == ""
    assert manifest["settings"]["socket_mode_enabled"]
    assert manifest["settings"]["interactivity"]["is_enabled"]
    assert len(manifest["display_information"]["description"]) <= 140


def test_the_base_url_needs_no_slash_at_its_end(slack: SlackServer) -> None:
    sink = SlackSink(TOKEN, base_url=slack.base_url.rstrip("/"))
    sink.send(make_letter())
    assert len(slack.posts()) == 1


def test_a_thread_that_began_in_a_folder_goes_on_in_slack_with_the_whole_card(slack: SlackServer) -> None:
    letter = make_letter()
    reply = replace(letter.message, idempotency_key="inc/2/resolve", action="resolve", title="✅ Resolved", chart=None)
    card = replace(letter.message, title="✅ Resolved · support_chat", chart=make_chart())
    answer = Letter(reply, letter.sent_at, thread=Receipt("/data/outbox", "001-open-support-chat"), card=card)
    sink = make_sink(slack)
    post(sink, answer)
    sink.edit(answer)
    [stored] = slack.posts()
    assert stored["blocks"][0]["text"]["text"] == "✅ Resolved · support_chat"
    assert any(block["type"] == "image" for block in stored["blocks"])
    assert slack.keys() == ["inc/2/resolve"]
    assert sink.find(answer, since=since(answer)) is not None


def test_buttons_come_with_interactive(slack: SlackServer) -> None:
    make_sink(slack, interactive=True).send(make_letter())
    [stored] = slack.posts()
    assert stored["blocks"][-1]["type"] == "actions"
