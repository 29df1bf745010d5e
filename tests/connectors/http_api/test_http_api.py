"""Retries, paging and secrets of the HTTP client, against a server that misbehaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from connectors.errors import (
    ConfigError,
    CredentialError,
    PagingError,
    PayloadError,
    PermissionDenied,
    TransientError,
    UnreachableError,
)
from connectors.http_api import (
    ApiKey,
    BaseUrl,
    Cures,
    HttpApi,
    NotFoundError,
    RequestRefusedError,
    RetryPolicy,
    has_more_cursor,
)
from tests.servers.json_api import Fault, JsonApi, RefusalError, Request, serve

SECRET = "key-canary-0f9e8d"
POLICY = RetryPolicy(
    attempts=3, first_wait_seconds=0.001, longest_wait_seconds=0.3, connect_timeout_seconds=1, read_timeout_seconds=0.3
)


class Pages(JsonApi):
    """Three pages by cursor."""

    def answer(self, request: Request) -> Any:
        number = int(request.query.get("page", ["0"])[0])
        return {"data": [number], "has_more": number < 2, "next_page": str(number + 1) if number < 2 else None}


@pytest.fixture
def stub() -> Iterator[Pages]:
    with serve(Pages()) as api:
        assert isinstance(api, Pages)
        yield api


def client(base_url: str, retry: RetryPolicy = POLICY) -> HttpApi:
    return HttpApi(
        source_name="acme",
        base_url=base_url,
        secret_headers={"X-Key": ("", SecretStr(SECRET))},
        cures=Cures(credential="renew the key", permission="grant the scope"),
        retry=retry,
    )


def get(stub: Pages, retry: RetryPolicy = POLICY) -> dict[str, Any]:
    with client(stub.url, retry).session() as session:
        return session.get("/things", [("a[]", "1"), ("a[]", "2")]).document


def test_sends_the_secret_and_repeated_parameters(stub: Pages) -> None:
    get(stub)
    assert stub.requests[0].headers["x-key"] == SECRET
    assert stub.requests[0].query == {"a[]": ["1", "2"]}


def test_waits_as_long_as_the_provider_wishes(stub: Pages) -> None:
    stub.faults = [Fault(status=429, headers=(("Retry-After", "0.2"),))]
    begun = time.monotonic()
    get(stub)
    assert time.monotonic() - begun >= 0.2


class Limited(JsonApi):
    """Refuses the first request, and counts those that come before its wish has passed."""

    refused = threading.Event()
    open_again = 0.0
    too_early = 0

    def answer(self, request: Request) -> Any:
        if not self.refused.is_set():
            self.open_again = time.monotonic() + 0.2
            self.refused.set()
            raise RefusalError(429, {"error": "slow down"}, (("Retry-After", "0.2"),))
        self.too_early += time.monotonic() < self.open_again
        return {"data": [1]}


def test_a_limit_that_one_session_meets_is_kept_by_all() -> None:
    with serve(Limited()) as stub, ThreadPoolExecutor(1) as other:
        assert isinstance(stub, Limited)
        api = client(stub.url)
        with api.session() as first, api.session() as second:
            waiting = other.submit(first.get, "/things")
            while not api._pause._until:
                stub.refused.wait(1)
            assert second.get("/things").document == waiting.result().document
        assert (stub.too_early, len(stub.requests)) == (0, 3)


def test_a_date_in_retry_after_is_measured_by_the_providers_clock(stub: Pages) -> None:
    # The answer's own Date is now; the wish lies years ahead, so nobody waits for it here.
    stub.faults = [Fault(status=503, headers=(("Retry-After", "Fri, 01 Jan 2100 00:00:00 GMT"),))]
    with pytest.raises(TransientError) as caught:
        get(stub)
    assert caught.value.retry_after_seconds is not None
    assert caught.value.retry_after_seconds > 10**8
    assert len(stub.requests) == 1


def test_a_limit_of_requests_per_minute_is_waited_out(stub: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + sum(slept))
    monkeypatch.setattr(time, "sleep", slept.append)
    stub.faults = [Fault(status=429, headers=(("Retry-After", "60"),))]
    assert get(stub, RetryPolicy())["data"] == [0]
    assert 59 < sum(slept) < 66
    assert len(stub.requests) == 2


def test_a_limit_that_does_not_end_is_left_to_the_flow_after_two_minutes(
    stub: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, slept = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + sum(slept))
    monkeypatch.setattr(time, "sleep", slept.append)
    stub.fault_for_ever = Fault(status=429, headers=(("Retry-After", "60"),))
    with pytest.raises(TransientError, match=r"\(3 attempts\)") as caught:
        get(stub, RetryPolicy())
    assert caught.value.retry_after_seconds == 60
    assert len(stub.requests) == 3


def test_a_longer_wish_than_the_policy_is_left_to_the_flow(stub: Pages) -> None:
    stub.fault_for_ever = Fault(status=429, headers=(("Retry-After", "120"),))
    with pytest.raises(TransientError) as caught:
        get(stub)
    assert caught.value.retry_after_seconds == 120
    assert len(stub.requests) == 1


@pytest.mark.parametrize("text", ["soon", "", "-5", "1e9"])
def test_a_retry_after_without_sense_falls_back_to_the_policy(stub: Pages, text: str) -> None:
    stub.faults = [Fault(status=429, headers=(("Retry-After", text),))]
    assert get(stub)["data"] == [0]


@pytest.mark.parametrize("kind", ["reset", "cut", "silence"])
def test_a_lost_connection_is_tried_again_a_bounded_number_of_times(stub: Pages, kind: str) -> None:
    stub.fault_for_ever = Fault(kind, seconds=0.6)
    with pytest.raises(TransientError, match=r"acme: GET /things: .*\(3 attempts\)"):
        get(stub)
    assert len(stub.requests) == 3


def test_nobody_listens() -> None:
    nobody = pytest.raises(UnreachableError, match=r"cannot connect .*\(3 attempts\)")
    with client("http://127.0.0.1:9").session() as session, nobody:
        session.get("/things")


@pytest.mark.parametrize(
    ("status", "body", "error", "cure"),
    [
        (401, '{"error": {"message": "no"}}', CredentialError, "renew the key"),
        (401, '{"error": {"message": "Missing scopes: api.usage.read"}}', PermissionDenied, "grant the scope"),
        (403, "", PermissionDenied, "grant the scope"),
        (404, "<html>", NotFoundError, "base_url"),
        (308, "", NotFoundError, "base_url"),
        (400, '{"error": {"code": "too_old", "message": "too far"}}', RequestRefusedError, "refuses"),
        (422, '{"message": "bad limit"}', RequestRefusedError, "refuses"),
        (501, "", RequestRefusedError, "refuses"),
    ],
)
def test_a_refusal_is_final_and_names_its_cure(
    stub: Pages, status: int, body: str, error: type[ConfigError], cure: str
) -> None:
    stub.fault_for_ever = Fault(status=status, body=body)
    with pytest.raises(error, match=f"HTTP {status}") as caught:
        get(stub)
    assert type(caught.value) is error
    assert cure in caught.value.cure
    assert len(stub.requests) == 1


def test_what_the_provider_says_is_passed_on_in_one_short_line(stub: Pages) -> None:
    stub.fault_for_ever = Fault(
        status=400, body='{"error": {"code": "c1", "message": "two\\nlines ' + "x" * 900 + '"}}'
    )
    with pytest.raises(RequestRefusedError) as caught:
        get(stub)
    assert caught.value.what.startswith("HTTP 400: c1 two lines xxx")
    assert len(caught.value.what) < 320


def test_pages_follow_the_cursor_and_repeat_the_query(stub: Pages) -> None:
    with client(stub.url).session() as session:
        pages = session.pages(
            "/things", [("q", "1")], cursor_param="page", next_cursor=has_more_cursor("next_page"), page_cap=3
        )
        assert [page.document["data"] for page in pages] == [[0], [1], [2]]
    assert [request.query for request in stub.requests] == [
        {"q": ["1"]},
        {"q": ["1"], "page": ["1"]},
        {"q": ["1"], "page": ["2"]},
    ]


def test_a_page_cap_that_cuts_the_answer_is_an_error(stub: Pages) -> None:
    with client(stub.url).session() as session, pytest.raises(PagingError, match="2 pages"):
        list(session.pages("/things", [], cursor_param="page", next_cursor=has_more_cursor("next_page"), page_cap=2))


@pytest.mark.parametrize("body", ["{}", '{"has_more": 1}', '{"has_more": "false"}'])
def test_paging_needs_has_more(stub: Pages, body: str) -> None:
    stub.fault_for_ever = Fault("garbage", body=body)
    with client(stub.url).session() as session, pytest.raises(PayloadError, match=r"page 1.*has_more"):
        list(session.pages("/things", [], cursor_param="page", next_cursor=has_more_cursor("next_page"), page_cap=2))


class Source(BaseModel):
    key: ApiKey
    url: BaseUrl


def test_options_tidy_what_they_can() -> None:
    source = Source(key="  abc\n", url="https://example.com/v1/")  # type: ignore[arg-type]
    assert source.key.get_secret_value() == "abc"
    assert source.url == "https://example.com/v1"


@pytest.mark.parametrize("key", ["", "  ", "a b", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_early(key: str) -> None:
    with pytest.raises(ValidationError, match="holds characters"):
        Source.model_validate({"key": key, "url": "https://example.com"})


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "https://u:p@example.com", "https://a/?k=1"])
def test_an_address_that_cannot_serve_is_refused_early(url: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        Source.model_validate({"key": "abc", "url": url})
