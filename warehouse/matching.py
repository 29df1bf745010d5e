"""Which rule takes which combination of dimensions.

A condition is answered once per distinct text of its dimension, a rule once per distinct combination
that no earlier rule has taken. Texts are compared by exact code points; patterns run on RE2, so that
no text in a bill can make one slow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    from warehouse.features import Condition, Rule

Codes = NDArray[np.int32]
Flags = NDArray[np.bool_]
NO_RULE = -1

_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


class PatternError(ValueError):
    """A glob or regex that cannot be used."""


def compile_pattern(operator: str, operand: str) -> str:
    """The RE2 text of a `glob` or `regex` operand. Raises PatternError where RE2 refuses it."""
    pattern = glob_to_regex(operand) if operator == "glob" else operand
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise PatternError(f"is not a usable {operator} (RE2 syntax): {reason}") from None
    return pattern


def glob_to_regex(glob: str) -> str:
    """`*` any run, `?` any one character, `[abc]` and `[!abc]` sets; the whole text must match."""
    out = []
    place = 0
    while place < len(glob):
        character = glob[place]
        place += 1
        if character == "*":
            out.append(".*")
        elif character == "?":
            out.append(".")
        elif character == "[" and (end := glob.find("]", place + (2 if glob[place : place + 1] == "!" else 1))) > 0:
            members = glob[place:end]
            negated = members.startswith("!")
            # Only - keeps a meaning inside a set; every other special character is itself.
            body = "".join(f"\\{c}" if c in r"\[]^" else c for c in members.removeprefix("!"))
            out.append(f"[{'^' if negated else ''}{body}]")
            place = end + 1
        else:
            out.append(escape(character))
    return f"(?s)^(?:{''.join(out)})$"


def escape(text: str) -> str:
    """`text` as an RE2 pattern that matches nothing else."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)


@dataclass
class Column:
    """One dimension over all combinations: distinct texts, and a code per combination (-1: no value)."""

    texts: pa.Array
    codes: Codes
    _code_of: dict[str, int] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, values: pa.Array | pa.ChunkedArray) -> Column:
        """The column of these texts, one per combination."""
        encoded = (values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values).dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        codes: Codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return cls(encoded.dictionary, codes)

    def taken_at(self, places: Codes) -> Column:
        """The column whose row i is this one's row places[i]; a negative place has no value."""
        return Column(self.texts, np.append(self.codes, np.int32(-1))[places])

    def code_of(self, text: str) -> int | None:
        """The code of a text, or None where no combination has it."""
        if self._code_of is None:
            self._code_of = {value: code for code, value in enumerate(self.texts.to_pylist())}
        return self._code_of.get(text)

    def accepted(self, condition: Condition) -> Flags:
        """Per code whether `condition` holds; the last place answers for "no value"."""
        size = len(self.texts)
        flags = np.ones(size + 1, dtype=np.bool_)
        for operator, operand in condition.operators():
            flags &= self._accepted_by(operator, operand, size)
        return flags

    def _accepted_by(self, operator: str, operand: Any, size: int) -> Flags:
        flags = np.zeros(size + 1, dtype=np.bool_)
        if operator == "present":
            flags[:size] = operand
            flags[size] = not operand
        elif operator in ("equals", "in"):
            for text in (operand,) if operator == "equals" else operand:
                code = self.code_of(text)
                if code is not None:
                    flags[code] = True
        elif size and operator == "prefix":
            flags[:size] = pc.starts_with(self.texts, pattern=operand).to_numpy(zero_copy_only=False)
        elif size:
            pattern = compile_pattern(operator, operand)
            flags[:size] = pc.match_substring_regex(self.texts, pattern=pattern).to_numpy(zero_copy_only=False)
        return flags


class Asked(NamedTuple):
    """Combinations as rules are tried on them; n combinations.

    `epochs` [n]: the span of days, between two changes of any rule's validity, that a combination
    belongs to; `holds[r]` [number of epochs]: when rule r is valid. `pools` [n]: the shared pool that
    a combination belongs to by nature, 0 for none; `may_take[r]` [number of pools + 1]: from which of
    them rule r may take.
    """

    columns: Mapping[str, Column]
    epochs: Codes
    holds: Sequence[Flags]
    pools: Codes
    may_take: Sequence[Flags]

    def matched(self, index: int, rule: Rule, rows: NDArray[Any]) -> Flags:
        """Whether rule `index` matches each of the combinations `rows`, whoever has taken them."""
        match: Flags = self.holds[index][self.epochs[rows]] & self.may_take[index][self.pools[rows]]
        for dimension, condition in rule.when.items():
            if not match.any():
                break
            column = self.columns[dimension]
            match = match & column.accepted(condition)[column.codes[rows]]
        return match


def first_rules(rules: Sequence[Rule], asked: Asked) -> Codes:
    """The index of the first rule that takes each combination, or NO_RULE; int32 [n]."""
    taken: Codes = np.full(len(asked.epochs), NO_RULE, dtype=np.int32)
    open_rows = np.arange(len(asked.epochs))
    for index, rule in enumerate(rules):
        if not len(open_rows):
            break
        match = asked.matched(index, rule, open_rows)
        if match.any():
            taken[open_rows[match]] = index
            open_rows = open_rows[~match]
    return taken
