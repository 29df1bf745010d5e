"""A change of features.yml is recorded with what it moves, and nothing else is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.warehouse.ledger import NOW, TODAY, add_charges, charge, new_warehouse, rows_of
from warehouse.build import BuildResult, build
from warehouse.features import Features, parse_features
from warehouse.rule_changes import RuleMove, read_rules, record_rules, write_rules
from warehouse.state import StateStore
from warehouse.store import Warehouse

BEFORE = parse_features(
    """
version: 1
features:
  chat: {owner: "@maya", channel: "#a", monthly_budget_usd: 12.50, success: {outcomes: ["no", yes]}}
  search: {revenue: {per_unit_usd: 0.10}}
rules:
  - {name: "it's <b>", when: {sub_account_id: {in: [chat, "007"]}, tag.x: {present: false}}, feature: chat}
  - {when: {model: {glob: "gpt-*"}}, split: half, valid_from: 2026-03-02, valid_to: 2026-12-31}
splits:
  half: {method: fixed, weights: {chat: 0.3, search: 0.7}}
  even: {method: even, features: [chat, search]}
  own: {method: proportional}
  seen: {method: telemetry, trailing_days: 7}
"""
)
AFTER = BEFORE.model_copy(update={"rules": BEFORE.rules[:1]})


@pytest.fixture
def wh() -> Warehouse:
    wh = new_warehouse()
    add_charges(
        wh,
        [
            charge("10", sub_account_id="chat", charge_date=date(2026, 3, 1)),
            charge("7.000000000001", model="gpt-5", charge_date=date(2026, 3, 2)),
            charge("-1", model="gpt-5", charge_category="Credit", charge_date=date(2026, 3, 2)),
            charge("4", model="gpt-5", charge_date=date(2026, 4, 9)),
            charge("6", model="gpt-5", charge_date=date(2026, 4, 11)),
            charge("5", model="gpt-5", charge_date=date(2026, 3, 1)),
        ],
    )
    return wh


def build_by(wh: Warehouse, features: Features, old: Features | None = None) -> BuildResult:
    return build(
        wh,
        features=features,
        run_id="r",
        now=NOW,
        as_of=TODAY,
        settled_through={"bill": TODAY},
        old_features=old,
    )


def test_what_is_written_is_read_back_as_it_was() -> None:
    assert read_rules(write_rules(BEFORE)) == BEFORE
    assert read_rules('{"version": "9"}') is None


def test_a_changed_rule_says_which_months_it_moves_from_whom_to_whom(wh: Warehouse) -> None:
    build_by(wh, BEFORE)
    moves = build_by(wh, AFTER, BEFORE).rule_moves
    march, april = date(2026, 3, 1), date(2026, 4, 1)
    second, ninth, eleventh = date(2026, 3, 2), date(2026, 4, 9), date(2026, 4, 11)
    assert moves == (
        RuleMove("chat", march, Decimal("12.1"), Decimal(10), second, second),
        RuleMove("search", march, Decimal("4.900000000001"), Decimal(0), second, second),
        RuleMove("unallocated", march, Decimal(5), Decimal("12.000000000001"), second, second),
        RuleMove("chat", april, Decimal(3), Decimal(0), ninth, eleventh),
        RuleMove("search", april, Decimal(7), Decimal(0), ninth, eleventh),
        RuleMove("unallocated", april, Decimal(0), Decimal(10), ninth, eleventh),
    )
    assert sum(move.new_usd - move.old_usd for move in moves) == 0
    # The build itself is by the new rules.
    assert {row["feature"] for row in rows_of(wh.con, "SELECT DISTINCT feature FROM core.allocations")} == {
        "chat",
        "unallocated",
    }


def test_a_restated_bill_moves_nothing_between_features(wh: Warehouse) -> None:
    build_by(wh, BEFORE)
    add_charges(wh, [charge("99", model="gpt-5", charge_date=date(2026, 4, 9))])
    assert build_by(wh, BEFORE, BEFORE).rule_moves == ()


def test_each_version_is_kept_once_also_when_a_file_goes_back(wh: Warehouse, tmp_path: Path) -> None:
    state = StateStore(f"sqlite:///{tmp_path / 'state.sqlite'}")
    state.create()
    old: Features | None = None
    for features, who in ((BEFORE, "ann"), (BEFORE, "bob"), (AFTER, "cy"), (BEFORE, "dee")):
        moves = build_by(wh, features, old).rule_moves
        versions = state.list_rule_versions()
        previous = versions[-1] if versions else None
        record_rules(state, previous=previous, content=write_rules(features), moves=list(moves), who=who, now=NOW)
        old = features
    versions = state.list_rule_versions()
    assert [(row["version"], row["who"]) for row in versions] == [(1, "ann"), (2, "cy"), (3, "dee")]
    assert versions[0]["fingerprint"] == versions[2]["fingerprint"] != versions[1]["fingerprint"]
    changes = state.list_rule_changes()
    assert {row["version"] for row in changes} == {2, 3}
    of_chat = [row for row in changes if row["feature"] == "chat" and row["month"] == date(2026, 3, 1)]
    assert [row["new_effective_cost_before_credits_usd"] for row in of_chat] == [Decimal(10), Decimal("12.1")]
    assert of_chat[0]["old_fingerprint"] == versions[0]["fingerprint"]
    assert state.export()["rule_changes"].num_rows == len(changes)
