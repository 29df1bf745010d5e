"""A closed month keeps its figures, whatever bills and rules do later; the books add up to the last digit."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.warehouse.ledger import NOW, TODAY, add_charges, charge, new_warehouse, rows_of
from warehouse.books import TABLES, BooksError, check_closable, freeze_month
from warehouse.build import BuildResult, build
from warehouse.features import Features, parse_features
from warehouse.state import StateStore
from warehouse.store import Warehouse

APRIL, MAY, JUNE = date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)
RULES = parse_features(
    """
version: 1
features: {chat: {monthly_budget_usd: 20}, search: {}}
rules:
  - {when: {model: a}, feature: chat}
  - {when: {model: b}, split: both}
splits: {both: {method: fixed, weights: {chat: 1, search: 2}}}
"""
)
OTHER_RULES = RULES.model_copy(update={"rules": RULES.rules[1:]})


class Books:
    """A warehouse and a state store; every build as a run makes it."""

    def __init__(self, folder: Path) -> None:
        self.state = StateStore(f"sqlite:///{folder / 'state.sqlite'}")
        self.state.create()
        self.wh: Warehouse = new_warehouse()
        self.now = NOW

    def bill(self, *rows: dict[str, Any]) -> None:
        self.wh.con.execute("DELETE FROM core.charge_amounts")
        add_charges(self.wh, rows)

    def run(
        self, features: Features = RULES, *, old: Features | None = None, as_of: date = TODAY, keep: bool = True
    ) -> BuildResult:
        self.now += timedelta(hours=1)
        done = build(
            self.wh,
            features=features,
            run_id="r",
            now=self.now,
            as_of=as_of,
            settled_through={"bill": TODAY},
            old_features=old,
            books=self.state.export(TABLES),
        )
        if keep:
            self.state.add_corrections(done.corrections)
        return done

    def close(self, month: date, at: datetime = NOW) -> None:
        check_closable(self.wh.con, month, force=True)
        self.state.close_month({"month": month, "closed_at": at, "who": "ann"}, freeze_month(self.wh.con, month))

    def month(self, month: date) -> dict[str, Decimal]:
        rows = rows_of(self.wh.con, "SELECT * FROM marts.feature_cost_monthly WHERE month = ?", [month])
        return {row["feature"]: row["effective_cost_usd"] for row in rows if row["effective_cost_usd"]}


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def first_bill(extra: Decimal = Decimal(0)) -> list[dict[str, Any]]:
    return [
        charge(Decimal("10.000000000001") + extra, model="a", charge_date=APRIL),
        charge(Decimal("1"), model="b", charge_date=APRIL),
        charge(Decimal("-2"), model="a", charge_category="Credit", charge_date=APRIL),
        charge(Decimal("30"), model="a", charge_date=MAY),
    ]


def test_a_restated_bill_becomes_a_correction_in_the_open_month(books: Books) -> None:
    books.bill(*first_bill())
    books.run()
    before = books.month(APRIL)
    books.close(APRIL)
    assert books.run().corrections == ()
    books.bill(*first_bill(extra=Decimal("0.5")), charge(7, model="new", charge_date=APRIL))
    done = books.run()
    assert books.month(APRIL) == before
    booked = {
        (row["feature"], row["reason"], row["booked_month"]): row["effective_cost_usd"] for row in done.corrections
    }
    assert booked == {("chat", "restatement", JUNE): Decimal("0.5"), ("unallocated", "restatement", JUNE): 7}
    # The open month holds nothing else.
    assert books.month(JUNE) == {"chat": Decimal("0.5"), "unallocated": 7}
    (row,) = rows_of(
        books.wh.con, "SELECT * FROM marts.feature_cost_monthly WHERE feature = 'chat' AND month = ?", [JUNE]
    )
    assert row["correction_effective_cost_before_credits_usd"] == Decimal("0.5")
    assert row["budget_used_share"] == 0
    # It stands in the daily series where it belongs.
    (day,) = rows_of(
        books.wh.con,
        "SELECT effective_cost_usd FROM marts.feature_cost_daily WHERE feature = 'unallocated' AND charge_date = ?",
        [APRIL],
    )
    assert day["effective_cost_usd"] == 7
    assert any(one.step == "close" for one in done.reconciliations)
    assert books.run().corrections == ()


def test_a_changed_rule_moves_no_closed_dollar(books: Books) -> None:
    books.bill(*first_bill())
    books.run()
    before = books.month(APRIL)
    books.close(APRIL)
    done = books.run(OTHER_RULES, old=RULES)
    assert books.month(APRIL) == before
    assert {row["reason"] for row in done.corrections} == {"rules"}
    assert sum(row["effective_cost_usd"] for row in done.corrections) == 0
    assert books.month(MAY) == {"unallocated": 30}  # an open month says what the rules say
    assert books.month(JUNE) == {"chat": Decimal("-8.000000000001"), "unallocated": Decimal("8.000000000001")}
    # And back again.
    done = books.run(RULES, old=OTHER_RULES)
    assert books.month(JUNE) == {}
    assert {row["feature"] for row in done.corrections} == {"chat", "unallocated"}


def test_a_run_that_was_killed_before_it_noted_its_corrections_books_them_once(books: Books) -> None:
    books.bill(*first_bill())
    books.run()
    books.close(APRIL)
    books.bill(*first_bill(extra=Decimal(1)))
    lost = books.run(keep=False).corrections
    assert len(lost) == 1
    assert len(books.run().corrections) == 1
    assert books.run().corrections == ()
    assert books.month(JUNE) == {"chat": 1}


def test_a_correction_stays_in_its_month_when_that_is_closed_too(books: Books) -> None:
    books.bill(*first_bill())
    books.run()
    books.close(APRIL)
    books.bill(*first_bill(extra=Decimal(1)))
    books.run(as_of=date(2026, 5, 31))
    assert books.month(MAY) == {"chat": 31}
    books.close(MAY)
    books.bill(*first_bill(extra=Decimal(3)))
    books.run(as_of=date(2026, 5, 31))  # May is closed: the next month is open
    assert books.month(APRIL)["chat"] == Decimal("8.000000000001") + _third(books)
    assert books.month(MAY) == {"chat": 31}
    assert books.month(JUNE) == {"chat": 2}


def _third(books: Books) -> Decimal:
    """Chat's part of the split dollar."""
    (row,) = rows_of(
        books.wh.con,
        "SELECT sum(effective_cost_usd) AS part FROM core.allocations WHERE is_allocated AND feature = 'chat'",
    )
    part: Decimal = row["part"]
    return part


def test_what_cannot_be_closed_says_why(books: Books) -> None:
    books.bill(*first_bill())
    books.run()
    books.close(APRIL)
    books.run()
    with pytest.raises(BooksError, match="2026-04: is closed already, since 2026-06-01 by ann"):
        check_closable(books.wh.con, APRIL, force=True)
    with pytest.raises(BooksError, match="no charges"):
        check_closable(books.wh.con, date(2025, 1, 1), force=True)
    with pytest.raises(BooksError, match="is not settled yet for chat"):
        check_closable(books.wh.con, MAY, force=False)  # its last day with a charge is the 1st


COSTS = st.decimals(min_value=-100, max_value=100, places=12, allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "cost": COSTS,
            "model": st.sampled_from(["a", "b", None]),
            "charge_date": st.sampled_from([APRIL, MAY]),
            "source_name": st.sampled_from(["bill", "other"]),
            "charge_category": st.sampled_from(["Usage", "Credit", "Tax"]),
        }
    ),
    max_size=5,
)


@pytest.mark.properties
@settings(max_examples=examples(3), deadline=None, phases=[Phase.generate])
@given(bills=st.lists(st.tuples(ROWS, st.booleans()), min_size=2, max_size=4))
def test_the_books_add_up_after_any_bills_and_rules(tmp_path_factory: Any, bills: list[tuple[Any, bool]]) -> None:
    books = Books(tmp_path_factory.mktemp("books"))
    frozen: dict[str, Decimal] | None = None
    old: Features | None = None
    for rows, is_other in bills:
        features = OTHER_RULES if is_other else RULES
        books.bill(*(charge(**row) for row in rows))
        books.run(features, old=old)  # reconciles, or raises
        if frozen is not None:
            known = books.month(APRIL)
            assert {name: cost for name, cost in frozen.items() if name in known} == known
        elif books.month(APRIL):
            books.close(APRIL)
            books.run(features)
            frozen = books.month(APRIL)
        total = "SELECT coalesce(sum(effective_cost), 0) AS total FROM core.charges WHERE charge_date = ?"
        if frozen is not None:
            (closed,) = rows_of(
                books.wh.con,
                "SELECT (SELECT coalesce(sum(effective_cost), 0) FROM core.closed_costs) "
                "+ (SELECT coalesce(sum(effective_cost), 0) FROM core.corrections) AS total",
            )
            assert closed["total"] == rows_of(books.wh.con, total, [APRIL])[0]["total"]
        old = features
