"""A small local stand-in for OpenAI's organization API, so that the real connector runs in the demo.

It answers `/v1/organization/costs`, `/usage/*`, `/projects` and `/projects/{id}/api_keys` in the
documented shape: bearer key, `group_by`, `limit` with the documented maxima, pages with cursors.
It binds to 127.0.0.1 only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEMO_ADMIN_KEY = "demo-admin-key"  # opens nothing but this stand-in
_DAY_SECONDS = 86_400
_USAGE_KINDS = {
    "completions", "embeddings", "moderations", "images", "audio_speeches", "audio_transcriptions", "vector_stores",
    "code_interpreter_sessions", "file_search_calls", "web_search_calls",
}  # fmt: skip
_COST_GROUPS = {"project_id", "line_item", "api_key_id"}
_USAGE_GROUPS = {"project_id", "user_id", "api_key_id", "model", "batch", "service_tier"}
_USAGE_DIMENSIONS = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")
# A page may hold fewer buckets than asked for; this one always pages.
_BUCKETS_PER_PAGE = 20


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class OpenAIServer:
    """Serves one `answers.json`. Use as a context manager; `base_url` is the connector's option."""

    def __init__(self, answers: Path, *, port: int = 0) -> None:
        self._answers: dict[str, Any] = json.loads(answers.read_text())
        self._by_day: dict[str, dict[int, list[dict[str, Any]]]] = {
            name: _group_by_day(self._answers[name]) for name in ("costs", "usage_completions")
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        parts = path.removeprefix("/v1/organization/").split("/")
        match parts:
            case ["costs"]:
                return self._buckets(query, self._by_day["costs"], _COST_GROUPS, most=180, default=7)
            case ["usage", kind] if kind in _USAGE_KINDS:
                rows = self._by_day["usage_completions"] if kind == "completions" else {}
                return self._buckets(query, rows, _USAGE_GROUPS, most=31, default=7)
            case ["projects"]:
                return _list_page(self._answers["projects"], query)
            case ["projects", project_id, "api_keys"]:
                if not any(project["id"] == project_id for project in self._answers["projects"]):
                    raise _RefusedError(404, "not_found", f"No project with id {project_id}")
                return _list_page(self._answers["api_keys"].get(project_id, []), query)
        raise _RefusedError(404, "not_found", f"Unknown request URL: GET {path}")

    def _buckets(
        self,
        query: dict[str, list[str]],
        rows: dict[int, list[dict[str, Any]]],
        groups_known: set[str],
        *,
        most: int,
        default: int,
    ) -> dict[str, Any]:
        if "start_time" not in query:
            raise _RefusedError(400, "missing_required_parameter", "Missing required parameter: 'start_time'")
        start = _whole(query, "start_time", 0)
        limit = _whole(query, "limit", default)
        if not 1 <= limit <= most:
            raise _RefusedError(400, "invalid_value", f"'limit' must be between 1 and {most}")
        if query.get("bucket_width", ["1d"]) != ["1d"]:
            raise _RefusedError(400, "invalid_value", "this stand-in knows 'bucket_width' 1d only")
        groups = _many(query, "group_by")
        if unknown := set(groups) - groups_known:
            raise _RefusedError(400, "invalid_value", f"Invalid 'group_by': {sorted(unknown)}")
        projects, keys = set(_many(query, "project_ids")), set(_many(query, "api_key_ids"))
        first = start // _DAY_SECONDS
        last_known = max(rows, default=first - 1)
        end = -(-_whole(query, "end_time", (last_known + 1) * _DAY_SECONDS) // _DAY_SECONDS)
        if end <= first:
            raise _RefusedError(400, "invalid_value", "'end_time' must be after 'start_time'")
        begin = first + _offset(query)
        stop = min(end, begin + min(limit, _BUCKETS_PER_PAGE))
        data: list[dict[str, Any]] = []
        for day in range(begin, stop):
            chosen = [
                row
                for row in rows.get(day, [])
                if (not projects or row["project_id"] in projects) and (not keys or row["api_key_id"] in keys)
            ]
            data.append(
                {
                    "object": "bucket",
                    "start_time": day * _DAY_SECONDS,
                    "end_time": (day + 1) * _DAY_SECONDS,
                    "results": _aggregate(chosen, groups),
                }
            )
        has_more = stop < end
        return {
            "object": "page",
            "data": data,
            "has_more": has_more,
            "next_page": _cursor(stop - first) if has_more else None,
        }


def _aggregate(rows: Iterable[dict[str, Any]], groups: list[str]) -> list[dict[str, Any]]:
    """Rows of the finest grain added up to `groups`; dimensions that were not asked for are null."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[group] for group in groups)
        if key not in found:
            found[key] = _blank(row, groups)
        _add(found[key], row)
    for row in found.values():
        if "amount" in row and not row.pop("_as_text"):
            row["amount"]["value"] = float(row["amount"]["value"])
        elif "amount" in row:
            row["amount"]["value"] = str(row["amount"]["value"])
    return list(found.values())


def _blank(row: dict[str, Any], groups: list[str]) -> dict[str, Any]:
    if "amount" in row:
        return {
            "object": row["object"],
            "amount": {"value": Decimal(0), "currency": row["amount"]["currency"]},
            "line_item": row["line_item"] if "line_item" in groups else None,
            "project_id": row["project_id"] if "project_id" in groups else None,
            "api_key_id": row["api_key_id"] if "api_key_id" in groups else None,
            # The provider gives quantities per line item only.
            "quantity": 0 if "line_item" in groups else None,
            "quantity_unit": row["quantity_unit"] if "line_item" in groups else None,
            "_as_text": isinstance(row["amount"]["value"], str),
        }
    counts = {name: 0 for name, value in row.items() if type(value) is int and name != "start_time"}
    dimensions = {name: row[name] if name in groups else None for name in _USAGE_DIMENSIONS}
    return {"object": row["object"], **counts, **dimensions}


def _add(total: dict[str, Any], row: dict[str, Any]) -> None:
    if "amount" in row:
        total["amount"]["value"] += Decimal(str(row["amount"]["value"]))
        if total["quantity"] is not None:
            total["quantity"] += row["quantity"]
        return
    for name, value in row.items():
        if type(value) is int and name != "start_time":
            total[name] += value


def _list_page(items: list[dict[str, Any]], query: dict[str, list[str]]) -> dict[str, Any]:
    limit = _whole(query, "limit", 20)
    if not 1 <= limit <= 100:
        raise _RefusedError(400, "invalid_value", "'limit' must be between 1 and 100")
    after = query.get("after", [None])[0]
    begin = next((index + 1 for index, item in enumerate(items) if item["id"] == after), 0)
    page = items[begin : begin + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": begin + limit < len(items),
    }


def _group_by_day(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    by_day: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_day.setdefault(row["start_time"] // _DAY_SECONDS, []).append(row)
    return by_day


def _many(query: dict[str, list[str]], name: str) -> list[str]:
    """Arrays come as `name[]=…` or as repeated `name=…`."""
    return [*query.get(f"{name}[]", []), *query.get(name, [])]


def _whole(query: dict[str, list[str]], name: str, default: int) -> int:
    try:
        return int(query.get(name, [str(default)])[0])
    except ValueError:
        raise _RefusedError(400, "invalid_value", f"'{name}' must be an integer") from None


def _cursor(offset: int) -> str:
    return "page_" + base64.urlsafe_b64encode(f"{offset:012d}".encode()).decode()


def _offset(query: dict[str, list[str]]) -> int:
    cursor = query.get("page", [None])[0]
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor.removeprefix("page_").encode()))
    except ValueError:
        raise _RefusedError(400, "invalid_value", "Invalid 'page' cursor") from None


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave in one packet; else each answer waits 40 ms for a delayed ACK.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            try:
                if self.headers.get("Authorization") != f"Bearer {DEMO_ADMIN_KEY}":
                    raise _RefusedError(401, "invalid_api_key", "Incorrect API key provided")
                status, answer = 200, server.answer(address.path, parse_qs(address.query))
            except _RefusedError as refusal:
                error = {"message": str(refusal), "type": "invalid_request_error", "param": None, "code": refusal.code}
                status, answer = refusal.status, {"error": error}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """The demo's terminal is not an access log."""

    return Handler
