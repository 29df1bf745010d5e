"""Tags in one form, whatever wrote them: a JSON object of texts, plain keys, sorted.

Exports prefix keys with where a tag comes from (`user:`, `resourceTags/user:`, `accountTag/`,
`userAttribute/`, `costCategory/`). The prefix goes, so that one rule finds the tag in every format.
Where two keys would become one, the key that had no prefix keeps the plain name, else the first
prefix in PREFIXES; the others keep their name as written. Keys stay case-sensitive. A tag without a
value (null) is no tag; an empty text is one. What is no JSON object at all is kept, unread, under
UNREAD, and the load says how many.

The load does this in SQL (`sql/load/canonical_tags.sql`) and comes here for the texts that are odd.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

PREFIXES = ("resourceTags/user:", "user:", "resourceTags/", "userAttribute/", "accountTag/", "costCategory/")
PREFIX = r"^(resourceTags/|accountTag/|userAttribute/|costCategory/)?(user:)?"
CUR_PREFIX = r"^(resourceTags/|accountTag/|userAttribute/|costCategory/)?(user:|user_)?"
UNREAD = "_unread"


def canonical_tags(raw: str, prefix: str = PREFIX, listed: Collection[str] | None = None) -> str | None:
    """The canonical text of one raw tags text; None when it holds no tag.

    `prefix`: what goes from its keys. `listed`: the only plain keys to keep; of a text that cannot be read it keeps
    nothing but UNREAD, for each such text would be a row.
    """
    pairs = _read_pairs(raw)
    if pairs is None:
        return _written({UNREAD: raw if listed is None else ""})
    claims: dict[str, list[str]] = {}
    for key in pairs:
        claims.setdefault(re.sub(prefix, "", key), []).append(key)
    named: dict[str, str] = {}
    for plain, keys in claims.items():
        winner = min(keys, key=_rank)
        named[plain] = pairs[winner]
        for key in keys:
            if key != winner:
                named[key] = pairs[key]
    if listed is not None:
        named = {key: named[key] for key in named.keys() & listed}
    return _written(named) if named else None


def _written(tags: dict[str, str]) -> str:
    # Half a character (an emoji cut in two) is no text that could be stored.
    return (
        json.dumps(tags, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8", "replace").decode()
    )


def _rank(key: str) -> tuple[int, str]:
    for place, prefix in enumerate(PREFIXES, start=1):
        if key.startswith(prefix):
            return place, key
    return 0, key


def _read_pairs(raw: str) -> dict[str, str] | None:
    for text in (raw, f"{{{raw}}}"):  # Azure's older exports leave the braces out
        try:
            loaded = json.loads(text)
        except ValueError:
            continue
        if loaded in (None, ""):
            return {}
        if isinstance(loaded, str):  # an object, written twice
            return _read_pairs(loaded)
        if isinstance(loaded, list):
            loaded = _from_list(loaded)
        if isinstance(loaded, dict):
            return {key: _as_text(tag) for key, tag in loaded.items() if tag is not None}
    return None


def _from_list(loaded: list[Any]) -> dict[str, Any] | None:
    """[{"key": …, "value": …}, …], as some exports write labels."""
    found: dict[str, Any] = {}
    for pair in loaded:
        if not isinstance(pair, dict):
            return None
        lowered = {name.lower(): part for name, part in pair.items()}
        if not {"key", "value"} <= lowered.keys():
            return None
        found[str(lowered["key"])] = lowered["value"]
    return found


def _as_text(tag: Any) -> str:
    if isinstance(tag, str):
        return tag
    return json.dumps(tag, ensure_ascii=False, separators=(",", ":"))
