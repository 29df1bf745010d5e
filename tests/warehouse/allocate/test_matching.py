"""Rules against an oracle that reads like the documentation: one charge at a time, in plain Python."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.features import Rule
from warehouse.matching import FEW_TEXTS, bits, words_of_days, words_of_texts
from warehouse.patterns import PatternError, compile_pattern, glob_to_regex

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


def matches(rules: Sequence[Rule], columns: Mapping[str, pa.Array]) -> list[list[int]]:
    """Per row the rules whose bit is set."""
    words = words_of_texts(rules, columns)
    return [[i for i in range(len(rules)) if int(row[i // 62]) >> i % 62 & 1] for row in words]


def accepts(text: str, **condition: str) -> bool:
    rule = Rule.model_validate({"when": {"model": condition}, "feature": "a"})
    return matches([rule], {"model": pa.array([text])}) == [[0]]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(*(st.none() | TEXTS for _ in DIMENSIONS)), min_size=1, max_size=12),
    rules=st.lists(st.dictionaries(st.sampled_from(DIMENSIONS), CONDITIONS, max_size=2), max_size=6),
    before=st.sampled_from([0, 60, 123]),  # rules that nothing matches, so that the others begin in another word
)
def test_a_row_has_the_bits_of_the_rules_that_hold(
    rows: list[tuple[str | None, ...]], rules: list[dict[str, Any]], before: int
) -> None:
    rules = [{"model": {"equals": "no such model"}}] * before + rules
    expected = [
        [
            index
            for index, when in enumerate(rules)
            if all(holds(condition, row[DIMENSIONS.index(name)]) for name, condition in when.items())
        ]
        for row in rows
    ]
    columns = {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(DIMENSIONS)}
    built = [Rule.model_validate({"when": when, "feature": "a"}) for when in rules]
    assert matches(built, columns) == expected


def test_many_texts_meet_the_same_rules_as_few() -> None:
    """From some number of texts on patterns are tried together; those that cannot stand together, alone."""
    texts = [f"node-{i}" for i in range(10 * FEW_TEXTS)]
    conditions = [
        *({"glob": f"*-{i}"} for i in range(40)),
        *({"regex": f"e-{i}[0-9]$"} for i in range(40)),
        {"regex": "(?P<n>1)7$"},
        {"regex": "(?P<n>2)7$"},  # a group named twice cannot be one pattern
        {"prefix": "node-25"},
        {"regex": "x|^$"},
        {"in": ["node-7", "none"]},
    ]
    rules = [Rule.model_validate({"when": {"model": condition}, "feature": "a"}) for condition in conditions]
    alone = [[index for index, condition in enumerate(conditions) if holds(condition, text)] for text in texts]
    assert matches(rules, {"model": pa.array(texts)}) == alone


def test_a_pattern_that_quotes_to_its_end_hides_no_other() -> None:
    texts = pa.array([f"node-{i}" for i in range(2 * FEW_TEXTS)])
    conditions = ({"regex": r"^\Qnode-3"}, {"regex": "-1$"}, {"regex": "-2$"})
    rules = [Rule.model_validate({"when": {"model": condition}, "feature": "a"}) for condition in conditions]
    found = matches(rules, {"model": texts})
    assert found[:4] == [[], [1], [2], [0]]


@settings(max_examples=200, deadline=None)
@given(glob=st.text(alphabet="ab*?[]!-.^\\\n日", max_size=8), text=st.text(alphabet="ab-.^\\[]\n日", max_size=6))
def test_a_glob_means_what_fnmatch_means(glob: str, text: str) -> None:
    try:
        compile_pattern("glob", glob)
    except PatternError:
        return  # a range such as [b-a]: refused with the file's line, where fnmatch matches nothing
    assert accepts(text, glob=glob) == fnmatch.fnmatchcase(text, glob)


def test_an_unusable_pattern_is_refused() -> None:
    with pytest.raises(PatternError, match="is not a usable glob"):
        compile_pattern("glob", "[b-a]")
    assert glob_to_regex("a.b") == r"(?s)^(?:a\.b)$"


def test_a_pattern_that_backtracks_elsewhere_stays_quick() -> None:
    """Python's re needs hours for this; RE2 is linear, whatever a bill holds."""
    assert not accepts("a" * 5000 + "b", regex="^(a+)+$")


def test_a_rule_holds_from_its_first_to_its_last_day() -> None:
    first, last = date(2026, 1, 2), date(2026, 1, 3)
    rules = [
        Rule.model_validate({"when": {}, "feature": "a", "valid_from": first, "valid_to": last}),
        Rule.model_validate({"when": {}, "feature": "b"}),
    ]
    days = [date(2026, 1, day) for day in range(1, 5)]
    assert words_of_days(rules, days).tolist() == [[0b10], [0b11], [0b11], [0b10]]
    assert bits([True] * 62 + [False, True]).tolist() == [2**62 - 1, 0b10]
