"""`trendbreak explain` over a published snapshot: exact parts, figures that its own SQL gives, and honest limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from alerts.incidents import break_from_json, break_to_json
from alerts.message.details import list_parts
from alerts.model import Break
from flows.cli import app
from flows.commands.explain import round_to_cents
from flows.comparison import Comparison, Days, UnitCost
from flows.explain import _is_of_success
from flows.steps.drivers import add_parts
from tests.alerts.stories import CONTEXT, make_break
from tests.warehouse.ledger import NOW
from tests.warehouse.published import FIRST, HOSTILE, LAST, make_home, published_path, state_of

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("explain")
    config = folder / "trendbreak.yml"
    (folder / "features.yml").write_text("version: 1\nfeatures: {}\nrules: []\n")
    config.write_text("home: ./data\nsources: []\nfeatures: features.yml\n")
    make_home(folder / "data", settled=LAST - timedelta(days=1))

    state = state_of(folder / "data")
    for name, kind, days, is_weekend_only in (
        ("inc-weekend", "cost", (LAST - timedelta(days=8), LAST), True),
        ("inc-success", "unit_cost", (LAST - timedelta(days=5), LAST - timedelta(days=3)), False),
    ):
        found = make_break(
            node="chat", kind=kind, onset=days[0], last_day=days[1], data_through=LAST, is_weekend_only=is_weekend_only
        )
        state.save_incident(incident_of(name, found))

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["explain", *words, "--config", str(config)], env={"COLUMNS": "200"})

    run.home = folder / "data"  # type: ignore[attr-defined]
    return run


def incident_of(name: str, found: Break) -> dict[str, Any]:
    """A row of the state store, of an incident that is over."""
    return {
        "id": name, "node": found.node, "direction": "up", "episode": 1, "kind": found.kind, "label": "growth",
        "severity": "high", "status": "resolved", "onset": found.onset, "last_day": found.last_day, "opened_at": NOW,
        "updated_at": NOW, "excess_usd_per_day": found.excess_usd_per_day, "excess_usd_total": found.excess_usd_total,
        "excess_percent": found.excess_percent, "channel": "#ai", "owner": "",
        "details": {"break": break_to_json(found)},
    }  # fmt: skip


def home_of(command: Command) -> Path:
    home: Path = command.home  # type: ignore[attr-defined]
    return home


def mean_cost(home: Path, feature: str, first: date, last: date) -> Decimal:
    with duckdb.connect(str(published_path(home)), read_only=True) as con:
        row = con.execute(
            "SELECT sum(effective_cost_before_credits_usd), count(DISTINCT charge_date) FROM marts.feature_cost_daily "
            "WHERE feature = ? AND charge_date BETWEEN ? AND ?",
            [feature, first, last],
        ).fetchone()
    assert row is not None
    return Decimal(row[0]) / row[1]


def test_parts_add_up_to_the_change_and_the_sql_gives_the_same_figures(command: Command) -> None:
    first, last = LAST - timedelta(days=9), LAST - timedelta(days=3)
    days = ("--since", str(first), "--until", str(last), "--against-since", str(FIRST), "--against-until", str(FIRST))
    found = json.loads(command("chat", *days, "--format", "json").stdout)
    change = Decimal(found["change_usd_per_day"])
    assert change == round(mean_cost(home_of(command), "chat", first, last), 12) - round(
        mean_cost(home_of(command), "chat", FIRST, FIRST), 12
    )
    assert change != 0
    assert found["parts"]
    assert sum(Decimal(part["change_usd_per_day"]) for part in found["parts"]) == change
    for dimension in ("provider", "model", "api_key_id"):
        moved = [Decimal(row["change_usd_per_day"]) for row in found["movers"] if row["dimension"] == dimension]
        assert sum(moved) == change  # one member each: all of it moved with the one
    with duckdb.connect(str(published_path(home_of(command))), read_only=True) as con:
        rows = {row[0]: row[1:] for row in con.execute(found["sql"]).fetchall()}
    assert rows["after"][0] == found["after"]["days"] == 7
    assert rows["after"][1] == Decimal(found["after"]["cost_usd"])
    assert float(rows["before"][2]) == pytest.approx(float(found["before"]["cost_usd_per_day"]))
    against = ("--against-since", str(first), "--against-until", str(last))
    swapped = ("--since", str(FIRST), "--until", str(FIRST), *against)
    back = json.loads(command("chat", *swapped, "--format", "json").stdout)
    assert Decimal(back["change_usd_per_day"]) == -change


def test_the_last_settled_week_is_set_against_the_28_days_before(command: Command) -> None:
    found = json.loads(command("search", "--format", "json").stdout)
    settled = LAST - timedelta(days=1)
    assert (found["after"]["first_day"], found["after"]["last_day"]) == (str(settled - timedelta(days=6)), str(settled))
    assert found["before"]["first_day"] == str(settled - timedelta(days=34))
    assert Decimal(found["change_usd_per_day"]) == 0
    assert found["expected"]["days_outside"] == 0
    assert found["data"]["provisional_days"] == 0
    assert found["parts"] == []


def test_an_open_incident_gives_the_days_and_a_new_key_is_named_as_text(command: Command) -> None:
    answer = command("unallocated")
    assert answer.exit_code == 0
    assert "About inc-1. The days are its own." in answer.stdout
    assert "The days compared are not its own." in command("--incident", "inc-1", "--since", str(LAST)).stdout
    assert "1 of 4 days are provisional" in answer.stdout
    assert "\x1b[31m" not in answer.stdout  # of the key's name
    assert "DROP TABLE x; -- <b>|" in answer.stdout
    by_id = json.loads(command("--incident", "inc-1", "--format", "json").stdout)
    assert by_id["feature"] == "unallocated"
    assert any(mover["member"] == HOSTILE and mover["is_new"] for mover in by_id["movers"])
    assert by_id["new"]


def test_weekends_are_set_against_weekends(command: Command) -> None:
    found = json.loads(command("--incident", "inc-weekend", "--format", "json").stdout)
    # Chat costs $20 on a Monday and a dollar more on each day to Sunday: against whole weeks it were $2.50 a day more.
    assert found["weekdays"] == ["Saturday", "Sunday"]
    assert (found["after"]["days"], found["before"]["days"]) == (4, 8)
    assert Decimal(found["before"]["cost_usd_per_day"]) == Decimal("25.5")
    assert Decimal(found["change_usd_per_day"]) == 0
    assert Decimal(found["expected"]["usd_per_day"]) == Decimal("370.02")  # as the incident was judged
    with duckdb.connect(str(published_path(home_of(command))), read_only=True) as con:
        rows = {row[0]: row[1:] for row in con.execute(found["sql"]).fetchall()}
    assert (rows["after"][0], rows["before"][0]) == (4, 8)
    text = command("--incident", "inc-weekend").stdout
    assert "On the Saturdays and Sundays from 23 May to 31 May it cost $26 a day" in text
    assert "on the Saturdays and Sundays from 25 Apr to 22 May $26 a day" in text
    assert "Saturdays" not in command("--incident", "inc-weekend", "--since", str(LAST)).stdout


def test_a_dearer_success_is_explained_by_what_a_success_is_made_of(command: Command) -> None:
    found = json.loads(command("--incident", "inc-success", "--format", "json").stdout)
    change = Decimal(found["change_usd_per_success"])
    told = found["cost_per_success"]
    assert change == Decimal(told["after"]["cost_per_success_usd"]) - Decimal(told["before"]["cost_per_success_usd"])
    assert sum(Decimal(part["change_usd_per_success"]) for part in found["parts"]) == change
    assert change != 0
    with duckdb.connect(str(published_path(home_of(command))), read_only=True) as con:
        rows = {row[0]: row[-1] for row in con.execute(found["sql"]).fetchall()}
    for period in ("before", "after"):
        assert rows[period] == pytest.approx(float(told[period]["cost_per_success_usd"]))
    text = command("--incident", "inc-success").stdout
    assert "per successful answer (" in text.splitlines()[0]
    assert "dollars per successful answer; the parts add up to the change" in text


@pytest.mark.parametrize(
    ("usd_before", "usd_after", "success_before", "success_after", "told"),
    [("45", "42.3", "0.83", "0.50", True), ("45", "90", "0.83", "0.50", False), ("45", "45", "0.83", "0.80", False)],
)
def test_without_an_incident_a_success_is_explained_where_it_moved_and_the_cost_did_not(
    usd_before: str, usd_after: str, success_before: str, success_after: str, told: bool
) -> None:
    units = (
        UnitCost("answer", Decimal(usd) / 40 / Decimal(share), Decimal(share), Decimal(1))
        for usd, share in ((usd_before, success_before), (usd_after, success_after))
    )
    costs = ([{"cost_usd": Decimal(usd)}] for usd in (usd_before, usd_after))
    assert _is_of_success(None, Comparison("chat", Days(FIRST, FIRST), Days(LAST, LAST), *costs, *units)) == told


def test_a_message_says_the_parts_that_explain_says(command: Command) -> None:
    told = json.loads(command("--incident", "inc-success", "--format", "json").stdout)["parts"]
    row = next(row for row in state_of(home_of(command)).list_incidents() if row["id"] == "inc-success")
    with duckdb.connect(str(published_path(home_of(command))), read_only=True) as con:
        found = add_parts(con, break_from_json(row["details"]["break"]))
    assert told
    assert [(part.driver, str(part.change_usd)) for part in found.parts] == [
        (part["driver"], part["change_usd_per_success"]) for part in told
    ]
    assert list_parts(found, CONTEXT) == ["-$0.33 per successful task: a lower price per token"]


def test_all_features_are_explained_by_the_features(command: Command) -> None:
    found = json.loads(command("all features", "--format", "json").stdout)
    assert {mover["dimension"] for mover in found["movers"]} == {"feature"}
    moved = sum(Decimal(mover["change_usd_per_day"]) for mover in found["movers"])
    assert abs(moved - Decimal(found["change_usd_per_day"])) < Decimal("1e-9")


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ((), "name a feature, or an incident"),
        (("nope",), "no cost of 'nope' — there are: chat, search"),
        (("--incident", "inc-9"), "no incident 'inc-9'"),
        (("chat", "--incident", "inc-1"), "inc-1 is about unallocated, not about chat"),
        (("chat", "--since", "2026-02-02", "--until", "2026-02-01"), "before they begin"),
        (("chat", "--since", "2019-02-02", "--until", "2019-02-03"), "chat has no cost from 2019-02-02"),
        (("chat", "--since", str(LAST), "--until", str(LAST), "--against-since", str(LAST - timedelta(days=3)),
          "--against-until", str(LAST)), "the two periods overlap"),
        (("chat", "--format", "yaml"), "known: table, json"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_says_why(command: Command, words: tuple[str, ...], cure: str) -> None:
    answer = command(*words)
    assert answer.exit_code != 0
    assert cure in str(answer.exception)


def test_cents_add_up_as_they_are_read() -> None:
    parts = [("a", Decimal("1.004")), ("b", Decimal("1.004")), ("c", Decimal("1.004"))]
    assert sum(usd for _, usd in round_to_cents(parts, Decimal("3.012"))) == Decimal("3.01")
