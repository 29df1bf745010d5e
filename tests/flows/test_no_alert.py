"""What is no break of trend never alerts, through the daily path: rules, taxes, credits, purchases up front."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from tests.flows.daily_home import DailyHome, Line, daily_lines

TODAY = date(2026, 6, 20)
FIRST = TODAY - timedelta(days=70)
SETTLED = TODAY - timedelta(days=3)
DAYS = (SETTLED - FIRST).days + 1
CALM = daily_lines("chat", FIRST, DAYS) + daily_lines("search", FIRST, DAYS, usd=300)


def last_days(make: Callable[[date], Line], days: int = 4) -> list[Line]:
    return [make(SETTLED - timedelta(days=k)) for k in range(days)]


NO_USAGE = [
    *last_days(lambda day: Line(day, Decimal(4000), category="Tax")),
    *last_days(lambda day: Line(day, Decimal(-5000), category="Credit")),
    # Billed up front on one day; what they are worth comes amortised, with the usage.
    Line(SETTLED, Decimal(0), service="EC2 Capacity Blocks", category="Purchase", billed=Decimal(30000)),
    Line(SETTLED, Decimal(0), service="Savings Plans", category="Purchase", billed=Decimal(80000)),
    # An adjustment that a charge of the same day cancels.
    Line(SETTLED, Decimal(-700), category="Adjustment"),
    Line(SETTLED, Decimal(700)),
]


def test_taxes_credits_and_purchases_up_front_never_alert(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    home.write()
    home.bill("drop", CALM + NO_USAGE)
    run = home.run(TODAY)
    assert run.breaks == []
    assert run.messages == []
    assert home.ask("SELECT count(*) FROM ops.incidents") == [(0,)]
    billed = "SELECT max(billed_cost_usd) > 100000 FROM marts.feature_cost_daily WHERE feature = 'chat'"
    assert home.ask(billed) == [(True,)]  # they are there


def test_a_change_of_rules_makes_no_step(tmp_path: Path) -> None:
    """Half of search moves to chat by a new rule: history is read under the new rules, and nothing has happened."""
    home = DailyHome(tmp_path)
    home.write()
    half = [Line(line.day, line.cost, "search", "Vector store") for line in daily_lines("search", FIRST, DAYS, usd=250)]
    home.bill("drop", CALM + half)
    assert home.run(TODAY).messages == []
    (tmp_path / "features.yml").write_text(
        "version: 1\nfeatures: {chat: {}, search: {}}\nrules:\n"
        "  - {when: {service_name: Vector store}, feature: chat}\n"
        "  - {when: {tag.feature: chat}, feature: chat}\n"
        "  - {when: {tag.feature: search}, feature: search}\n"
    )
    home.bill(
        "drop",
        [
            *CALM,
            *half,
            *(Line(SETTLED + timedelta(days=1), line.cost, line.feature, line.service) for line in half[-1:]),
        ],
    )
    later = home.run(TODAY + timedelta(days=1))
    assert later.breaks == []
    assert later.messages == []
    ((chat,),) = home.ask(
        "SELECT sum(effective_cost_usd) > 300 * 60 FROM marts.feature_cost_daily WHERE feature = 'chat'"
    )
    assert chat


def test_under_28_days_only_a_gross_rule_alerts_and_says_so(tmp_path: Path) -> None:
    home = DailyHome(tmp_path)
    home.write()
    first = SETTLED - timedelta(days=19)

    def bill(factor: str) -> None:
        calm = daily_lines("chat", first, 18) + daily_lines("search", first, 20, usd=300)
        home.bill("drop", calm + daily_lines("chat", SETTLED - timedelta(days=1), 2, factor=Decimal(factor)))

    bill("1.9")
    assert home.run(TODAY).messages == []
    bill("6")
    (told,) = home.run(TODAY, hour=15).messages
    assert any("only gross changes are reported" in note for note in told.footnotes)
