"""Which rules match which texts, as bits: rule r is bit r % WORD of word r // WORD.

Every distinct value of a column that rules ask about gets the bits of the rules that it does not exclude.
A charge is matched by the rules whose bit stands for each of its columns, and taken by the first of them:
a few ANDs per charge, however many combinations of values there are.

A condition is answered once per distinct text. Texts are compared by exact code points. Patterns are
tried many at a time first, as one alternation, so that a text which no rule means is read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from warehouse.features import Condition, Rule
from warehouse.patterns import compile_pattern

Words = NDArray[np.int64]  # [rows, words]
Places = NDArray[np.intp]  # which texts, ascending

WORD = 62  # rules per BIGINT: the sign bit stays 0, and a word less one cannot overflow
FEW_TEXTS = 256  # so few are tried on each pattern in turn


def count_words(rules: Sequence[Rule]) -> int:
    """How many words hold a bit for each rule; at least one."""
    return max(1, -(-len(rules) // WORD))


def bits(flags: Sequence[bool]) -> Words:
    """One row of words with the bits of the rules for which `flags` is true; [words]."""
    words = np.zeros(max(1, -(-len(flags) // WORD)), dtype=np.int64)
    for index, flag in enumerate(flags):
        words[index // WORD] |= np.int64(flag) << np.int64(index % WORD)
    return words


def words_of_texts(rules: Sequence[Rule], columns: Mapping[str, pa.Array]) -> Words:
    """Per row the rules whose conditions on the dimensions of `columns` (texts of one length) all hold."""
    size = len(next(iter(columns.values())))
    words = np.tile(bits([True] * len(rules)), (size, 1))
    for dimension, texts in columns.items():
        encoded = texts.dictionary_encode()
        codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
        words &= _answers(rules, dimension, encoded.dictionary)[codes]
    return words


def words_of_days(rules: Sequence[Rule], days: Sequence[date]) -> Words:
    """Per day the rules that hold on it."""
    held = ([(r.valid_from or day) <= day <= (r.valid_to or day) for r in rules] for day in days)
    return np.array([bits(flags) for flags in held], dtype=np.int64).reshape(len(days), count_words(rules))


def _answers(rules: Sequence[Rule], dimension: str, texts: pa.Array) -> Words:
    """Per distinct text the rules that accept it in `dimension`, or do not ask; the last row: for no text."""
    words = np.tile(bits([dimension not in rule.when for rule in rules]), (len(texts) + 1, 1))
    asked = {index: rule.when[dimension] for index, rule in enumerate(rules) if dimension in rule.when}
    answers = _Answers(texts, asked.values())
    for index, condition in asked.items():
        words[answers.accepted(condition), index // WORD] |= np.int64(1 << index % WORD)
    return words


class _Answers:
    """Where `texts` (distinct, none null) are what conditions ask for; the place after the last is for no text."""

    def __init__(self, texts: pa.Array, conditions: Iterator[Condition] | Any) -> None:
        self.count = len(texts)
        operators = [pair for condition in conditions for pair in condition.operators()]
        named = {text for operator, operand in operators for text in _named(operator, operand)}
        self._place_of = _places_of(sorted(named), texts)
        patterns = {compile_pattern(*pair) for pair in operators if pair[0] in ("prefix", "glob", "regex")}
        self._matching = dict(_search(sorted(patterns), texts, np.arange(self.count)))

    def accepted(self, condition: Condition) -> Places:
        """The places at which every operator of `condition` holds."""
        found: Places | None = None
        for operator, operand in condition.operators():
            places = self._accepted_by(operator, operand)
            found = places if found is None else np.intersect1d(found, places, assume_unique=True)
        return np.arange(self.count + 1) if found is None else found

    def _accepted_by(self, operator: str, operand: Any) -> Places:
        if operator == "present":
            return np.arange(self.count) if operand else np.array([self.count])
        if named := _named(operator, operand):
            return np.array(sorted({self._place_of[text] for text in named if text in self._place_of}), dtype=np.intp)
        return self._matching.get(compile_pattern(operator, operand), np.array([], dtype=np.intp))


def _named(operator: str, operand: Any) -> Sequence[str]:
    """The texts that the operand of `equals` or `in` names."""
    return (operand,) if operator == "equals" else operand if operator == "in" else ()


def _places_of(named: Sequence[str], texts: pa.Array) -> dict[str, int]:
    """Where each of `named` stands in `texts`, for those that do."""
    numbers = pc.index_in(texts, value_set=pa.array(named, texts.type))
    places = np.flatnonzero(numbers.is_valid().to_numpy(zero_copy_only=False))
    return {named[number]: int(place) for number, place in zip(numbers.drop_null().to_pylist(), places, strict=True)}


def _search(patterns: Sequence[str], texts: pa.Array, places: Places) -> Iterator[tuple[str, Places]]:
    """Each pattern that is found in any of `texts`, with those texts' places."""
    if not patterns or not len(texts):
        return
    if len(patterns) == 1 or len(texts) <= FEW_TEXTS:
        for pattern in patterns:
            found = _is_found(pattern, texts)
            if found.any():
                yield pattern, places[found]
        return
    found = _is_any_found(patterns, texts)
    texts, places = texts.filter(pa.array(found)), places[found]
    half = len(patterns) // 2
    yield from _search(patterns[:half], texts, places)
    yield from _search(patterns[half:], texts, places)


def _is_any_found(patterns: Sequence[str], texts: pa.Array) -> NDArray[np.bool_]:
    """Where one of the patterns may be found: everywhere, if they cannot stand in one pattern."""
    if not any(r"\Q" in pattern for pattern in patterns):  # without its \E it would quote the others too
        # Each is well on its own, but together they may name a group twice or be too large.
        with suppress(pa.ArrowInvalid):
            return _is_found("|".join(f"(?:{pattern})" for pattern in patterns), texts)
    return np.ones(len(texts), dtype=np.bool_)


def _is_found(pattern: str, texts: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring_regex(texts, pattern=pattern).to_numpy(zero_copy_only=False)
    return found
