"""One line of telemetry → one row of the allow-list, or a reason why not.

The rules, in the order in which they apply to a line:

    not a JSON object, not UTF-8, longer than 16 MiB            rejected
    time absent, not RFC 3339, without offset, before 2015      rejected: it belongs to no day
    provider or model absent                                    rejected: it cannot be priced
    a text longer than 256 characters, or not a text            rejected: it is no identifier
    a count negative, fractional or absurdly large              rejected
    feature absent                                              kept: its cost stays unallocated
    task_id absent                                              kept: counts as a call, not as a task
    tokens absent                                               kept: unknown is null, never 0
    status that is neither ok nor error                         kept, status unknown
    any other field                                             dropped, counted by its name
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from types import NoneType
from typing import Any

from connectors.schema import CALLS

LONGEST_LINE_BYTES = 16 * 2**20
LONGEST_TEXT = 256
LINE_NUMBERS_KEPT = 20
FIELD_NAMES_KEPT = 50
FIRST_DAY = datetime(2015, 1, 1, tzinfo=UTC)
LAST_DAY = datetime(2100, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TEXTS = (
    "provider",
    "model",
    "feature",
    "task_id",
    "task_type",
    "outcome",
    "response_id",
    "plan",
    "release",
    "prompt_version",
    "api_key_id",
)
REQUIRED_TEXTS = frozenset({"provider", "model"})
# The largest count that is believed: no single call has more tokens than a hundred million.
COUNTS = {
    "attempt": 10_000,
    "input_tokens": 10**8,
    "cache_read_tokens": 10**8,
    "cache_write_tokens": 10**8,
    "output_tokens": 10**8,
    "reasoning_tokens": 10**8,
    "tool_calls": 10**6,
    "latency_ms": 10**9,
}
STATUSES = {"ok": "ok", "success": "ok", "error": "error", "failed": "error", "failure": "error", "timeout": "error"}
KNOWN = frozenset({"time", "status", "user_id", "gpu_seconds", *TEXTS, *COUNTS})
# A field's name may itself be somebody's text; only what looks like a name is repeated.
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
OTHER_NAMES = "(other names)"
LARGEST_GPU_SECONDS = 1e9
RECORDS_AT_ONCE = 4096
BYTES_AT_ONCE = 8 * 2**20
TEXT_TYPES = {str, NoneType}
COUNT_TYPES = {int, NoneType}


class Rejected(Exception):  # it is no error of ours: a line of the input that is set aside
    """Why a line is not a call. The reason names a field, never its content."""


class Projection:
    """Projects the lines of one file, and counts what it leaves out."""

    def __init__(self, hash_key: bytes | None) -> None:
        self._hash_key = hash_key
        self._hashes: dict[str, str] = {}
        self._line_number = 0
        self._calls = 0
        self._pending = 0
        self._blank = 0
        self._rejected: Counter[str] = Counter()
        self._rejected_at: dict[str, list[int]] = {}
        self._kept: Counter[str] = Counter()
        self._dropped_fields: Counter[str] = Counter()
        self._user_ids = 0

    @property
    def rejected_lines(self) -> int:
        return self._rejected.total()

    def count_pending(self) -> None:
        self._pending = 1

    def reject_long_line(self) -> None:
        self._line_number += 1
        self._reject("longer than 16 MiB")

    def reasons(self) -> list[str]:
        """Each reason with its count and first line numbers, the most frequent first."""
        texts: list[str] = []
        for reason, count in self._rejected.most_common():
            numbers = ", ".join(map(str, self._rejected_at[reason][:5]))
            texts.append(f"{reason}: {count}× (line {numbers}{', …' if count > 5 else ''})")
        return texts

    def report(self) -> bytes:
        """What was left out, as JSON: counts, reasons, line numbers and field names; no content."""
        report = {
            "lines": self._line_number,
            "calls": self._calls,
            "pending_lines": self._pending,
            "rejected": {
                reason: {"count": self._rejected[reason], "lines": self._rejected_at[reason]}
                for reason in self._rejected
            },
            "kept_with_gaps": dict(self._kept),
            "dropped_fields": dict(self._dropped_fields),
            "dropped_user_ids": 0 if self._hash_key else self._user_ids,
        }
        return json.dumps(report, sort_keys=True).encode()

    def columns(self, lines: Iterator[bytes]) -> Iterator[list[Sequence[Any]]]:
        """The calls, some thousands at a time, as columns in the order of schema.CALLS.

        A last line without its line end is taken if it is whole, else left for the next run.
        """
        numbered: list[tuple[int, dict[str, Any]]] = []
        size = 0
        for line_size, line_number, record in self._records(lines):
            numbered.append((line_number, record))
            size += line_size
            # Prompts can be long: what is held at once is bounded by bytes as well as by number.
            if len(numbered) == RECORDS_AT_ONCE or size > BYTES_AT_ONCE:
                yield from self._project_batch(numbered)
                numbered, size = [], 0
        yield from self._project_batch(numbered)

    def _project_batch(self, numbered: list[tuple[int, dict[str, Any]]]) -> Iterator[list[Sequence[Any]]]:
        columns = self._project_columns([record for _, record in numbered])
        if columns is None:
            columns = self._project_rows(numbered)
        numbered.clear()  # not held while the caller works on the columns
        if columns and columns[0]:
            self._calls += len(columns[0])
            yield columns

    def _records(self, lines: Iterator[bytes]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """(bytes of the line, its number, the object on it) of every line that holds a JSON object."""
        decode = json.JSONDecoder().decode
        for line in lines:
            self._line_number += 1
            if self._line_number == 1 and line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]
            try:
                text = line.decode()
                record = decode(text)
            except (ValueError, RecursionError) as error:
                if not line.strip():
                    continue
                if not line.endswith(b"\n"):
                    self._pending = 1
                    self._line_number -= 1
                else:
                    self._reject("not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON")
                continue
            if record.__class__ is dict:
                yield len(line), self._line_number, record
            else:
                self._reject("not a JSON object")

    def _project_columns(self, records: list[dict[str, Any]]) -> list[Sequence[Any]] | None:
        """All records at once, when every one of them is clean; None when one is not.

        Checks a column by its set of types and its extremes: four times as fast as row by row.
        """
        columns: dict[str, Sequence[Any]] = {}
        for name in TEXTS:
            values = [record.get(name) for record in records]
            types = set(map(type, values))
            if not types <= TEXT_TYPES or (name in REQUIRED_TEXTS and NoneType in types):
                return None
            distinct = set(values)
            if "" in distinct or any(not _is_plain(value) for value in distinct if value is not None):
                return None
            columns[name] = values
        for name, largest in COUNTS.items():
            values = [record.get(name) for record in records]
            if not set(map(type, values)) <= COUNT_TYPES:
                return None
            known: set[int] = {value for value in set(values) if value is not None}
            if known and (min(known) < (name == "attempt") or max(known) > largest):
                return None
            columns[name] = values
        try:
            columns["called_at"] = [read_time(record.get("time")) for record in records]
            columns["gpu_seconds"] = [_gpu_seconds(record.get("gpu_seconds")) for record in records]
        except Rejected:
            return None
        columns["logged_cost_usd"] = [None] * len(records)
        for name in ("feature", "task_id"):
            if missing := columns[name].count(None):
                self._kept[f"no {name}"] += missing
        columns["status"] = [self._status(record.get("status")) for record in records]
        columns["user_hash"] = [self._user_hash(record.get("user_id")) for record in records]
        for shape, count in Counter(map(tuple, records)).items():
            self._count_dropped(shape, count)
        return [columns[name] for name in CALLS.names]

    def _project_rows(self, numbered: list[tuple[int, dict[str, Any]]]) -> list[Sequence[Any]]:
        rows: list[tuple[Any, ...]] = []
        for number, record in numbered:
            try:
                rows.append(self._project(record))
            except Rejected as rejected:
                self._reject(str(rejected), number)
        return list(zip(*rows, strict=True))

    def _reject(self, reason: str, line_number: int | None = None) -> None:
        self._rejected[reason] += 1
        numbers = self._rejected_at.setdefault(reason, [])
        if len(numbers) < LINE_NUMBERS_KEPT:
            numbers.append(line_number or self._line_number)

    def _project(self, record: dict[str, Any]) -> tuple[Any, ...]:
        called_at = read_time(record.get("time"))
        texts = [self._text(record, name) for name in TEXTS]
        counts = [_count(record, name, largest) for name, largest in COUNTS.items()]
        provider, model, feature, task_id, task_type, outcome, response_id, plan, release, prompt, key = texts
        attempt, uncached, cached, written, output, reasoning, tool_calls, latency_ms = counts
        if attempt == 0:
            raise Rejected("attempt: starts at 1")
        row = (
            called_at,
            provider,
            model,
            feature,
            task_id,
            task_type,
            attempt,
            outcome,
            self._status(record.get("status")),
            response_id,
            self._user_hash(record.get("user_id")),
            plan,
            release,
            prompt,
            key,
            uncached,
            cached,
            written,
            output,
            reasoning,
            tool_calls,
            latency_ms,
            _gpu_seconds(record.get("gpu_seconds")),
            None,
        )
        self._count_dropped(record, 1)
        return row

    def _text(self, record: dict[str, Any], name: str) -> str | None:
        value = record.get(name)
        if value.__class__ is int:
            value = str(value)
        if value is None or value == "":
            if name in REQUIRED_TEXTS:
                raise Rejected(f"{name}: missing")
            if name == "feature" or name == "task_id":
                self._kept[f"no {name}"] += 1
            return None
        if value.__class__ is not str:
            raise Rejected(f"{name}: not a text")
        if not _is_plain(value):
            raise Rejected(f"{name}: longer than {LONGEST_TEXT} characters, or not valid Unicode")
        return value

    def _status(self, value: Any) -> str | None:
        if value is None:
            return None
        status = STATUSES.get(value.lower()) if value.__class__ is str else None
        if status is None:
            self._kept["status is neither ok nor error"] += 1
        return status

    def _user_hash(self, value: Any) -> str | None:
        """HMAC-SHA256 of the id under the source's key, 32 hex digits; None without a key."""
        if value.__class__ is int:
            value = str(value)
        if value.__class__ is not str or not value:
            return None
        self._user_ids += 1
        if self._hash_key is None:
            return None
        known = self._hashes.get(value)
        if known is None:
            digest = hmac.digest(self._hash_key, value.encode("utf-8", "surrogatepass"), "sha256")
            if len(self._hashes) >= 100_000:
                self._hashes.clear()
            known = self._hashes[value] = digest.hex()[:32]
        return known

    def _count_dropped(self, names: Iterable[str], count: int) -> None:
        for name in sorted(set(names) - KNOWN):
            if not FIELD_NAME.fullmatch(name) or (
                name not in self._dropped_fields and len(self._dropped_fields) >= FIELD_NAMES_KEPT
            ):
                name = OTHER_NAMES
            self._dropped_fields[name] += count


def _is_plain(text: str) -> bool:
    """Short enough for an identifier, and free of lone surrogates, which no file can hold."""
    if len(text) > LONGEST_TEXT:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_time(value: Any) -> int:
    """Microseconds since 1970 of an RFC 3339 text. Raises Rejected."""
    if value is None or value == "":
        raise Rejected("time: missing")
    if value.__class__ is not str:
        raise Rejected("time: not RFC 3339")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise Rejected("time: not RFC 3339") from None
    if instant.tzinfo is None:
        raise Rejected("time: without offset from UTC")
    if not FIRST_DAY <= instant < LAST_DAY:
        raise Rejected("time: before 2015 or after 2099")
    passed = instant - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _count(record: dict[str, Any], name: str, largest: int) -> int | None:
    value = record.get(name)
    if value is None:
        return None
    if value.__class__ is float and value.is_integer():
        value = int(value)
    elif value.__class__ is float and name == "latency_ms" and math.isfinite(value):
        value = round(value)
    if value.__class__ is not int:
        raise Rejected(f"{name}: not a whole number")
    if value < 0:
        raise Rejected(f"{name}: negative")
    if value > largest:
        raise Rejected(f"{name}: larger than {largest}")
    return value


def _gpu_seconds(value: Any) -> float | None:
    if value is None:
        return None
    if value.__class__ is not float and value.__class__ is not int:
        raise Rejected("gpu_seconds: not a number")
    if not 0 <= value <= LARGEST_GPU_SECONDS:  # false for NaN too
        raise Rejected("gpu_seconds: negative, not finite or absurdly large")
    return float(value)
