"""forecast, budget and backtest from the command line, and the engine that the daily run takes from a backtest."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from flows.backtest import backtest_and_keep, read_engines
from flows.commands.outlook import _forecast_table
from flows.settings import load_settings
from tests.flows.command import trendbreak, typed
from tests.flows.daily_home import DailyHome, Line, daily_lines

TODAY = date(2026, 6, 20)
SETTLED = TODAY - timedelta(days=3)
DAYS = 112
FIRST = SETTLED - timedelta(days=DAYS - 1)
FEATURES = """
version: 1
features:
  chat: {monthly_budget_usd: 2500}
  search: {monthly_budget_usd: 90000}
rules:
  - {when: {tag.feature: chat}, feature: chat}
  - {when: {tag.feature: search}, feature: search}
"""


def trending(day: date) -> Line:
    """A weekly season around a straight, steep trend: what a damped trend lags behind."""
    t = (day - FIRST).days
    return Line(day, (Decimal(30) + 9 * t) * (1 if day.weekday() < 5 else Decimal("0.7")), "search")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DailyHome:
    home = DailyHome(tmp_path_factory.mktemp("outlook"), feature_text=FEATURES)
    home.write()
    home.bill("drop", daily_lines("chat", FIRST, DAYS) + [trending(FIRST + timedelta(days=k)) for k in range(DAYS)])
    home.run(TODAY - timedelta(days=7))
    home.run(TODAY)
    return home


@pytest.fixture(scope="module")
def config(home: DailyHome) -> Path:
    return home.folder / "trendbreak.yml"


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    code = typed(*arguments)
    return code, capsys.readouterr().out


def test_the_three_periods_of_every_feature_and_of_all(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "forecast", "--config", config, "--format", "json")
    rows = {(row["feature"], row["period"]): row for row in json.loads(text)}
    assert code == 0
    assert set(rows) == {
        (feature, period)
        for feature in ("chat", "search", "all features")
        for period in ("month", "next_month", "90_days")
    }
    month, ahead = rows["chat", "month"], rows["chat", "90_days"]
    assert (month["first_date"], month["last_date"]) == ("2026-06-01", "2026-06-30")
    assert (ahead["first_date"], ahead["last_date"]) == (
        str(SETTLED + timedelta(days=1)),
        str(SETTLED + timedelta(days=90)),
    )
    assert 2800 < Decimal(month["mean_usd"]) < 3200
    assert 8000 < Decimal(ahead["mean_usd"]) < 10000
    for row in rows.values():
        assert Decimal(row["lower_80_usd"]) <= Decimal(row["mean_usd"]) <= Decimal(row["upper_80_usd"])
    for period in ("month", "next_month", "90_days"):
        parts = sum(Decimal(rows[feature, period]["mean_usd"]) for feature in ("chat", "search"))
        assert abs(parts - Decimal(rows["all features", period]["mean_usd"])) < 1


def test_as_a_table_and_of_one_feature(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "forecast", "chat", "--config", config)
    assert (code, "chat" in text, "search" in text, "next 90 days" in text) == (0, True, False, True)
    assert typed("forecast", "chatt", "--config", config) == 2
    assert "there are: all features, chat, search" in capsys.readouterr().err
    assert typed("forecast", "--config", config, "--format", "xml") == 2


@pytest.mark.parametrize("width", [200, 100, 80, 60])
def test_no_figure_is_cut_however_narrow_the_terminal(width: int) -> None:
    rows: dict[str, list[str | tuple[str, str, str]]] = {
        "a_feature_of_a_rather_long_name": ["$123,456", *[("$234,567", "$200,001", "$280,009")] * 3],
        "all features": ["$123,457", *[("$234,568", "$200,002", "$280,008")] * 3],
    }
    console = Console(width=width, file=StringIO())
    console.print(_forecast_table(rows, width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    for figure in ("$234,567", "$200,001", "$280,009", "$234,568", "$200,002", "$280,008"):
        assert text.count(figure) == 3
    assert ("$234,567 ($200,001–$280,009)" in text) == (width == 200)


def test_how_past_forecasts_have_held(home: DailyHome, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "forecast", "--config", config, "--coverage", "--format", "json")
    assert code == 0
    (week,) = json.loads(text)  # issued a week ago; seven days have settled since
    assert (week["ahead"], week["days"], week["issues"]) == ("1-7 days ahead", 14, 1)
    assert 0 <= float(week["inside_80_percent"]) <= float(week["inside_95_percent"]) <= 100


def test_a_budget_that_breaks_is_an_exit_code(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "budget", "--config", config, "--format", "json")
    rows = {row["feature"]: row for row in json.loads(text)}
    assert code == 1
    assert rows["chat"]["breach_probability"] > 0.95
    assert date(2026, 6, 20) < date.fromisoformat(rows["chat"]["breach_date"]) < date(2026, 6, 30)
    assert rows["chat"]["pace"] == pytest.approx(100 * 30 / 2500, rel=0.05)
    assert rows["search"]["breach_probability"] < 0.05
    assert rows["search"]["breach_date"] is None
    assert "all features" in rows
    assert typed("budget", "--config", config, "--threshold", "1") == 0
    table = capsys.readouterr().out
    assert "over 99%" in table
    assert f"{date.fromisoformat(rows['chat']['breach_date']).day} Jun" in table


@pytest.mark.parametrize(("loose_usd", "budget"), [(5, Decimal(2500)), (400, None)])
def test_budgets_say_nothing_of_all_where_much_belongs_to_no_feature(
    tmp_path: Path, loose_usd: int, budget: Decimal | None
) -> None:
    features = "version: 1\nfeatures: {chat: {monthly_budget_usd: 2500}}\n"
    home = DailyHome(tmp_path, feature_text=features + "rules: [{when: {tag.feature: chat}, feature: chat}]\n")
    home.write()
    home.bill("drop", daily_lines("chat", FIRST, 40) + daily_lines("nobody's", FIRST, 40, usd=loose_usd))
    rows = {row["feature"]: row["monthly_budget_usd"] for row in home.run(FIRST + timedelta(days=40)).month_ends}
    assert rows == {"chat": 2500, "unallocated": None, "all features": budget}


def test_without_a_budget_or_a_run_the_cure_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = DailyHome(tmp_path)
    home.write()
    for command in ("forecast", "budget"):
        assert typed(command, "--config", tmp_path / "trendbreak.yml") == 2
        assert "trendbreak run" in capsys.readouterr().err
    assert typed("backtest", "--config", tmp_path / "trendbreak.yml") == 2
    home.bill("drop", daily_lines("chat", FIRST, 30))
    home.run(TODAY)
    assert typed("budget", "--config", tmp_path / "trendbreak.yml") == 2
    assert "monthly_budget_usd" in capsys.readouterr().err


class TestBacktest:
    @pytest.fixture(scope="class")
    @staticmethod
    def shown(config: Path) -> str:
        done = trendbreak("backtest", "--config", config, cwd=config.parent)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_it_prints_every_engine_and_the_total(self, shown: str) -> None:
        for part in ("chat", "search", "total", "seasonal_naive", "theta", "ets", "uc", "ensemble", "inside 80%"):
            assert part in shown

    def test_the_daily_run_uses_the_engine_that_won(self, shown: str, home: DailyHome) -> None:
        run = home.run(TODAY, hour=23)
        state, now = run.state, datetime.now(UTC)
        chosen = read_engines(state, ["chat", "search"], now=now)
        scores = {row["model"]: row["details"]["mase"] for row in state.list_backtests() if row["feature"] == "search"}
        assert chosen[1] in ("ets", "uc")
        assert scores[chosen[1]] < 0.9 * scores["ensemble"]
        assert read_engines(state, ["search"], now=now + timedelta(days=60)) == ["ensemble"]

    def test_statsmodels_is_imported_only_when_a_feature_needs_it(self, shown: str, config: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from datetime import UTC, date, datetime\n"
            "from flows.steps.direct import run_direct; from flows.run import open_run\n"
            "from flows.settings import load_settings\n"
            "for now in sys.argv[2:]:\n"
            "    now = datetime.fromisoformat(now)\n"
            "    with open_run(load_settings(Path(sys.argv[1])), as_of=date(2026, 6, 20), now=now) as run:\n"
            "        run_direct(run)\n"
            "    print(sorted(set(run.forecast.model)), 'statsmodels' in sys.modules)\n"
        )
        before, after = datetime(2026, 6, 20, 12, tzinfo=UTC), datetime.now(UTC)  # the backtest
        done = subprocess.run(
            [sys.executable, "-c", script, str(config), before.isoformat(), after.isoformat()],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        first, second = done.stdout.splitlines()
        assert first == "['ensemble'] False"
        assert "True" in second
        assert "'ets'" in second or "'uc'" in second


def test_a_backtest_of_young_features_chooses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = DailyHome(tmp_path)
    home.write()
    home.bill("drop", daily_lines("chat", SETTLED - timedelta(days=39), 40))
    home.run(TODAY)
    settings = load_settings(tmp_path / "trendbreak.yml")
    assert backtest_and_keep(settings, now=datetime(2026, 6, 20, 12, tzinfo=UTC)).scores == {}
    assert typed("backtest", "--config", tmp_path / "trendbreak.yml") == 0
    assert "nothing is chosen" in capsys.readouterr().out


def test_breaks_put_into_the_history_are_found(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "backtest", "--config", config, "--inject")
    assert code == 0
    recall = {line.split("  ")[0].strip(): line for line in text.splitlines() if "%" in line}
    assert "100%" in recall["level +100%"].split("level +100%")[1]
    assert "the history as it is: " in text
    assert "a month" in text
