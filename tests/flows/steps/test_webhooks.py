"""Fallbacks and the signed webhook, through the daily run; and the enforcement example against a LiteLLM stand-in."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from alerts.sinks import sign, verify
from flows.summary import summarise
from tests.flows.daily_home import DailyHome, daily_lines
from tests.servers import slack
from tests.servers.webhook import Receiver, receiving

AS_OF = date(2026, 11, 22)
FIRST = AS_OF - timedelta(days=61)
EXAMPLE = Path(__file__).parents[3] / "infra" / "examples" / "litellm_budget_guard.py"


def make_home(folder: Path, extra: str, *, budget: int = 2250) -> DailyHome:
    home = DailyHome(folder, extra=extra)
    home.feature_text = (
        f"version: 1\nfeatures: {{chat: {{monthly_budget_usd: {budget}}}}}\n"
        "rules:\n  - {when: {tag.feature: chat}, feature: chat}\n"
    )
    home.write()
    home.bill("drop", daily_lines("chat", FIRST, 61))
    return home


def test_what_the_bot_cannot_post_is_told_on_the_incoming_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slack.serve() as server, receiving() as receiver:
        monkeypatch.setenv("BOT", slack.TOKEN)
        monkeypatch.setenv("HOOK", receiver.url)
        where = f'token: "${{BOT}}", base_url: "{server.base_url}", channel: "#nowhere", webhook_url: "${{HOOK}}"'
        home = make_home(tmp_path, f"slack: {{{where}}}\n")
        summary = summarise(home.run(AS_OF))
        assert "#nowhere" in summary.undelivered[0]
        assert "correct the channel" in summary.undelivered[0]
        assert "meanwhile sent to the Slack incoming webhook" in summary.undelivered[0]
        [body] = [json.loads(body) for body in receiver.bodies]
        assert "budget" in body["text"]
        assert "may arrive twice" in json.dumps(body["blocks"])
        home.run(AS_OF, hour=12)
        assert len(receiver.bodies) == 1
        assert receiver.url not in str(summary) + json.dumps(home.ask("SELECT error FROM ops.outbox"))


def test_without_a_token_the_incoming_webhook_is_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        home = make_home(tmp_path, 'slack: {webhook_url: "${HOOK}"}\n')
        assert summarise(home.run(AS_OF)).undelivered == ()
        assert len(receiver.bodies) == 1
        receiver.status = 404
        home.bill("drop", daily_lines("chat", FIRST, 65))
        [undelivered] = summarise(home.run(AS_OF + timedelta(days=4))).undelivered
        assert "slack.webhook_url points" in undelivered
        assert receiver.url not in undelivered


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("litellm_budget_guard", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def guard(litellm: Receiver) -> Iterator[str]:
    settings: dict[str, Any] = {
        "secret": "s3cret",
        "litellm_url": litellm.url.removesuffix("/services/T0/B0/secret"),
        "master_key": "sk-master",
        "guarded": {"chat": {"key": "sk-chat", "normal_budget_usd": 500, "lowered_budget_usd": 50}},
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), load_example().make_handler(settings))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


def run_today(home: DailyHome, days: int) -> Any:
    """A run whose clock is the present, as signatures are good for five minutes."""
    today = datetime.now(UTC).date()
    home.bill("drop", daily_lines("chat", today - timedelta(days=60), days))
    from flows.run import open_run
    from flows.settings import load_settings
    from flows.steps.direct import run_direct

    with open_run(load_settings(home.folder / "trendbreak.yml")) as run:
        run_direct(run)
    return summarise(run)


def test_a_budget_incident_lowers_a_litellm_keys_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    with receiving() as litellm, guard(litellm) as url:
        monkeypatch.setenv("HOOK", url)
        home = make_home(tmp_path, 'webhook: {url: "${HOOK}", secret: "${SECRET}"}\n', budget=10)
        litellm.status = 500
        [undelivered] = run_today(home, 60).undelivered
        assert "the webhook answers 503" in undelivered
        litellm.status = 200
        litellm.bodies.clear()
        litellm.headers.clear()
        summary = run_today(home, 60)
        assert summary.undelivered == ()
        assert [json.loads(body) for body in litellm.bodies] == [{"key": "sk-chat", "max_budget": 50}]
        assert litellm.headers[0]["Authorization"] == "Bearer sk-master"
        assert any(status == "sent, to the webhook" for _, _, status in summary.told)
        run_today(home, 60)
        assert len(litellm.bodies) == 1

        (tmp_path / "features.yml").write_text((tmp_path / "features.yml").read_text().replace(": 10", ": 900000"))
        run_today(home, 60)
        assert json.loads(litellm.bodies[-1]) == {"key": "sk-chat", "max_budget": 500}


def test_the_example_takes_a_call_once_however_often_somebody_sends_it_again() -> None:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    message = {"node": "chat", "kind": "budget", "status": "open"}
    body, now = json.dumps({"key": "k", "message": message}).encode(), datetime.now(UTC)
    signed = {"X-Trendbreak-Signature": sign(body, b"s3cret", now)}
    rewritten = {"X-Trendbreak-Signature": signed["X-Trendbreak-Signature"] + ",x=1"}
    again = {"X-Trendbreak-Signature": sign(body, b"s3cret", now - timedelta(seconds=2))}  # Trendbreak's own retry
    old = {"X-Trendbreak-Signature": sign(body, b"s3cret", now - timedelta(minutes=6))}
    answers = []
    with receiving() as litellm, guard(litellm) as url:
        for headers in (signed, signed, rewritten, again, old):
            try:
                with urlopen(Request(url, data=body, headers=headers)) as answer:
                    answers.append(answer.status)
            except HTTPError as refused:
                answers.append(refused.code)
                refused.close()
        assert answers == [204, 409, 409, 204, 401]
        assert [json.loads(sent) for sent in litellm.bodies] == [{"key": "sk-chat", "max_budget": 50}] * 2


def test_the_example_refuses_what_is_not_signed() -> None:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    with receiving() as litellm, guard(litellm) as url:
        for signature in ("t=1,v1=0", "t=\u00b2,v1=\u00e9", ""):
            with pytest.raises(HTTPError) as refused:
                urlopen(Request(url, data=b"{}", headers={"X-Trendbreak-Signature": signature}))
            refused.value.close()
            assert refused.value.code == 401
        assert litellm.bodies == []


def test_the_webhook_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        home = make_home(tmp_path, 'webhook: {url: "${HOOK}", secret: "${SECRET}"}\n')
        home.run(AS_OF)
        [body] = receiver.bodies
        [headers] = receiver.headers
        now = datetime(2026, 11, 22, 9, tzinfo=UTC)
        assert verify(body, headers["X-Trendbreak-Signature"], b"s3cret", now=now)
        assert not verify(body, headers["X-Trendbreak-Signature"], b"other", now=now)
        message = json.loads(body)["message"]
        assert (message["kind"], message["node"], message["status"]) == ("budget", "chat", "open")
        assert len(list((tmp_path / "data" / "outbox").glob("*.json"))) == 1  # and the folder has it as ever
