from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.warehouse.ledger import add_charges, charge, new_warehouse, rows_of
from warehouse.allocate import AllocationError, allocate
from warehouse.features import parse_features
from warehouse.store import Warehouse
from warehouse.taking import tag_spellings

D = Decimal
DAY = date(2026, 3, 1)


def given_charges(*rows: dict[str, Any]) -> Warehouse:
    wh = new_warehouse()
    add_charges(wh, rows)
    return wh


def owners(wh: Warehouse, features: str) -> dict[str, Decimal]:
    """Feature → effective cost, after allocating."""
    allocate(wh, parse_features("version: 1\n" + features))
    found = rows_of(
        wh.con, "SELECT feature, sum(effective_cost) AS cost FROM core.allocations GROUP BY ALL ORDER BY ALL"
    )
    return {row["feature"]: row["cost"] for row in found}


def test_the_first_rule_by_priority_then_place_takes_the_charge() -> None:
    wh = given_charges(charge(1, model="gpt-5"), charge(2, model="o3"), charge(4, model="gpt-4.1"))
    assert owners(
        wh,
        """
features: {a: {}, b: {}, c: {}}
rules:
  - {when: {model: {prefix: gpt}}, feature: a}
  - {when: {model: {regex: "."}}, feature: b}
  - {priority: 1, when: {model: gpt-4.1}, feature: c}
""",
    ) == {"a": 1, "b": 2, "c": 4}


def test_what_no_rule_takes_is_unallocated_and_has_no_rule() -> None:
    wh = given_charges(charge(3, model=None))
    assert owners(wh, "features: {a: {}}\nrules: [{when: {model: {present: true}}, feature: a}]") == {"unallocated": 3}
    assert rows_of(wh.con, "SELECT rule, is_allocated FROM core.allocations") == [{"rule": None, "is_allocated": False}]


def test_without_rules_everything_is_unallocated() -> None:
    assert owners(given_charges(charge(3), charge(4, provider="aws")), "") == {"unallocated": 7}
    assert owners(given_charges(), "") == {}


def test_a_rule_holds_from_its_first_to_its_last_day() -> None:
    wh = given_charges(*(charge(10**n, charge_date=DAY + timedelta(days=n)) for n in range(4)))
    features = """
features: {a: {}, b: {}}
rules:
  - {when: {}, feature: a, valid_from: 2026-03-02, valid_to: 2026-03-03}
  - {when: {}, feature: b, valid_to: 2026-03-02}
"""
    assert owners(wh, features) == {"a": 110, "b": 1, "unallocated": 1000}


TAX = {"charge_category": "Tax"}
SUPPORT = {"service_name": "AWS Support (Business)", "provider": "aws"}
UNUSED = {"commitment_discount_status": "Unused", "provider": "aws", "service_name": "Amazon EC2"}


@pytest.mark.parametrize(
    ("row", "pool", "asking"),
    [
        (TAX, "shared: tax", "charge_category: Tax"),
        (SUPPORT, "shared: support", "service_name: {glob: '*Support*'}"),
        (UNUSED, "shared: unused commitments", "commitment_discount_status: Unused"),
    ],
)
def test_a_pool_keeps_its_charges_unless_a_rule_asks_for_them(row: dict[str, Any], pool: str, asking: str) -> None:
    wh = given_charges(charge(1, **row), charge(2))
    assert owners(wh, "features: {a: {}}\nrules: [{when: {source_name: bill}, feature: a}]") == {"a": 2, pool: 1}
    assert owners(wh, f"features: {{a: {{}}}}\nrules: [{{when: {{{asking}}}, feature: a}}]") == {
        "a": 1,
        "unallocated": 2,
    }


@pytest.mark.parametrize(
    ("service", "is_support"),
    [
        ("AWS Support (Business)", True),
        ("AWS Premium Support", True),
        ("AWSSupportEnterprise", True),
        ("Google Cloud Support", True),
        ("Support", True),
        ("Microsoft Unified Support", True),
        ("Customer Support Chat", False),
        ("Amazon Connect", False),
        ("Supportive Analytics", False),
        (None, False),
    ],
)
def test_support_is_known_by_its_services_name(service: str | None, is_support: bool) -> None:
    expected = "shared: support" if is_support else "unallocated"
    assert list(owners(given_charges(charge(1, service_name=service)), "")) == [expected]


def test_a_rule_may_give_to_a_named_pool_or_to_nobody() -> None:
    wh = given_charges(charge(1, model="a"), charge(2, model="b"))
    features = """
rules:
  - {when: {model: a}, feature: "shared: platform"}
  - {name: nobody, when: {model: b}, feature: unallocated}
"""
    assert owners(wh, features) == {"shared: platform": 1, "unallocated": 2}
    assert rows_of(wh.con, "SELECT rule FROM core.allocations WHERE feature = 'unallocated'") == [{"rule": "nobody"}]


def test_tags_are_found_by_key_whatever_the_key_holds() -> None:
    keys = ["feature", "app.kubernetes.io/name", "a~b", "it's", 'quo"te', "日本", "$.x", "feature'; --"]
    wh = given_charges(*(charge(2**n, tags=tag_text(key, "v")) for n, key in enumerate(keys)))
    lines = "\n".join(f"  - {{when: {{{yaml_text('tag.' + key)}: v}}, feature: f{n}}}" for n, key in enumerate(keys))
    features = f"features: {{{', '.join(f'f{n}: {{}}' for n in range(len(keys)))}}}\nrules:\n{lines}\n"
    assert owners(wh, features) == {f"f{n}": 2**n for n in range(len(keys))}


def tag_text(key: str, value: str) -> str:
    import json

    return json.dumps({key: value}, ensure_ascii=False)


def yaml_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_an_empty_tag_is_there_and_a_broken_tags_text_has_none() -> None:
    wh = given_charges(charge(1, tags='{"team":""}'), charge(2, tags="{broken"), charge(4, tags=None))
    assert owners(wh, "features: {a: {}}\nrules: [{when: {tag.team: {present: true}}, feature: a}]") == {
        "a": 1,
        "unallocated": 6,
    }
    assert owners(wh, "features: {a: {}}\nrules: [{when: {tag.team: ''}, feature: a}]")["a"] == 1


def test_kubernetes_namespaces_and_labels_are_found_in_every_exports_spelling() -> None:
    wh = given_charges(
        charge(1, tags='{"k8s-namespace":"chat"}'),
        charge(2, tags='{"aws:eks:namespace":"chat"}'),
        charge(4, tags='{"k8s-label/app":"chat"}'),
        charge(8, tags='{"namespace":"chat"}'),
    )
    features = """
features: {a: {}, b: {}}
rules:
  - {when: {k8s.namespace: chat}, feature: a}
  - {when: {k8s.label.app: chat}, feature: b}
"""
    assert owners(wh, features) == {"a": 3, "b": 4, "unallocated": 8}


def test_a_tag_may_be_asked_for_with_the_prefix_its_export_gives_it() -> None:
    assert tag_spellings("tag.user:feature") == ["user:feature", "feature"]
    assert tag_spellings("tag.feature") == ["feature"]


HOSTILE = [
    "'; DROP TABLE core.charges; --",
    '"; DELETE FROM core.charges; --',
    "$1 ? {{ x }} {% raw %}",
    "a\nb\x00c\\",
    "ナツミ🚀",
    "%(x)s",
]


def test_hostile_text_is_compared_and_never_run() -> None:
    """As a value in a bill, as an operand, as a rule's name and as a feature's name."""
    rows = [charge(2**n, sub_account_id=text.replace("\x00", "")) for n, text in enumerate(HOSTILE)]
    wh = given_charges(*rows)
    features = parse_features(
        "version: 1\nfeatures: {" + ", ".join(f"{yaml_text(f'f{n}; --')}: {{}}" for n in range(len(rows))) + "}"
    )
    built = type(features).model_validate(
        {
            **features.model_dump(),
            "rules": [
                {
                    "name": row["sub_account_id"],
                    "when": {"sub_account_id": row["sub_account_id"]},
                    "feature": f"f{n}; --",
                }
                for n, row in enumerate(rows)
            ],
        }
    )
    allocate(wh, built)
    found = rows_of(wh.con, "SELECT feature, rule, effective_cost FROM core.allocations ORDER BY effective_cost")
    assert found == [
        {"feature": f"f{n}; --", "rule": row["sub_account_id"], "effective_cost": 2**n} for n, row in enumerate(rows)
    ]
    assert rows_of(wh.con, "SELECT count(*) AS n FROM core.charges") == [{"n": len(rows)}]


def test_fixed_shares_are_exact_and_whole_numbers_are_parts() -> None:
    wh = given_charges(charge(10))
    features = (
        "features: {a: {}, b: {}}\nrules: [{when: {}, split: s}]\nsplits: {s: {method: fixed, weights: {a: %s, b: %s}}}"
    )
    assert owners(wh, features % ("0.6", "0.4")) == {"a": 6, "b": 4}
    assert owners(wh, features % ("60", "40")) == {"a": 6, "b": 4}
    assert owners(wh, features % ("3", "2")) == {"a": 6, "b": 4}
    assert rows_of(wh.con, "SELECT DISTINCT is_allocated FROM core.allocations") == [{"is_allocated": True}]


def test_a_cent_in_thirds_loses_nothing() -> None:
    wh = given_charges(charge("0.01"))
    features = """
features: {a: {}, b: {}, c: {}}
rules: [{when: {}, split: s}]
splits: {s: {method: even, features: [a, b, c]}}
"""
    assert owners(wh, features) == {"a": D("0.003333333334"), "b": D("0.003333333333"), "c": D("0.003333333333")}


def test_proportional_follows_direct_cost_of_the_day_credits_left_out() -> None:
    wh = given_charges(
        charge(30, model="a"),
        charge(10, model="b"),
        charge(-25, model="a", charge_category="Credit"),
        charge(8, model="shared"),
    )
    features = """
features: {a: {}, b: {}}
rules:
  - {when: {model: a}, feature: a}
  - {when: {model: b}, feature: b}
  - {when: {model: shared}, split: s}
splits: {s: {method: proportional}}
"""
    assert owners(wh, features) == {"a": 30 - 25 + 6, "b": 10 + 2}


def test_tokens_and_gpu_hours_are_split_like_the_money() -> None:
    wh = given_charges(charge(10, tokens=D(1000), gpu_hours=D(8)))
    owners(
        wh,
        "features: {a: {}, b: {}}\nrules: [{when: {}, split: s}]\nsplits: {s: {method: fixed, weights: {a: 3, b: 1}}}",
    )
    found = rows_of(wh.con, "SELECT feature, tokens, gpu_hours FROM core.allocations ORDER BY feature")
    assert found == [
        {"feature": "a", "tokens": 750, "gpu_hours": 6},
        {"feature": "b", "tokens": 250, "gpu_hours": 2},
    ]


def test_an_amount_too_large_to_multiply_is_told_and_nothing_changes() -> None:
    wh = given_charges(charge(5))
    features = "features: {a: {}, b: {}}\nrules: [{when: {}, split: s}]\nsplits: {s: {method: even, features: [a, b]}}"
    owners(wh, features)
    add_charges(wh, [charge("1e24")])
    with pytest.raises(AllocationError, match=r"core\.charges: an amount is too large"):
        wh.commit(lambda: allocate(wh, parse_features("version: 1\n" + features)))
    assert rows_of(wh.con, "SELECT sum(effective_cost) AS cost FROM core.allocations") == [{"cost": 5}]
    assert rows_of(wh.con, "SELECT count(*) AS n FROM duckdb_tables() WHERE temporary") == [{"n": 0}]


def test_a_sum_that_is_too_large_is_told_within_a_transaction() -> None:
    wh = given_charges(charge("9e25", scope="a"), charge("9e25", scope="b"))
    features = parse_features("version: 1\nfeatures: {a: {}}\nrules: [{when: {}, feature: a}]")
    with pytest.raises(AllocationError, match=r"core\.charges: an amount is too large"):
        wh.commit(lambda: allocate(wh, features))
    assert rows_of(wh.con, "SELECT current_setting('disabled_optimizers') AS off") == [{"off": ""}]


def test_allocating_again_changes_nothing_and_new_rules_re_allocate_history() -> None:
    wh = given_charges(*(charge(1, charge_date=DAY + timedelta(days=n)) for n in range(5)))
    features = "features: {%s: {}}\nrules: [{when: {}, feature: %s}]"
    assert owners(wh, features % ("a", "a")) == owners(wh, features % ("a", "a")) == {"a": 5}
    assert owners(wh, features % ("b", "b")) == {"b": 5}
