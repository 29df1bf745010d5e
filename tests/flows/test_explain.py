"""`trendbreak explain` over a published snapshot: exact parts, figures that its own SQL gives, and honest limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.commands.explain import round_to_cents
from tests.warehouse.published import FIRST, HOSTILE, LAST, make_home, published_path

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("explain")
    config = folder / "trendbreak.yml"
    (folder / "features.yml").write_text("version: 1\nfeatures: {}\nrules: []\n")
    config.write_text("home: ./data\nsources: []\nfeatures: features.yml\n")
    make_home(folder / "data", settled=LAST - timedelta(days=1))

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["explain", *words, "--config", str(config)], env={"COLUMNS": "200"})

    run.home = folder / "data"  # type: ignore[attr-defined]
    return run


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
