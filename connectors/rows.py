"""Typed rows with a unique grain: what a provider repeats is added up, exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.documents import EXACT
from connectors.errors import PayloadError


class Table:
    """Rows of one layout. Two rows with equal dimensions become one; their measures are added.

    Dimensions are all columns that are not in `measures`. A column that a row leaves out is null.
    Rows come out in the order of their dimensions, so that equal contents make equal tables.
    """

    def __init__(self, schema: pa.Schema, *, measures: tuple[str, ...], add: Callable[[Any, Any], Any]) -> None:
        self._schema = schema
        self._names = frozenset(schema.names)
        self._measures = measures
        self._dimensions = tuple(name for name in schema.names if name not in measures)
        self._add = add
        self._rows: dict[tuple[Any, ...], list[Any]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        if not row.keys() <= self._names:
            raise KeyError(f"columns that the layout does not have: {sorted(row.keys() - self._names)}")
        key = tuple(row.get(name) for name in self._dimensions)
        measures = [row.get(name) for name in self._measures]
        standing = self._rows.get(key)
        if standing is None:
            self._rows[key] = measures
        else:
            standing[:] = map(self._add, standing, measures)

    def to_arrow(self) -> pa.Table:
        ordered = sorted(self._rows.items(), key=lambda item: [(value is None, str(value or "")) for value in item[0]])
        columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        for key, measures in ordered:
            for name, value in zip(self._dimensions, key, strict=True):
                columns[name].append(value)
            for name, value in zip(self._measures, measures, strict=True):
                columns[name].append(value)
        return pa.table([_array(columns[field.name], field) for field in self._schema], schema=self._schema)


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except pa.ArrowInvalid:
        raise PayloadError(
            f"a sum of {field.name} is larger than any bill",
            cure="run again, and report it to the provider if it stays",
        ) from None


def tags_text(tags: Mapping[str, str | None]) -> str | None:
    """The tags that are known, as a JSON object with sorted keys; None when there is none."""
    known = {key: value for key, value in tags.items() if value}
    return json.dumps(known, sort_keys=True, ensure_ascii=False) if known else None


def add_amounts(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    """The exact sum, where None is unknown and takes no part; None only when both are."""
    if left is None:
        return right
    return left if right is None else EXACT.add(left, right)


def add_counts(left: int | None, right: int | None) -> int | None:
    """The sum, where None is unknown and takes no part; None only when both are."""
    if left is None:
        return right
    return left if right is None else left + right
