from datetime import date
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.warehouse.ledger import new_warehouse, rows_of
from warehouse.features import DIMENSIONS, FeaturesError, features_json_schema, load_features, parse_features

WHOLE = """
version: 1
features:
  support_chat:
    owner: "@maya"
    channel: "#support-ai"
    monthly_budget_usd: 12000
    unit: answer
    success: {outcomes: [resolved, closed], outcome_settles_days: 2}
    revenue: {per_unit_usd: 0.12}
  search:
rules:
  - name: support key
    priority: 10
    when: {provider: openai, sub_account_id: {in: [012345678901, proj_b]}, model: {prefix: gpt-5}, tag.feature: no}
    feature: support_chat
    valid_from: 2026-01-01
    valid_to: 2026-06-30
  - when: {resource_id: {glob: "arn:*:pool/*"}, k8s.namespace: {present: true}, k8s.label.app: {regex: "^chat-"}}
    split: gateway
  - {name: rest, priority: 1000, when: {}, feature: unallocated}
splits:
  gateway: {method: fixed, weights: {support_chat: 0.6, search: 0.4}}
  evenly: {method: even, features: [support_chat, search]}
  by_cost: {method: proportional}
  by_calls: {method: telemetry, features: [search], trailing_days: 14}
"""


def test_a_whole_file_is_read() -> None:
    features = parse_features(WHOLE)
    chat = features.features["support_chat"]
    assert (chat.owner, chat.channel, chat.unit) == ("@maya", "#support-ai", "answer")
    assert chat.monthly_budget_usd == Decimal(12000)
    assert chat.success is not None
    assert (chat.success.outcomes, chat.success.outcome_settles_days) == (("resolved", "closed"), 2)
    assert chat.revenue is not None
    assert chat.revenue.per_unit_usd == Decimal("0.12")
    assert features.features["search"].success is None
    first = features.rules[0]
    assert (first.valid_from, first.valid_to) == (date(2026, 1, 1), date(2026, 6, 30))
    assert features.splits["gateway"].method == "fixed"


def test_scalars_are_the_text_of_the_file() -> None:
    """PyYAML alone would read 012345678901 as a number, `no` as false and 1.10 as 1.1."""
    rule = parse_features(WHOLE).rules[0]
    assert rule.when["sub_account_id"].in_ == ("012345678901", "proj_b")
    assert rule.when["tag.feature"].equals == "no"
    odd = parse_features("version: 1\nfeatures: {1.10: {}}\nrules: [{when: {model: 1e3}, feature: 1.10}]")
    assert list(odd.features) == ["1.10"]
    assert odd.rules[0].when["model"].equals == "1e3"


def test_rules_are_tried_by_priority_then_by_place() -> None:
    features = parse_features(
        """
        version: 1
        features: {a: {}}
        rules:
          - {when: {model: m1}, feature: a}
          - {name: early, priority: 1, when: {model: m2}, feature: a}
          - {when: {model: m3}, feature: a}
        """
    )
    assert [rule.name for rule in features.rules_in_order()] == ["early", "rule 1", "rule 3"]


# (what is wrong, the file, [(line, part of the message)])
WRONG = [
    ("unknown top key", "version: 1\nfeature: {}", [(2, "feature: unknown key 'feature'; did you mean 'features'?")]),
    ("version missing", "features: {}", [(1, "version: this key is required")]),
    ("version other", "version: 2", [(1, "this program reads version 1, not '2'")]),
    (
        "unknown feature key",
        "version: 1\nfeatures:\n  a:\n    ownr: x",
        [(4, "features.a.ownr: unknown key 'ownr'; did you mean 'owner'?")],
    ),
    (
        "unknown nested key",
        "version: 1\nfeatures:\n  a:\n    success:\n      outcome: [x]",
        [(4, "outcomes: this key is required"), (5, "unknown key 'outcome'; did you mean 'outcomes'?")],
    ),
    (
        "money",
        "version: 1\nfeatures: {a: {monthly_budget_usd: lots}}",
        [(2, "a.monthly_budget_usd: this must be a number, not 'lots'")],
    ),
    ("list for mapping", "version: 1\nfeatures: [a]", [(2, "features: this must be a mapping of keys to values")]),
    (
        "text for mapping",
        "version: 1\nfeatures:\n  a: {success: resolved}",
        [(3, "features.a.success: this must be a mapping of keys to values, such as {key: value}, not 'resolved'")],
    ),
    (
        "text for list",
        "version: 1\nfeatures:\n  a: {success: {outcomes: resolved}}",
        [(3, "features.a.success.outcomes: this must be a list, such as [a, b], not 'resolved'")],
    ),
    (
        "wrong kinds",
        "version: 1\nrules:\n  - {when: {}, feature: [x], priority: high, valid_from: soon}",
        [
            (3, "rules[0].feature: this must be one text, not a list"),
            (3, "rules[0].priority: this must be a whole number, not 'high'"),
            (3, "rules[0].valid_from: this must be a day such as 2026-01-31, not 'soon'"),
        ],
    ),
    ("negative money", "version: 1\nfeatures: {a: {monthly_budget_usd: -1}}", [(2, "greater than or equal to 0")]),
    ("infinite money", "version: 1\nfeatures: {a: {monthly_budget_usd: inf}}", [(2, "finite")]),
    ("channel as comment", "version: 1\nfeatures:\n  a:\n    channel: #x", [(4, "quote a text that begins with #")]),
    ("reserved name", "version: 1\nfeatures: {unallocated: {}}", [(2, "belongs to the program")]),
    ("pool name", "version: 1\nfeatures: {'shared: x': {}}", [(2, "belongs to the program")]),
    ("blank name", "version: 1\nfeatures: {' a': {}}", [(2, "no space at its ends")]),
    ("control name", 'version: 1\nfeatures: {"a\\nb": {}}', [(2, "printable characters")]),
    (
        "unknown dimension",
        "version: 1\nfeatures: {a: {}}\nrules:\n  - when:\n      modle: gpt\n    feature: a",
        [(5, "rules[0].when.modle: unknown dimension 'modle'; did you mean 'model'?")],
    ),
    ("bare tag", "version: 1\nfeatures: {a: {}}\nrules: [{when: {tag.: x}, feature: a}]", [(3, "unknown dimension")]),
    (
        "unknown operator",
        "version: 1\nfeatures: {a: {}}\nrules: [{when: {model: {prefx: g}}, feature: a}]",
        [(3, "unknown key 'prefx'; did you mean 'prefix'?")],
    ),
    (
        "list without in",
        "version: 1\nfeatures: {a: {}}\nrules: [{when: {model: [g]}, feature: a}]",
        [(3, "a list is written {in: [a, b]}")],
    ),
    (
        "no operator",
        "version: 1\nfeatures: {a: {}}\nrules: [{when: {model: {}}, feature: a}]",
        [(3, "rules[0].when.model: needs a value or one of")],
    ),
    (
        "broken regex",
        "version: 1\nfeatures: {a: {}}\nrules:\n  - when: {model: {regex: '(gpt'}}\n    feature: a",
        [(4, "rules[0].when.model.regex: is not a usable regex")],
    ),
    (
        "open set",
        "version: 1\nfeatures: {a: {}}\nrules: [{when: {model: {glob: '['}}, feature: a}]",
        [(3, "rules[0].when.model.glob: has a [ that no ] closes; write [[]")],
    ),
    (
        "regex RE2 has not",
        "version: 1\nfeatures: {a: {}}\nrules: [{when: {model: {regex: '(?=x)'}}, feature: a}]",
        [(3, "is not a usable regex (RE2 syntax)")],
    ),
    (
        "unknown feature",
        "version: 1\nfeatures: {search: {}}\nrules:\n  - when: {model: g}\n    feature: serch",
        [(5, "rules[0].feature: unknown feature 'serch'; did you mean 'search'?")],
    ),
    (
        "unknown split",
        "version: 1\nrules: [{when: {}, split: gw}]",
        [(2, "unknown split 'gw'; valid: none is defined")],
    ),
    ("no target", "version: 1\nrules: [{when: {}}]", [(2, "either `feature:` or `split:`")]),
    (
        "two targets",
        "version: 1\nfeatures: {a: {}}\nsplits: {s: {method: even, features: [a]}}\n"
        "rules: [{when: {}, feature: a, split: s}]",
        [(4, "either `feature:` or `split:`")],
    ),
    (
        "dates reversed",
        "version: 1\nfeatures: {a: {}}\nrules:\n  - when: {}\n    feature: a\n    valid_from: 2026-02-01\n"
        "    valid_to: 2026-01-01",
        [(7, "rules[0].valid_to: is before valid_from 2026-02-01")],
    ),
    (
        "no date",
        "version: 1\nfeatures: {a: {}}\nrules: [{when: {}, feature: a, valid_from: soon}]",
        [(3, "this must be a day such as 2026-01-31")],
    ),
    (
        "same name",
        "version: 1\nfeatures: {a: {}}\nrules:\n"
        "  - {name: x, when: {}, feature: a}\n  - {name: x, when: {}, feature: a}",
        [(5, "rules[1].name: rules[0] has this name already")],
    ),
    (
        "unknown method",
        "version: 1\nsplits:\n  s: {method: evn, features: [a]}",
        [(3, "splits.s.method: unknown method 'evn'; did you mean 'even'?")],
    ),
    ("no method", "version: 1\nsplits:\n  s: {features: [a]}", [(3, "splits.s.method: this key is required")]),
    (
        "weights",
        "version: 1\nfeatures: {a: {}, b: {}}\nsplits:\n  s: {method: fixed, weights: {a: 0.6, b: 0.3}}",
        [(4, "splits.s.weights: add up to 0.9")],
    ),
    (
        "weights of nobody",
        "version: 1\nfeatures: {a: {}}\nsplits:\n  s:\n    method: fixed\n    weights:\n      bb: 1",
        [(7, "splits.s.weights.bb: unknown feature 'bb'")],
    ),
    (
        "split of another kind",
        "version: 1\nfeatures: {a: {}}\nsplits:\n  s: {method: even, weights: {a: 1}}",
        [(4, "splits.s.features: this key is required"), (4, "splits.s.weights: unknown key")],
    ),
    ("twice the same key", "version: 1\nfeatures:\n  a: {}\n  a: {}", [(4, "features.a: this key is written twice")]),
    ("not a mapping", "- a\n- b", [(1, "must be a mapping")]),
    ("empty file", "", [(1, "must be a mapping")]),
    ("syntax", "version: 1\nfeatures: {a: {}\nrules: []", [(3, "not valid YAML")]),
    ("alias in itself", "version: 1\nfeatures: &f\n  a: *f", [(3, "features.a: an alias (*) here contains itself")]),
    ("tab", "version: 1\nfeatures:\n\ta: {}", [(3, "not valid YAML")]),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_problem_is_told_with_line_and_field(text: str, problems: list[tuple[int, str]]) -> None:
    with pytest.raises(FeaturesError) as raised:
        parse_features(text, name="features.yml")
    told = str(raised.value).splitlines()
    for line, part in problems:
        assert any(t.startswith(f"features.yml:{line}: ") and part in t for t in told), told


def test_every_problem_is_told_at_once_and_none_twice() -> None:
    text = "\n".join(
        [
            "version: 1",
            "features: {a: {ownr: x, channel: }}",
            "rules:",
            "  - {when: {modle: g, provider: {prefix: [x]}}, feature: a, prio: 1}",
        ]
    )
    with pytest.raises(FeaturesError) as raised:
        parse_features(text)
    told = str(raised.value).splitlines()
    assert [line.split(": ")[0] for line in told] == ["features.yml:2"] * 2 + ["features.yml:4"] * 3
    assert len(set(told)) == 5


def test_what_makes_no_sense_is_told_beside_what_has_no_shape() -> None:
    text = "\n".join(
        [
            "version: 1",
            "features: {a: {ownr: x}}",
            "splits:",
            "  s: {method: fixed, weights: {a: 0.5, b: 0.4}}",
            "  t: {method: evn}",
            "rules:",
            "  - {name: x, when: {}, feature: a, prio: 1}",
            "  - {name: x, when: {}, feature: aa}",
            "  - {when: {model: {regex: '('}, provider: [x]}, split: u}",
            "  - {when: {model: {glob: '['}}, split: t, feature: a}",
            "  - {when: {}, feature: a, valid_from: 2026-02-01, valid_to: 2026-01-01, priority: high}",
            "  - {when: {}, featur: a}",
        ]
    )
    with pytest.raises(FeaturesError) as raised:
        parse_features(text)
    told = str(raised.value).splitlines()
    assert [line.removeprefix("features.yml:").split(": ")[:2] for line in told] == [
        ["2", "features.a.ownr"],
        ["4", "splits.s.weights.b"],
        ["4", "splits.s.weights"],
        ["5", "splits.t.method"],
        ["7", "rules[0].prio"],
        ["8", "rules[1].feature"],
        ["8", "rules[1].name"],
        ["9", "rules[2].split"],
        ["9", "rules[2].when.model.regex"],
        ["9", "rules[2].when.provider"],
        ["10", "rules[3].when.model.glob"],
        ["10", "rules[3]"],
        ["11", "rules[4].priority"],
        ["11", "rules[4].valid_to"],
        ["12", "rules[5].featur"],
    ]


def test_a_file_with_a_byte_order_mark_is_read_and_a_missing_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "features.yml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\n")
    assert load_features(path).rules == ()
    with pytest.raises(FeaturesError, match=r"none\.yml: no such file — `trendbreak init`"):
        load_features(tmp_path / "none.yml")
    path.write_bytes(b"version: 1\nfeatures: {\xff: {}}")
    with pytest.raises(FeaturesError, match="is not UTF-8 text"):
        load_features(path)


def test_the_json_schema_accepts_what_the_reader_accepts() -> None:
    schema = features_json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    document = yaml.safe_load(WHOLE)  # as an editor reads it: numbers, booleans
    for rule in document["rules"]:  # JSON has no dates
        rule.update({key: str(rule[key]) for key in ("valid_from", "valid_to") if key in rule})
    document["features"]["search"] = {}
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    "document",
    [
        {"version": 1, "feature": {}},
        {"version": 3},
        {"version": 1, "features": {"a": {"ownr": "x"}}},
        {"version": 1, "rules": [{"when": {"modle": "x"}, "feature": "a"}]},
        {"version": 1, "rules": [{"when": {"model": {"prefx": "x"}}, "feature": "a"}]},
        {"version": 1, "rules": [{"when": {}}]},
        {"version": 1, "splits": {"s": {"method": "evn"}}},
    ],
)
def test_the_json_schema_refuses_what_the_reader_refuses(document: dict[str, object]) -> None:
    assert list(jsonschema.Draft202012Validator(features_json_schema()).iter_errors(document))
    with pytest.raises(FeaturesError):
        parse_features(yaml.safe_dump(document))


def test_every_dimension_is_a_column_of_charges() -> None:
    columns = {row["column_name"] for row in rows_of(new_warehouse().con, "DESCRIBE core.charges")}
    assert set(DIMENSIONS) <= columns


def test_features_stand_in_core_for_the_models() -> None:
    wh = new_warehouse()
    parse_features(WHOLE).apply_tables(wh.con)
    chat, search = rows_of(wh.con, "SELECT * FROM core.features ORDER BY feature DESC")
    assert chat["monthly_budget_usd"] == Decimal(12000)
    assert (chat["unit"], chat["outcome_settles_days"], chat["has_success_rule"]) == ("answer", 2, True)
    assert (search["owner"], search["unit"], search["has_success_rule"]) == (None, "task", False)
    success = rows_of(wh.con, "SELECT * FROM core.feature_success ORDER BY outcome")
    assert success == [{"feature": "support_chat", "outcome": name} for name in ("closed", "resolved")]
    parse_features("version: 1").apply_tables(wh.con)
    assert rows_of(wh.con, "SELECT * FROM core.features") == []


def test_a_bomb_of_aliases_and_one_of_brackets_are_refused_at_once() -> None:
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(FeaturesError, match=r"features\.yml:\d+: too many aliases"):
        parse_features("\n".join(lines))
    with pytest.raises(FeaturesError, match="nested too deeply"):
        parse_features("version: 1\nfeatures: " + "[" * 20_000)
