"""A provider's JSON API over HTTP: authentication, bounded retries, bounded paging.

Every connector that speaks HTTP goes through `HttpApi`, so that a 429, a reset or a repeated cursor
means the same everywhere. What can pass is tried again a bounded number of times and then raised as
TransientError, for the flow to try again later; everything else is raised at once, with its cure.

Secrets: a credential enters a request at the last moment, from a SecretStr, and is struck out of
every text that leaves this module, the provider's own error message included.
"""

from __future__ import annotations

import ipaddress
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from connectors.documents import decode
from connectors.errors import (
    ConfigError,
    CredentialError,
    PagingError,
    PayloadError,
    PermissionDenied,
    TransientError,
    UnreachableError,
)

if TYPE_CHECKING:
    import ssl

    import httpx
    from tenacity import RetryCallState

Query = Sequence[tuple[str, str]]
BRIEF_WAIT_SECONDS = 5.0
PATIENCE_SECONDS = 150.0  # of one request, for all that a provider asks it to wait: a minute, twice


def _checked_secret(secret: SecretStr) -> SecretStr:
    # An illegal character would make the HTTP library quote the whole header in its error.
    text = secret.get_secret_value().strip()
    if not text or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("is empty or holds characters that no key has (spaces, line breaks)")
    return SecretStr(text)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold neither credentials nor a query")
    return url.rstrip("/")


ApiKey = Annotated[SecretStr, AfterValidator(_checked_secret)]
BaseUrl = Annotated[str, AfterValidator(_checked_url)]


@dataclass(frozen=True)
class RetryPolicy:
    """How long to insist within one request; the flow's own retries come on top.

    The wait before attempt n+1 is the provider's Retry-After where it gave one, else
    first_wait_seconds × 2ⁿ⁻¹ less up to a half at random, at most longest_wait_seconds. A Retry-After longer than
    longest_wait_seconds, or one that would make PATIENCE_SECONDS of waiting, is not waited for here: it is raised,
    with the wish, for the flow to keep.
    """

    attempts: int = 5
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 65.0  # providers count requests per minute
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0


@dataclass(frozen=True)
class Page:
    """One answer: the body as sent, and what it says."""

    body: bytes
    document: dict[str, Any]
    where: str


@dataclass(frozen=True)
class Cures:
    """What to tell the person, in the words of the source's own configuration and console."""

    credential: str
    permission: str
    address: str = "check base_url in the configuration"


class HttpApi:
    """One provider's API. Constructing does no I/O; each `session()` has its own connections.

    `secret_headers` maps a header to (prefix, secret): {"Authorization": ("Bearer ", key)}.
    """

    def __init__(
        self,
        *,
        source_name: str,
        base_url: str,
        secret_headers: Mapping[str, tuple[str, SecretStr]],
        cures: Cures,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._source_name = source_name
        self._base_url = base_url
        self._secret_headers = dict(secret_headers)
        self._headers = {"Accept": "application/json", "User-Agent": "trendbreak", **(headers or {})}
        self._cures = cures
        self._retry = retry or RetryPolicy()
        self._pause = Pause()

    def __repr__(self) -> str:
        return f"HttpApi({self._source_name!r}, {self._base_url!r})"

    @contextmanager
    def session(self, *, is_brief: bool = False) -> Iterator[Session]:
        """Connections that are closed at the end of the block. `is_brief`: of two attempts, for a person who waits."""
        import httpx

        retry = self._retry
        if is_brief:
            longest = min(BRIEF_WAIT_SECONDS, retry.longest_wait_seconds)
            retry = replace(retry, attempts=min(2, retry.attempts), longest_wait_seconds=longest)

        host = urlsplit(self._base_url).hostname or ""
        timeout = httpx.Timeout(retry.read_timeout_seconds, connect=retry.connect_timeout_seconds)
        # Proxies come from the environment, but never for a server on this machine. No redirects:
        # one would carry the credential to a host that nobody configured.
        with httpx.Client(
            timeout=timeout,
            headers=self._headers,
            trust_env=not _is_loopback(host),
            follow_redirects=False,
            verify=_trusted_authorities(),
        ) as client:
            yield Session(
                client,
                source_name=self._source_name,
                base_url=self._base_url,
                secret_headers=self._secret_headers,
                cures=self._cures,
                retry=retry,
                pause=self._pause,
            )


class Pause:
    """How long the provider wishes to be left alone: by all sessions of one API, which share its rate limit."""

    def __init__(self) -> None:
        self._until = 0.0  # of time.monotonic()

    def keep(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        while (seconds := self._until - time.monotonic()) > 0:
            time.sleep(seconds)


class Session:
    """Requests over one set of connections, made by `HttpApi.session`."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        source_name: str,
        base_url: str,
        secret_headers: Mapping[str, tuple[str, SecretStr]],
        cures: Cures,
        retry: RetryPolicy,
        pause: Pause,
    ) -> None:
        self._client = client
        self._source_name = source_name
        self._base_url = base_url
        self._secret_headers = secret_headers
        self._cures = cures
        self._retry = retry
        self._pause = pause

    def get(self, path: str, query: Query = (), *, where: str = "") -> Page:
        """One answer as a JSON object.

        Raises TransientError when the attempts are used up, ConfigError (CredentialError,
        PermissionDenied) when the provider refuses, PayloadError when it answers no JSON object.
        """
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        policy = self._retry
        where = where or self._place(path)
        started = time.monotonic()

        def can_pass(error: BaseException) -> bool:
            if isinstance(error, TransientError):
                wish = error.retry_after_seconds or 0
                spent = time.monotonic() - started
                return wish <= policy.longest_wait_seconds and (not wish or spent + wish <= PATIENCE_SECONDS)
            # A gateway in between can cut or replace one answer; a provider does not do it thrice.
            return isinstance(error, PayloadError)

        retrying = Retrying(
            stop=stop_after_attempt(policy.attempts),
            wait=wait_before_retry(policy),
            retry=retry_if_exception(can_pass),
            reraise=True,
        )
        try:
            return retrying(self._get_once, path, query, where)
        except TransientError as error:
            attempts = retrying.statistics["attempt_number"]
            raise type(error)(
                f"{error.what} ({attempts} attempts)" if attempts > 1 else error.what,
                where=error.where,
                cure=error.cure,
                retry_after_seconds=error.retry_after_seconds,
            ) from None

    def pages(
        self, path: str, query: Query, *, cursor_param: str, next_cursor: NextCursor, page_cap: int, where: str = ""
    ) -> Iterator[Page]:
        """Answers until the provider says that there is no more; each repeats `query` in full.

        Raises PagingError when a cursor comes twice, or when page `page_cap` still promises more:
        stopping there without a word would understate the bill.
        """
        where = where or self._place(path)
        seen: set[str] = set()
        cursor: str | None = None
        for number in range(1, page_cap + 1):
            place = f"{where} page {number}"
            page = self.get(path, [*query, (cursor_param, cursor)] if cursor else query, where=place)
            yield page
            cursor = next_cursor(page)
            if cursor is None:
                return
            if cursor in seen:
                raise PagingError(
                    "the provider sent the same cursor twice, so the answer never ends",
                    where=place,
                    cure="nothing of it was loaded; run again later, and report it to the provider if it stays",
                )
            seen.add(cursor)
        raise PagingError(
            f"{page_cap} pages came and the provider still promises more than this window can hold",
            where=where,
            cure="nothing of it was loaded; ask for a shorter window, and report it to the provider if it stays",
        )

    def _get_once(self, path: str, query: Query, where: str) -> Page:
        import httpx

        self._pause.wait()
        try:
            response = self._client.get(f"{self._base_url}{path}", params=list(query), headers=self._credentials())
        except httpx.ConnectError as error:
            self._lost(f"cannot connect ({self._hide_secrets(str(error))})", where, UnreachableError)
        except httpx.ConnectTimeout:
            self._lost("cannot connect (no answer in time)", where, UnreachableError)
        except httpx.TimeoutException:
            self._lost("no answer in time", where)
        except (httpx.TransportError, httpx.DecodingError) as error:
            self._lost(f"the connection broke ({type(error).__name__})", where)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise ConfigError("the address is not usable", where=where, cure=self._cures.address) from None
        if response.status_code != 200:
            self._refuse(response, where)
        return Page(body=response.content, document=decode(response.content, where=where), where=where)

    def _place(self, path: str) -> str:
        return f"{self._source_name}: GET {path}"

    def _credentials(self) -> dict[str, str]:
        return {name: prefix + secret.get_secret_value() for name, (prefix, secret) in self._secret_headers.items()}

    def _hide_secrets(self, text: str) -> str:
        for _, secret in self._secret_headers.values():
            if secret.get_secret_value():
                text = text.replace(secret.get_secret_value(), "***")
        return text

    def _lost(self, what: str, where: str, kind: type[TransientError] = TransientError) -> NoReturn:
        # No `from`: the library's error carries the request, and the request carries the credential.
        raise kind(
            what, where=where, cure="it is tried again at the next run; if it stays, check base_url and the network"
        ) from None

    def _refuse(self, response: httpx.Response, where: str) -> NoReturn:
        status, cures = response.status_code, self._cures
        said = self._hide_secrets(_provider_message(response))
        what = f"HTTP {status}" + (f": {said}" if said else "")
        if status == 429 or status in (408, 425) or (status >= 500 and status != 501):
            wish = retry_after_seconds(response.headers)
            if status == 429 and wish is not None and wish <= self._retry.longest_wait_seconds:
                self._pause.keep(wish)
            raise TransientError(what, where=where, cure="it is tried again at the next run", retry_after_seconds=wish)
        # OpenAI answers 401 where a key is good but lacks a scope.
        if status == 403 or (status == 401 and re.search(r"insufficient permission|missing scope", said, re.I)):
            raise PermissionDenied(what, where=where, cure=cures.permission)
        if status == 401:
            raise CredentialError(what, where=where, cure=cures.credential)
        if status == 404 or 300 <= status < 400:
            raise NotFoundError(what, where=where, cure=cures.address)
        raise RequestRefusedError(what, where=where, cure="the provider refuses these days or options: see its message")


class NotFoundError(ConfigError):
    """The provider has nothing at this address."""


class RequestRefusedError(ConfigError):
    """The provider understood and refused (400, 422): a limit of its own, usually."""


NextCursor = Callable[[Page], str | None]


def has_more_cursor(cursor_field: str) -> NextCursor:
    """Paging by `has_more` and a cursor in `cursor_field`, as OpenAI and Anthropic do it.

    `has_more: true` without a cursor is an error: the rest of the answer could not be asked for.
    """

    def next_cursor(page: Page) -> str | None:
        has_more = page.document.get("has_more")
        if not isinstance(has_more, bool):
            raise PayloadError("field 'has_more': expected true or false", where=page.where, cure=_DOCUMENTED)
        if not has_more:
            return None
        cursor = page.document.get(cursor_field)
        if not isinstance(cursor, str) or not cursor:
            raise PayloadError(
                f"field {cursor_field!r}: expected a cursor, as has_more is true", where=page.where, cure=_DOCUMENTED
            )
        return cursor

    return next_cursor


_DOCUMENTED = "the provider's answer is not what it documents: run again, and report it if it stays"


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """Loaded once for all sessions: reading the list of authorities takes longer than most requests."""
    import httpx

    return httpx.create_ssl_context()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def wait_before_retry(policy: RetryPolicy) -> Callable[[RetryCallState], float]:
    """The seconds before the next attempt, as RetryPolicy says; for tenacity's `wait`."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and error.retry_after_seconds is not None:
            return error.retry_after_seconds
        longest = min(policy.longest_wait_seconds, policy.first_wait_seconds * 2.0 ** (state.attempt_number - 1))
        return longest * random.uniform(0.5, 1.0)  # so that many clients do not come back at once

    return wait


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; a date in it is measured against the answer's own Date, not our clock."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def _provider_message(response: httpx.Response) -> str:
    """What the provider says about its refusal, on one line, at most 300 characters."""
    try:
        document = json.loads(response.content)
    except ValueError:
        return ""  # a gateway's HTML page helps nobody
    error = document.get("error", document) if isinstance(document, dict) else None
    if isinstance(error, dict):
        parts = [error.get("code"), error.get("type"), error.get("message")]
        text = " ".join(str(part) for part in parts if isinstance(part, (str, int)))
    else:
        text = error if isinstance(error, str) else ""
    return " ".join(text.split())[:300]
