"""What `tags check` finds: idle and shadowed rules, overlaps, and a rule for what nobody owns that really takes it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml

from tests.warehouse.ledger import add_charges, charge, new_warehouse
from warehouse.allocate import allocate
from warehouse.features import Features, parse_features
from warehouse.rule_check import RuleReport, check_rules
from warehouse.store import Warehouse

HOSTILE = "key\"'}]: #\x1b[31m\x7f😀{{"
FEATURES = """
version: 1
features: {chat: {}, search: {}, voice_notes: {}}
rules:
  - {name: project, when: {sub_account_id: chat}, feature: chat}
  - {name: model, when: {model: gpt-5}, feature: search}
  - {name: shadowed, when: {sub_account_id: chat, model: gpt-5}, feature: search}
  - {name: dead, when: {sub_account_id: nowhere}, feature: chat}
  - {name: past, when: {sub_account_id: old}, feature: chat, valid_to: 2025-12-31}
"""
DAY = date(2026, 3, 20)


def warehouse(*rows: dict[str, Any]) -> Warehouse:
    wh = new_warehouse()
    add_charges(wh, [charge(**{"charge_date": DAY, **row}) for row in rows])
    return wh


@pytest.fixture
def report() -> RuleReport:
    wh = warehouse(
        {"cost": 10, "sub_account_id": "chat", "model": "gpt-5"},
        {"cost": 3, "sub_account_id": "x", "model": "gpt-5"},
        {"cost": 100, "sub_account_id": "x", "model": "gpt-5", "charge_date": date(2026, 1, 1)},
        {"cost": 4, "sub_account_id": "old"},
        {"cost": -4, "sub_account_id": "old", "charge_category": "Credit"},
        {"cost": 7, "api_key_id": HOSTILE, "sub_account_id": "x"},
        {"cost": 20, "service_name": "EC2", "ai_kind": "other"},
        {"cost": 2, "charge_category": "Tax"},
    )
    return check_rules(wh, parse_features(FEATURES))


def test_each_rule_says_what_it_takes_and_why_not(report: RuleReport) -> None:
    uses = {use.name: use for use in report.rules}
    assert (uses["project"].cost_usd, uses["project"].charges) == (10, 1)
    assert (uses["model"].cost_usd, uses["model"].charges) == (3, 2)  # the hundred is older than the window
    assert uses["model"].taken_before_by == ("project",)
    assert uses["shadowed"].is_shadowed
    assert uses["shadowed"].taken_before_by == ("project",)
    assert uses["dead"].is_dead
    assert uses["past"].is_dead  # no charge of its days
    assert [use.name for use in report.rules if use.is_dead or use.is_shadowed] == ["shadowed", "dead", "past"]


def test_overlaps_name_who_takes_and_how_much(report: RuleReport) -> None:
    found = {(one.first, one.second): one.cost_usd for one in report.overlaps}
    assert found == {("project", "model"): Decimal(10), ("project", "shadowed"): Decimal(10)}


def test_what_nobody_owns_is_ai_only(report: RuleReport) -> None:
    assert report.unallocated_usd == 4 + 7
    assert report.total_usd == 10 + 3 + 4 + 7


def appended(features: str, suggestion: str) -> Features:
    """The file with the suggestion pasted, its placeholder made a feature."""
    content = yaml.safe_load(features)
    content["rules"].append(yaml.safe_load(suggestion)[0])
    content["features"]["name_of_the_feature"] = {}
    return parse_features(yaml.safe_dump(content, allow_unicode=True))


@pytest.mark.parametrize(
    ("row", "asks", "feature"),
    [
        ({"tags": '{"Team":"voice-notes","a":"b"}'}, "tag.Team", "voice_notes"),
        ({"tags": '{"aws:eks:namespace":"search-prod"}'}, "k8s.namespace", "search"),
        ({"api_key_id": HOSTILE}, "api_key_id", "name_of_the_feature"),
        ({"provider": "aws", "sub_account_id": "9", "service_name": "Bedrock"}, "service_name", "name_of_the_feature"),
        ({"provider": "openai"}, "provider", "name_of_the_feature"),
    ],
)
@pytest.mark.parametrize("priority", ["", "priority: 900, "])
def test_the_rule_that_is_printed_takes_what_it_says(
    row: dict[str, Any], asks: str, feature: str, priority: str
) -> None:
    features = FEATURES.replace("{name: model, ", "{name: model, " + priority)
    wh = warehouse({"cost": "5.5", "service_name": None, **row}, {"cost": 1, "model": "gpt-5", "service_name": None})
    (first, *_) = check_rules(wh, parse_features(features)).suggestions
    assert asks in first.yaml
    assert first.cost_usd == Decimal("5.5")
    assert "\x1b" not in first.yaml
    allocate(wh, appended(features, first.yaml))
    taken = wh.con.execute(
        "SELECT feature, sum(effective_cost_usd) FROM core.allocations GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    together: dict[str, Decimal] = {}
    for name, cost_usd in [(feature, Decimal("5.5")), ("search", Decimal(1))]:
        together[name] = together.get(name, Decimal(0)) + cost_usd
    assert dict(taken) == together


def test_what_is_not_ai_is_not_swept_up_by_a_suggestion() -> None:
    place = {"provider": "aws", "sub_account_id": "9", "service_name": "EC2"}
    wh = warehouse({"cost": 5, "ai_kind": "gpu", **place}, {"cost": 50, "ai_kind": "other", **place})
    (only,) = check_rules(wh, parse_features(FEATURES)).suggestions
    allocate(wh, appended(FEATURES, only.yaml))
    rows = wh.con.execute("SELECT feature, sum(effective_cost_usd) FROM core.allocations GROUP BY ALL").fetchall()
    assert dict(rows) == {"name_of_the_feature": 5, "shared: not AI": 50}


def test_an_empty_warehouse_and_a_file_without_rules_are_no_error() -> None:
    assert check_rules(new_warehouse(), parse_features(FEATURES)).suggestions == ()
    report = check_rules(warehouse({"cost": 5, "api_key_id": "k"}), parse_features("version: 1"))
    assert (report.unallocated_usd, len(report.suggestions)) == (5, 1)
