"""Columns of a file as SQL expressions: cast by their type, exactly, and left unread where they are known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warehouse.statements import quote_literal
from warehouse.tags import PREFIXES, UNREAD


@dataclass(frozen=True)
class Facts:
    """What the files' footers say of a column, over all of their rows."""

    is_null: bool = False  # in every row
    has_nulls: bool = True
    has_blanks: bool = True  # empty texts, which mean null
    constant: str | None = None  # the text of the one value that stands in every row
    largest: float | None = None  # the largest absolute number


UNKNOWN = Facts()


class Columns:
    """The canonical columns of one group of files, as SQL expressions. Used inside the layout templates.

    `found`: canonical name → (SQL identifier, DuckDB type). A column that is not there is null. A
    column that is the same in every row is written as that value: it need not be read.
    """

    def __init__(
        self,
        found: Mapping[str, tuple[str, str]],
        constants: Mapping[str, str],
        facts: Mapping[str, Facts] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        self.tag_keys = tag_keys  # None: all of them
        self._found = found
        self._constants = constants
        # Line item types of a CUR whose effective cost no file can tell → the column that is missing.
        self.unpriced: Mapping[str, str] = {}
        self._facts = facts or {}

    def facts(self, name: str) -> Facts:
        """What is known of a column without reading it."""
        if name in self._constants and name not in self._found:
            return Facts(has_nulls=False, constant=self._constants[name])
        return self._facts.get(name, UNKNOWN)

    def identifier(self, name: str) -> str:
        """The column's name in the files."""
        return self._found.get(name, (name, ""))[0]

    def has(self, name: str) -> bool:
        return name in self._found or name in self._constants

    def raw(self, name: str) -> tuple[str, str]:
        """(expression, DuckDB type) of the column as it stands in the file."""
        known = self.facts(name)
        if known.is_null:
            return "NULL", "NULL"
        if known.constant is not None:
            return quote_literal(known.constant), "VARCHAR"
        if name in self._found:
            expression, kind = self._found[name]
            # A JSON or ENUM column counts as text, and must be one before it is compared with a text.
            return (f"{expression}::VARCHAR" if kind == "VARCHAR" else expression), kind
        return "NULL", "NULL"

    def text(self, name: str) -> str:
        expression, kind = self.raw(name)
        if kind == "VARCHAR" and self.facts(name).has_blanks:
            return f"nullif({expression}, '')"
        if kind == "DOUBLE":  # an account's number, where pandas met one that is missing
            is_whole = f"abs({expression}) < 1e15 AND {expression} = floor({expression})"
            return f"CASE WHEN {is_whole} THEN {expression}::BIGINT::VARCHAR ELSE {expression}::VARCHAR END"
        return f"{expression}::VARCHAR"

    def first_text(self, *names: str) -> str:
        """The first of the columns that has a value."""
        present = []
        for name in names:
            if self.has(name):
                present.append(self.text(name))
                if not self.facts(name).has_nulls:
                    break  # the others need not be read
        return f"coalesce({', '.join(present)})" if len(present) > 1 else (present or ["NULL::VARCHAR"])[0]

    def money(self, name: str) -> str:
        """Exact: sums of the result do not depend on the order of rows."""
        expression, kind = self.raw(name)
        return money_of(expression, kind, is_small=self.is_small(name))

    def is_small(self, name: str) -> bool:
        """Whether the footers say that every amount is a double below SMALL_DOUBLE."""
        largest = self.facts(name).largest
        return self.raw(name)[1] == "DOUBLE" and largest is not None and largest < SMALL_DOUBLE

    def units(self, name: str) -> str:
        """The amount of a column that `is_small` in 1e-12, as a double: whole as BIGINT, at half the cost of `money`.

        Ties may round otherwise: 5e-13 is 0 then, and 1e-12 in `money`.
        """
        return f"{self.raw(name)[0]} * 1e12"

    def whole_money(self, name: str) -> str:
        """`money` in its widest type, for a CASE that takes one amount or another."""
        return f"({self.money(name)})::DECIMAL(38, 12)"

    def exact_money(self, name: str) -> str | None:
        """The amount with up to 24 decimals; None where it cannot have more than the 12 that money keeps."""
        expression, kind = self.raw(name)
        if kind == "VARCHAR":
            text = f"nullif({expression}, '')"
            return (
                f"CASE WHEN regexp_matches({text}, '[.][0-9]{{13}}|[eE]-') THEN try_cast({text} AS DECIMAL(38, 24)) END"
            )
        native = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", kind)
        return expression if native and int(native.group(2)) > 12 else None

    def quantity(self, name: str) -> str:
        return self.money(name)

    def instant(self, name: str) -> str:
        # Text without a zone, and timestamps without one, are UTC: the session's zone is UTC.
        return (
            f"({self.time_text(name)})::TIMESTAMPTZ"
            if self.raw(name)[1] == "VARCHAR"
            else f"{self.raw(name)[0]}::TIMESTAMPTZ"
        )

    def time_text(self, name: str) -> str:
        """The text of a point in time, as DuckDB reads it: with seconds, which some leave out (2026-01-05T23:00Z)."""
        text = self.text(name)
        if self.raw(name)[1] != "VARCHAR":
            return text
        is_short = f"length({text}) IN (17, 21, 22) AND substr({text}, 17, 1) IN ('Z', '+', '-')"
        return f"CASE WHEN {is_short} THEN left({text}, 16) || ':00' || substr({text}, 17) ELSE {text} END"

    def day(self, name: str) -> str:
        expression, kind = self.raw(name)
        if kind in ("DATE", "NULL") or (kind.startswith("TIMESTAMP") and not kind.endswith("ZONE")):
            return f"{expression}::DATE"
        # Casting an instant to a day asks for the session's zone, row by row: ten times the cost of reading it.
        return f"make_timestamp(epoch_us({self.instant(name)}))::DATE"

    def cast(self, name: str, kind: str) -> str:
        expression, found = self.raw(name)
        return f"nullif({expression}, '')::{kind}" if found == "VARCHAR" else f"{expression}::{kind}"

    def tags(self, name: str) -> str:
        """Tags as they stand: grouping by the raw text, and reading it afterwards, is four times faster.

        With an allow-list, the object of the listed tags only: ids of pods or requests among the others
        would make a row of core of every row of the bill.
        """
        return self._listed_tags(self._raw_tags(name), ("", *PREFIXES))

    def _listed_tags(self, text: str, prefixes: Sequence[str]) -> str:
        """Of the object `text` the tags that are on the allow-list; one parse of the text finds them all.

        What is no object stays as it is: warehouse.tags reads it, and knows the list too.
        """
        if self.tag_keys is None or text == "NULL::VARCHAR":
            return text
        if not self.tag_keys:
            return "NULL::VARCHAR"
        spelled = {key: spellings_of(key, prefixes) for key in self.tag_keys}
        spellings = [spelling for key in self.tag_keys for spelling in spelled[key]]
        paths = ", ".join(quote_literal("/" + key.replace("~", "~0").replace("/", "~1")) for key in spellings)
        found = (
            f"CASE WHEN starts_with({text}, '{{') AND json_valid({text}) THEN json_extract_string({text}, [{paths}]) "
        )
        braced = f"'{{' || {text} || '}}'"  # Azure's older exports leave the braces out
        found += (
            f"WHEN starts_with({text}, '\"') AND json_valid({braced}) THEN json_extract_string({braced}, [{paths}]) END"
        )
        pairs, place = [], 1
        for key in self.tag_keys:
            picked = ", ".join(f"_tags[{place + offset}]" for offset in range(len(spelled[key])))
            pairs.append(f"{quote_literal(key)}, coalesce({picked})")
            place += len(spelled[key])
        body = f"json_object({', '.join(pairs)})::VARCHAR"
        return f"list_transform([{found}], lambda _tags: CASE WHEN _tags IS NOT NULL THEN {body} ELSE {text} END)[1]"

    def _raw_tags(self, name: str) -> str:
        expression, kind = self.raw(name)
        if kind == "VARCHAR":
            return self.text(name)
        if kind == "JSON":  # comparing it with a text would read that text as JSON
            return f"{expression}::VARCHAR"
        if kind == "NULL":
            return "NULL::VARCHAR"
        # A MAP and a STRUCT become an object; a list of pairs a list, which warehouse.tags reads.
        return f"to_json({expression})::VARCHAR"

    def key(self, name: str, key: str) -> str:
        """The text under one key of a MAP, a STRUCT or a JSON object."""
        expression, kind = self.raw(name)
        path = quote_literal(f'$."{key}"')
        if kind.startswith("MAP"):
            return f"nullif({expression}[{quote_literal(key)}]::VARCHAR, '')"
        if kind in ("VARCHAR", "JSON"):
            return f"CASE WHEN json_valid({expression}) THEN nullif(json_extract_string({expression}, {path}), '') END"
        if kind.startswith("STRUCT"):
            return f"nullif(json_extract_string(to_json({expression}), {path}), '')"
        return "NULL::VARCHAR"

    def cur_tags(self) -> str:
        """The tags of a CUR as one JSON object: its maps, and its columns of single keys (`resource_tags.<key>`)."""
        # The newer map `tags` holds what resource_tags and cost_category hold, and account tags besides.
        maps = ["tags"] if self.has("tags") else [name for name in ("resource_tags", "cost_category") if self.has(name)]
        single = [name for name in self._found if name.startswith(("resource_tags.", "cost_category."))]
        is_merged = len(maps) + bool(single) > 1
        objects = []
        for name in maps:
            text = self._raw_tags(name)
            if is_merged and self.raw(name)[1] in ("VARCHAR", "JSON"):
                kind = f"json_type(CASE WHEN json_valid({text}) THEN {text} ELSE '0' END)"
                unread = f"json_object({quote_literal(UNREAD)}, {text})::VARCHAR"
                text = f"CASE WHEN {kind} IN ('OBJECT', 'NULL') THEN {text} WHEN {text} IS NOT NULL THEN {unread} END"
            if name == "cost_category":
                text = f"regexp_replace({text}, '{JSON_KEY}', '\"costCategory/\\1\"\\2', 'g')"
            objects.append(text)
        if single:
            keys = {name: name.partition(".")[2] for name in single}
            labels = []
            for name in sorted(single):
                label = ("costCategory/" if name.startswith("cost_") else "") + keys[name]
                labels.append(f"{quote_literal(label)}, {self.text(name)}")
            objects.append(f"json_object({', '.join(labels)})::VARCHAR")
        merged = objects[0] if objects else "NULL::VARCHAR"
        if len(objects) > 1:
            merged = f"coalesce({objects[0]}, '{{}}')"
            for text in objects[1:]:
                merged = f"json_merge_patch({merged}, coalesce({text}, '{{}}'))"
            merged = f"({merged})::VARCHAR"
        return self._listed_tags(merged, ("", *PREFIXES, "user_"))


def spellings_of(key: str, prefixes: Sequence[str]) -> list[str]:
    """How files write a plain key: with a prefix; the maps of CUR 2.0 write `aws_eks_node` for `aws:eks:node`."""
    aws = [re.sub("[:-]", "_", key)] if key.startswith("aws:") else []
    return [*(f"{prefix}{key}" for prefix in prefixes), *aws]


# A text of a JSON object that a colon follows.
JSON_KEY = r'"((?:[^"\\]|\\.)*)"(\s*:)'

# double::DECIMAL(38, 12) multiplies in binary, which is exact below 2^53 / 10^12 (about 9,007) only;
# above that the shortest text of the double is the amount that was written.
SMALL_DOUBLE = 4000


def number_text(text: str) -> str:
    """A text that may be a number, such that DuckDB refuses 1_000, which it would read as a programmer writes 1000."""
    return f"replace({text}, '_', '?')"


def money_of(expression: str, kind: str, *, is_small: bool = False) -> str:
    """`expression` of DuckDB type `kind` as a decimal with up to 12 places, cast row by row and exactly.

    `is_small`: a double that is known to be below SMALL_DOUBLE; its cast fits 64 bits, and its sums are faster.
    """
    if kind == "VARCHAR":
        text = f"nullif({number_text(expression)}, '')"
        # Two quirks of DuckDB 1.5: reading more than 12 places into DECIMAL(38, 12) takes 5 µs, into
        # 64 bits a hundredth of it; and 8E-14, which is nothing to 12 places, is read as 1E-12.
        return (
            f"CASE WHEN abs(try_cast({text} AS DOUBLE)) < 4e-13 THEN 0 "
            f"ELSE coalesce(try_cast({text} AS DECIMAL(18, 12))::DECIMAL(38, 12), {text}::DECIMAL(38, 12)) END"
        )
    if kind == "DOUBLE" and is_small:
        return f"{expression}::DECIMAL(16, 12)"
    if kind == "DOUBLE":
        return (
            f"CASE WHEN abs({expression}) < {SMALL_DOUBLE} THEN {expression}::DECIMAL(38, 12) "
            f"ELSE {expression}::VARCHAR::DECIMAL(38, 12) END"
        )
    if kind == "FLOAT":
        return f"{expression}::VARCHAR::DECIMAL(38, 12)"
    native = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", kind)
    if native and int(native.group(2)) <= 12:
        return expression  # its sums are exact as it is
    return f"{expression}::DECIMAL(38, 12)"
