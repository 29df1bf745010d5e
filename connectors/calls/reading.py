"""Values of other tools' logs → the events' words. Their exports write one thing in several ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from connectors.calls.rules import EPOCH, Rejected, is_plain

if TYPE_CHECKING:
    from connectors.calls.projection import Projection

LARGEST_POWER = 20  # of ten: nanoseconds have nineteen digits
# What a model's name says of who serves it, where a log names no provider.
_PROVIDERS_BY_MODEL = (
    (re.compile(r"^(gpt-|chatgpt|o\d|text-embedding-|whisper|tts-|dall-e|codex)"), "openai"),
    (re.compile(r"^claude"), "anthropic"),
    (re.compile(r"^(gemini|imagen|veo|text-bison)"), "google"),
    (re.compile(r"^(mistral|mixtral|codestral|ministral|pixtral)"), "mistral"),
    (re.compile(r"^(command|embed-|rerank)"), "cohere"),
    (re.compile(r"^grok"), "xai"),
    (re.compile(r"^deepseek"), "deepseek"),
)
_FEATURE_TAG = re.compile(r"^feature\s*[:=]\s*(.+)$", re.IGNORECASE)


@dataclass(frozen=True)
class OutcomeRow:
    """The outcome of a task, as a record of its own."""

    task_id: str
    outcome: str
    outcome_at: int  # µs since 1970


def decoded(value: Any) -> Any:
    """An object or a list that an export (CSV, Parquet) wrote as JSON text; everything else as it is."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, list) and value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return dict(value)  # a MAP of Parquet
    return value


def find(record: Mapping[str, Any], paths: Iterable[str]) -> Any:
    """The first value under one of the dotted paths that is there; names with dots are found as they are."""
    for path in paths:
        value = _at(record, path)
        if value not in (None, ""):
            return value
    return None


def _at(record: Any, path: str) -> Any:
    record = decoded(record)
    if not isinstance(record, Mapping):
        return None
    if path in record:
        return record[path]
    head, dot, rest = path.partition(".")
    while dot:
        if head in record:
            return _at(record[head], rest)
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def whole(value: Any, name: str) -> int | None:
    """A count that may be written as a number, a decimal or a text; None where it is absent. Raises Rejected."""
    if value is None or value == "" or value.__class__ is int:
        return value or (0 if value == 0 and value != "" else None)
    if isinstance(value, bool):
        raise Rejected(f"{name}: not a whole number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Rejected(f"{name}: not a whole number") from None
    if not number.is_finite() or number != number.to_integral_value():
        raise Rejected(f"{name}: not a whole number")
    if number.adjusted() > LARGEST_POWER:
        raise Rejected(f"{name}: absurdly large")
    return int(number)


def identifier(value: Any, name: str) -> str | None:
    """A text up to 256 characters; numbers and truth values as they are written. Raises Rejected."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal):
        raise Rejected(f"{name}: not a text")
    text = str(value)
    if not is_plain(text):
        raise Rejected(f"{name}: longer than 256 characters, or not valid Unicode")
    return text


def task_of_trace(value: Any, name: str, projection: Projection) -> str | None:
    """The id of a trace or session as its calls' task; what is no identifier is counted, and no call is lost for it."""
    try:
        return identifier(value, name)
    except Rejected:
        projection.keep("unusable_trace")
        return None


def moment(value: Any, name: str = "time") -> datetime | None:
    """A point in time that is text (RFC 3339, or UTC without a zone, with a blank or a T), or a timestamp."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if not isinstance(value, str):
        raise Rejected(f"{name}: not a time")
    text = value.strip().removesuffix(" UTC")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected(f"{name}: not a time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def nanoseconds(value: Any, name: str = "time") -> datetime | None:
    """Nanoseconds since 1970, as a number or its text."""
    count = whole(value, name)
    if not count:
        return None
    try:
        return EPOCH + timedelta(microseconds=count // 1000)
    except OverflowError:
        raise Rejected(f"{name}: not a time") from None


def milliseconds_between(start: datetime | None, end: datetime | None) -> int | None:
    """None where one is not known, or the end lies before the start."""
    if start is None or end is None or end < start:
        return None
    return round((end - start).total_seconds() * 1000)


def provider_of(model: str | None) -> str | None:
    """Who serves the model, by its name; None where the name does not tell."""
    if not model:
        return None
    head, slash, _ = model.partition("/")
    if slash and not head.startswith("ft:"):
        return head
    bare = model.lower().removeprefix("ft:")
    return next((provider for pattern, provider in _PROVIDERS_BY_MODEL if pattern.search(bare)), None)


def spans_around(parents: Mapping[str, str], calls: Iterable[str]) -> set[str]:
    """The ids of spans above a call, however many spans lie between. `parents`: span → the one that it names as parent.

    Spans that name each other, or themselves, as parents are around nothing.
    """
    found: set[str] = set()
    for call in calls:
        path: list[str] = []
        above = parents.get(call)
        while above is not None and above != call and above not in found and len(path) <= len(parents):
            path.append(above)
            above = parents.get(above)
        if above != call and len(path) <= len(parents):
            found.update(path)
    return found


def features_of(tags: Any) -> list[str]:
    """The different features that tags like `feature:support_chat` name, in their order."""
    tags = decoded(tags)
    if isinstance(tags, str):
        tags = [tags]
    if isinstance(tags, Mapping):
        tags = [f"{key}:{value}" for key, value in tags.items()]
    if not isinstance(tags, Sequence):
        return []
    found = [match.group(1).strip() for tag in tags if isinstance(tag, str) and (match := _FEATURE_TAG.match(tag))]
    return list(dict.fromkeys(found))


def uncached(total: int | None, *parts: int | None) -> int | None:
    """The input that was neither read from a cache nor written to one, of an input that includes both.

    Some writers count the parts beside the input although the convention includes them: an input that is
    smaller than its parts cannot include them, and stands as it is.
    """
    if total is None:
        return None
    known = sum(part or 0 for part in parts)
    return total - known if known <= total else total
