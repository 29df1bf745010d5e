"""Labels: which fields hold them, and how they become tags.

A resource's labels keep their keys; those of the project, the system and the resource manager carry a
prefix, so that equal keys stay apart. `tag_keys` names keys as they are then.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Landed column → (field of the table, prefix of the keys). Each is a list of key-value pairs.
CHARGES_LABELS = MappingProxyType(
    {
        "labels": ("labels", ""),
        "project_labels": ("project.labels", "project:"),
        "system_labels": ("system_labels", "system:"),
        "resource_tags": ("tags", "tag:"),
    }
)
FOCUS_LABELS = MappingProxyType(
    {
        "labels": ("x_Labels", ""),
        "project_labels": ("x_ProjectLabels", "project:"),
        "system_labels": ("x_SystemLabels", "system:"),
        "resource_tags": ("x_Tags", "tag:"),
        "focus_tags": ("Tags", ""),  # of Google's FOCUS view, which puts all kinds into one list
    }
)
# x_type of the FOCUS view → prefix.
KINDS = MappingProxyType({"label": "", "project_label": "project:", "system_label": "system:", "tag": "tag:"})


@dataclass(frozen=True)
class LabelField:
    """How one landed column of labels is read. `key` None: `field` is SQL for the whole text."""

    column: str
    field: str
    key: str | None = None
    value: str | None = None
    kind: str | None = None
    allowed: tuple[str, ...] | None = None  # None: every key


def label_fields(
    labels: Mapping[str, tuple[str, str]], fields: Mapping[str, Any], tag_keys: Sequence[str] | None
) -> list[LabelField]:
    """One per landed column, whether the table has its field or not."""
    return [_label_field(column, path, prefix, fields.get(path), tag_keys) for column, (path, prefix) in labels.items()]


def _label_field(column: str, path: str, prefix: str, field: Any, tag_keys: Sequence[str] | None) -> LabelField:
    none = LabelField(column, "'[]'")
    if field is None:
        return none
    members = {member.name.lower(): member.name for member in field.fields}
    if field.mode != "REPEATED":  # a view of one's own that passes tags on as one text, or as JSON
        name = f"line.`{field.name}`"
        return LabelField(column, name if field.field_type == "STRING" else f"TO_JSON_STRING({name})")
    if not {"key", "value"} <= members.keys():
        return none
    kind = members.get("x_type")
    allowed = None
    if tag_keys is not None:
        prefixes = tuple(KINDS.values()) if kind else (prefix,)
        allowed = tuple(sorted({key for one in prefixes for key in _without(one, tag_keys)}))
        if not allowed:
            return none  # nor is the column read, or paid for
    return LabelField(column, path, members["key"], members["value"], kind, allowed)


def _without(prefix: str, tag_keys: Sequence[str]) -> list[str]:
    """The keys that carry `prefix`, without it; of no prefix, those that carry none."""
    if prefix:
        return [key.removeprefix(prefix) for key in tag_keys if key.startswith(prefix)]
    return [key for key in tag_keys if not key.startswith(tuple(filter(None, KINDS.values())))]


def merge_labels(columns: Mapping[str, pa.Array | pa.ChunkedArray], tag_keys: Sequence[str] | None = None) -> pa.Array:
    """The tags of each row, as `tags_text`; worked out once per combination of texts."""
    combined = pa.table(dict(columns)).combine_chunks()
    rows = combined.append_column("_row", pa.array(np.arange(combined.num_rows)))
    groups = rows.group_by(list(columns), use_threads=False).aggregate([("_row", "list")])
    texts = [tags_text(one, tag_keys) for one in groups.select(list(columns)).to_pylist()]
    places = pc.list_parent_indices(groups["_row_list"].combine_chunks())
    order = pc.sort_indices(pc.list_flatten(groups["_row_list"].combine_chunks()))
    return pa.array(texts, pa.string()).take(places.take(order))


def tags_text(texts: Mapping[str, str | None], tag_keys: Sequence[str] | None = None) -> str | None:
    """Landed column → its text, as a JSON object with sorted keys; None where there is no label.

    A key that a row has twice, with two values, keeps both, joined: one of them alone would be a guess.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for column, text in texts.items():
        prefix = CHARGES_LABELS.get(column, ("", ""))[1]
        for key, value, kind in _pairs(text):
            name = KINDS.get(kind.lower(), prefix) + key if kind else prefix + key
            if tag_keys is None or name in tag_keys:
                found[name][value] = None
    tags = {key: ",".join(values) for key, values in found.items()}
    return json.dumps(tags, sort_keys=True, ensure_ascii=False) if tags else None


def _pairs(text: str | None) -> list[tuple[str, str, str]]:
    """(key, value, kind) of each label; a key that is null is none."""
    loaded = json.loads(text) if text else []
    if isinstance(loaded, dict):
        loaded = [{"key": key, "value": value} for key, value in loaded.items()]
    return [
        (str(pair["key"]), _value(pair.get("value")), pair.get("kind") or "")
        for pair in loaded
        if pair.get("key") is not None
    ]


def _value(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
