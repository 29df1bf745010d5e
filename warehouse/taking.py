"""Which rule takes each charge, as SQL over core.charges that runs through all of them once.

    charge ─ its value in each column that rules ask about ─▶ class of values that rules do not tell apart
           ─▶ words of rules (warehouse.matching) ─ AND ─▶ every rule that matches ─▶ the first takes it

Nothing is kept per charge or per combination of values: temp tables hold the distinct values of one column
at a time. Taxes, support and unused commitments belong to a pool by nature, and so does what is not AI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from warehouse.features import (
    DIMENSIONS,
    K8S_LABEL_PREFIX,
    K8S_NAMESPACE,
    TAG_PREFIX,
    UNALLOCATED,
    Rule,
)
from warehouse.matching import WORD, Words, bits, count_words, words_of_days, words_of_texts
from warehouse.statements import quote_literal, render
from warehouse.tags import PREFIX

NOBODY = -1  # what takes a charge that no rule takes and that is of no pool
VALUES_AT_ONCE = 250_000  # distinct values that are tried on the rules at a time


class HasConnection(Protocol):
    """What allocation needs of a warehouse."""

    @property
    def con(self) -> duckdb.DuckDBPyConnection: ...


@dataclass(frozen=True)
class Pool:
    """Charges that are nobody's own: the feature they go to, the SQL that tells them, and the dimensions
    by which a rule says that it means them (None: any rule that matches takes them)."""

    feature: str
    condition: str
    told_by: frozenset[str] | None


# Support is known by its service's name only: FOCUS has no category for it.
_SUPPORT = (
    r"^\s*((aws|amazon|google|gcp|cloud|azure|microsoft|oci|oracle|premium|developer|business|enterprise"
    r"|unified|standard|enhanced|basic|customer)\s*)*support\b(\s*\(.*\))?\s*$|^aws(premium)?support"
)
POOLS = (
    Pool("shared: tax", "charge_category = 'Tax'", frozenset({"charge_category"})),
    Pool(
        "shared: support",
        f"regexp_matches(service_name, {quote_literal(_SUPPORT)}, 'i')",
        frozenset({"service_name", "service_category", "sku_id", "sku_meter", "charge_description"}),
    ),
    Pool(
        "shared: unused commitments",
        "commitment_discount_status = 'Unused'",
        frozenset({"commitment_discount_status", "charge_description", "sku_id", "sku_meter"}),
    ),
    # CPU, memory and disk of a machine with a GPU keep their resource, and are AI as the machine is.
    Pool("shared: not AI", "ai_kind = 'other' AND resource_id IS NULL", None),
)

# Where exports put the namespace and the labels of a pod; the first that is there counts.
_NAMESPACE_SPELLINGS = ("k8s.namespace", "k8s-namespace", "aws:eks:namespace", "kubernetes_namespace")
_LABEL_SPELLINGS = ("k8s.label.{}", "k8s-label/{}", "kubernetes_label_{}")


@contextmanager
def tried_rules(con: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> Iterator[dict[str, Any]]:
    """The terms of allocate/matched.sql and allocate/taken.sql, which try `rules` in this order.

    Within the block their temp tables are there, and _takers: taken (the rule's place, or NOBODY - pool where
    no rule takes the charge) → rule, feature, split.
    """
    asked = {dimension for rule in rules for dimension in rule.when}
    plain = [dimension for dimension in DIMENSIONS if dimension in asked]
    tagged = sorted(asked - set(plain))
    limited = [index for index, rule in enumerate(rules) if rule.valid_from or rule.valid_to]
    keys: dict[str, list[int]] = {key: [i for i, rule in enumerate(rules) if key in rule.when] for key in plain}
    if tagged:
        keys["tags"] = [i for i, rule in enumerate(rules) if not rule.when.keys().isdisjoint(tagged)]
    if limited:
        keys["charge_date"] = limited
    pools = [bits([_may_take(rule, pool) for rule in rules]) for pool in (None, *POOLS)]
    tables = [
        "_takers",
        "_pool_words",
        *(f"{kind}_{place}" for kind in ("_classes", "_words") for place in range(len(keys))),
    ]
    for place, key in enumerate(keys):
        _prepare_key(con, rules, place, key, tagged if key == "tags" else ())
    _make_table(con, "_pool_words", _words_by_class(np.array(pools)))
    _make_table(con, "_takers", _takers(rules))
    yield {
        "keys": list(keys),
        "pools": POOLS,
        "word": WORD,
        # Per word the keys that rules of it ask about: the others do not tell its rules apart.
        "words": [
            [place for place, indexes in enumerate(keys.values()) if any(i // WORD == word for i in indexes)]
            for word in range(count_words(rules))
        ],
        "splitting": [index for index, rule in enumerate(rules) if rule.split],
    }
    # After an error the transaction is over, and the tables with it or with the next ones of their names.
    for table in tables:
        con.execute(f"DROP TABLE temp.main.{table}")


@contextmanager
def joined_as_written(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Within the block DuckDB joins in the order of the statement: charges first, then the small tables, one by one.

    Its own order is made from guesses of how few rows are left; here none of a dozen joins leaves any out.
    """
    con.execute("SET disabled_optimizers = 'join_order'")
    try:
        yield
    finally:
        # It is the database's, not the connection's, whose transaction takes no statement after an error.
        with con.cursor() as other:
            other.execute("SET disabled_optimizers = ''")


def tag_spellings(dimension: str) -> list[str]:
    """The tag keys that are looked up for `tag.<key>`, `k8s.namespace` or `k8s.label.<key>`, in order."""
    if dimension == K8S_NAMESPACE:
        return list(_NAMESPACE_SPELLINGS)
    if dimension.startswith(K8S_LABEL_PREFIX):
        return [spelling.format(dimension.removeprefix(K8S_LABEL_PREFIX)) for spelling in _LABEL_SPELLINGS]
    # Tags are loaded without the prefixes that exports give them; a rule may be written with them.
    key = dimension.removeprefix(TAG_PREFIX)
    return list(dict.fromkeys((key, re.sub(PREFIX, "", key))))


def _prepare_key(
    con: duckdb.DuckDBPyConnection, rules: Sequence[Rule], place: int, key: str, tagged: Sequence[str]
) -> None:
    """Make _classes_<place> (value of the column `key` → class) and _words_<place> (class → words of rules)."""
    # Tag keys travel as JSON pointers in bound parameters.
    spellings = [tag_spellings(dimension) for dimension in tagged]
    pointers = [_json_pointer(spelling) for dimension in spellings for spelling in dimension]
    con.execute(render("allocate/values.sql", key=key))
    [(count,)] = con.execute("SELECT count(*) FROM _values").fetchall()
    con.execute(render("allocate/classes.sql", key=key, place=place))
    numbers: dict[bytes, int] = {}  # words → class
    for first in range(0, count, VALUES_AT_ONCE):
        found = con.execute(
            render("allocate/some_values.sql", spellings=spellings), [*pointers, first, first + VALUES_AT_ONCE]
        ).to_arrow_table()
        values = found["value"].combine_chunks()
        if key == "charge_date":
            words = words_of_days(rules, values.to_pylist())
        elif key == "tags":
            tags = {dimension: found[f"tag_{i}"].combine_chunks() for i, dimension in enumerate(tagged)}
            words = words_of_texts(rules, tags)
        else:
            words = words_of_texts(rules, {key: values})
        classes = _number(words, numbers)
        con.register("_some", pa.table({"value": values, "class": classes}))
        try:
            con.execute(render("allocate/some_classes.sql", place=place))
        finally:
            con.unregister("_some")
    con.execute("DROP TABLE _values")
    words = np.frombuffer(b"".join(numbers), dtype=np.int64).reshape(-1, count_words(rules))
    _make_table(con, f"_words_{place}", _words_by_class(words))


def _number(words: Words, numbers: dict[bytes, int]) -> pa.Array:
    """The number of each row of words; `numbers` gains those that it has not seen."""
    packed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(words.shape[1] * words.itemsize), len(words), [None, pa.py_buffer(words)]
    ).dictionary_encode()
    known = [numbers.setdefault(row, len(numbers)) for row in packed.dictionary.to_pylist()]
    return pa.array(known, pa.int32()).take(packed.indices)


def _takers(rules: Sequence[Rule]) -> dict[str, pa.Array]:
    """Where no rule takes a charge, its pool does; pool 0 is nobody's."""
    nobody = [UNALLOCATED, *(pool.feature for pool in POOLS)]
    none = [None] * len(nobody)
    return {
        "taken": pa.array([*range(len(rules)), *(NOBODY - pool for pool in range(len(nobody)))], pa.int32()),
        "rule": pa.array([*(rule.name for rule in rules), *none], pa.string()),
        "feature": pa.array([*(rule.feature for rule in rules), *nobody], pa.string()),
        "split": pa.array([*(rule.split for rule in rules), *none], pa.string()),
    }


def _may_take(rule: Rule, pool: Pool | None) -> bool:
    return pool is None or pool.told_by is None or not pool.told_by.isdisjoint(rule.when)


def _words_by_class(words: Words) -> dict[str, pa.Array]:
    columns = {f"w{number}": pa.array(words[:, number]) for number in range(words.shape[1])}
    return {"class": pa.array(range(len(words)), pa.int32()), **columns}


def _make_table(con: duckdb.DuckDBPyConnection, name: str, columns: dict[str, pa.Array]) -> None:
    con.register("_arrow", pa.table(columns))
    try:
        con.execute(render("allocate/from_arrow.sql", table=name))
    finally:
        con.unregister("_arrow")


def _json_pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")
