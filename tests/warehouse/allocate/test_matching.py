"""Rules against an oracle that reads like the documentation: one charge at a time, in plain Python."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.features import Condition, Rule
from warehouse.matching import NO_RULE, Asked, Column, PatternError, compile_pattern, first_rules, glob_to_regex

TEXTS = st.sampled_from(
    ["", "gpt-5", "gpt-5-mini", "GPT-5", "o3", "a*b", "a.b", "[x]", "line\nbreak", "naïve", "日本", "'; --"]
)
CONDITIONS = st.one_of(
    st.builds(lambda text: {"equals": text}, TEXTS),
    st.builds(lambda texts: {"in": texts}, st.lists(TEXTS, min_size=1, max_size=3)),
    st.builds(lambda text: {"prefix": text}, st.sampled_from(["gpt", "gpt-5", "a", "", "日"])),
    st.builds(
        lambda text: {"glob": text},
        st.sampled_from(["*", "gpt-*", "?3", "a*b", "a[*]b", "[a-g]*", "[!g]*", "[", "*\n*"]),
    ),
    st.builds(lambda text: {"regex": text}, st.sampled_from(["^gpt", "5$", "a.b", "^$", "mini|o3"])),
    st.builds(lambda flag: {"present": flag}, st.booleans()),
    st.just({"prefix": "gpt", "glob": "*mini"}),
)
DIMENSIONS = ("provider", "model", "service_name")


def holds(condition: Mapping[str, Any], text: str | None) -> bool:
    """The documentation's words, for one text."""
    if "present" in condition:
        return condition["present"] == (text is not None)
    if text is None:
        return False
    answers = {
        "equals": lambda operand: text == operand,
        "in": lambda operand: text in operand,
        "prefix": lambda operand: text.startswith(operand),
        "glob": lambda operand: fnmatch.fnmatchcase(text, operand),
        # $ in RE2 is the very end; in Python it also stands before a last newline, which no text here has.
        "regex": lambda operand: re.search(operand, text) is not None,
    }
    return all(answers[operator](operand) for operator, operand in condition.items())


def match(rules: Sequence[Rule], columns: Mapping[str, Column], count: int) -> list[int]:
    anywhere = np.ones(1, dtype=np.bool_)
    zeros = np.zeros(count, dtype=np.int32)
    every = [anywhere] * len(rules)
    taken = first_rules(rules, Asked(columns, epochs=zeros, holds=every, pools=zeros, may_take=every))
    return taken.tolist()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(*(st.none() | TEXTS for _ in DIMENSIONS)), min_size=1, max_size=12),
    rules=st.lists(st.dictionaries(st.sampled_from(DIMENSIONS), CONDITIONS, max_size=2), max_size=6),
)
def test_the_first_rule_that_holds_takes_the_row(
    rows: list[tuple[str | None, ...]], rules: list[dict[str, Any]]
) -> None:
    expected = [
        next(
            (
                index
                for index, when in enumerate(rules)
                if all(holds(condition, row[DIMENSIONS.index(name)]) for name, condition in when.items())
            ),
            NO_RULE,
        )
        for row in rows
    ]
    columns = {name: Column.of(pa.array([row[i] for row in rows], pa.string())) for i, name in enumerate(DIMENSIONS)}
    built = [Rule.model_validate({"when": when, "feature": "a"}) for when in rules]
    assert match(built, columns, len(rows)) == expected


@settings(max_examples=200, deadline=None)
@given(glob=st.text(alphabet="ab*?[]!-.^\\\n日", max_size=8), text=st.text(alphabet="ab-.^\\[]\n日", max_size=6))
def test_a_glob_means_what_fnmatch_means(glob: str, text: str) -> None:
    try:
        compile_pattern("glob", glob)
    except PatternError:
        return  # a range such as [b-a]: refused with the file's line, where fnmatch matches nothing
    column = Column.of(pa.array([text]))
    accepted = bool(column.accepted(Condition(glob=glob))[0])
    assert accepted == fnmatch.fnmatchcase(text, glob)


def test_an_unusable_pattern_is_refused() -> None:
    with pytest.raises(PatternError, match="is not a usable glob"):
        compile_pattern("glob", "[b-a]")
    assert glob_to_regex("a.b") == r"(?s)^(?:a\.b)$"


def test_a_pattern_that_backtracks_elsewhere_stays_quick() -> None:
    """Python's re needs hours for this; RE2 is linear, whatever a bill holds."""
    column = Column.of(pa.array(["a" * 5000 + "b"]))
    assert not column.accepted(Condition(regex="^(a+)+$"))[0]


def test_a_rule_holds_in_its_epochs_and_takes_from_the_pools_it_may() -> None:
    rules = [Rule.model_validate({"when": {}, "feature": "a"}), Rule.model_validate({"when": {}, "feature": "b"})]
    asked = Asked(
        {},
        epochs=np.array([0, 1, 1, 1], dtype=np.int32),
        holds=[np.array([False, True]), np.array([True, True])],
        pools=np.array([0, 0, 1, 2], dtype=np.int32),
        may_take=[np.array([True, False, False]), np.array([True, True, False])],
    )
    taken = first_rules(rules, asked)
    assert taken.tolist() == [1, 0, 1, NO_RULE]
