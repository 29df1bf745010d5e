import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.warehouse.ledger import add_charges, build_marts, charge, new_warehouse
from tests.warehouse.published import HOSTILE, LAST, features, make_home, published_path
from warehouse.query import QueryError, canned, format_table, is_truncated, run_query
from warehouse.reads import open_snapshot
from warehouse.store import open_warehouse

D = Decimal


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_home(folder)
    return folder


@pytest.fixture(scope="module")
def published(home: Path) -> Path:
    return published_path(home)


def test_an_answer_is_exact(published: Path) -> None:
    table = run_query(
        published, "SELECT sum(billed_cost_usd) AS billed, count(*) AS n FROM core.charges WHERE tokens > 0"
    )
    assert table.schema.field("billed").type == pa.decimal128(38, 12)
    assert table.to_pylist() == [{"billed": sum((D(20 + n % 7) + 5 for n in range(70)), D(0)), "n": 140}]


def test_it_works_while_a_run_is_writing(home: Path) -> None:
    def read_meanwhile() -> list[dict[str, object]]:
        add_charges(wh, [charge(10**6)])
        found = run_query(published_path(home), "SELECT max(effective_cost) AS m FROM core.charges").to_pylist()
        wh.con.execute("DELETE FROM core.charge_amounts WHERE effective_cost = 1000000")
        return found

    with open_warehouse(home, threads=1) as wh:
        assert wh.commit(read_meanwhile) == [{"m": 30}]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("FROM marts.coverage", 13),
        ("DESCRIBE marts.coverage", 6),
        ("SUMMARIZE marts.coverage", 12),
        ("EXPLAIN SELECT 1", 2),
        ("SELECT 1 AS n;", 1),
        ("PIVOT marts.feature_cost_monthly ON month USING sum(effective_cost_usd) GROUP BY feature", 4),
    ],
)
def test_more_than_select_can_be_asked(published: Path, sql: str, columns: int) -> None:
    table = run_query(published, sql)
    assert table.num_columns == columns
    assert table.num_rows > 0


REFUSED = [
    ("SELECT * FROM read_csv('/etc/passwd')", "not allowed here.*Cannot access file"),
    ("SELECT * FROM '/etc/passwd.csv'", r"not allowed here|does not exist"),
    ("COPY (SELECT 1) TO '/tmp/out.csv'", "not allowed here"),
    ("ATTACH 'other.duckdb'", "not allowed here"),
    ("INSTALL httpfs", "not allowed here"),
    ("SET memory_limit = '100GB'", "not allowed here.*locked"),
    ("CREATE TABLE marts.mine AS SELECT 1", "not allowed here.*read-only"),
    ("DELETE FROM core.allocations", "not allowed here.*read-only"),
    ("DELETE FROM core.charges", "not allowed here.*the published snapshot and nothing else"),
    ("SELECT 1; SELECT 2", "found 2 statements — write one SELECT"),
    ("SELECT 1; PIVOT marts.coverage ON source_name USING sum(tagged_usd)", "found 3 statements"),
    ("  -- nothing", "found 0 statements"),
    ("SELECT * FROM marts.coverag", r"table marts\.coverag does not exist; did you mean marts\.coverage\? — see `tr"),
    ("SELECT * FROM feature_cost_daily", r"did you mean marts\.feature_cost_daily\?"),
    ("SELECT * FROM zzzzzz", r"table zzzzzz does not exist — see"),
    ("SELECT costs FROM marts.feature_cost_daily", 'Referenced column "costs" not found'),
    ("SELCT 1", 'syntax error at or near "SELCT"'),
    ("SELECT list(range) FROM range(100000000)", "needs more than 512MB of memory"),
    ("SELECT length(repeat('x', 4000000000))", "needs more than 512MB of memory"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "told"), REFUSED, ids=[sql[:40] for sql, _ in REFUSED])
def test_what_a_query_may_not_or_cannot_is_told(published: Path, sql: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        run_query(published, sql)


def test_a_canned_query_of_a_snapshot_of_another_version_names_the_cure(tmp_path: Path) -> None:
    older = tmp_path / "older.duckdb"
    older_mart = "CREATE SCHEMA marts; CREATE TABLE marts.feature_cost_daily (charge_date DATE)"
    duckdb.connect(str(older)).execute(older_mart).close()
    for name, text in (("gpu-utilization", "Catalog Error: .*"), ("daily", "Binder Error: .*")):
        told = rf"older.duckdb: another version published it \({text}\) — `trendbreak run` publishes anew"
        with pytest.raises(QueryError, match=told):
            run_query(older, canned()[name][1], is_canned=True)
    with pytest.raises(QueryError, match='Referenced column "mine" not found'):
        run_query(older, "SELECT mine FROM marts.feature_cost_daily")


def test_a_query_is_stopped_when_its_time_is_over(published: Path) -> None:
    with pytest.raises(QueryError, match=r"stopped after 1 s — narrow it"):
        run_query(
            published,
            "SELECT count(*) FROM range(10000000) a, range(1000000) b WHERE a.range + b.range = 3",
            timeout_seconds=1,
        )


def test_without_a_snapshot_it_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="nothing is published yet — `trendbreak run`"):
        run_query(tmp_path / "none.duckdb", "SELECT 1")


def test_a_file_that_is_no_snapshot_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_text("not a database" * 1000)
    with pytest.raises(QueryError, match="not a valid DuckDB database"):
        run_query(tmp_path / "x.duckdb", "SELECT 1")


def test_a_memory_limit_that_is_none_is_told(published: Path) -> None:
    with pytest.raises(QueryError, match="memory limit 'much' is not a size"):
        run_query(published, "SELECT 1", memory_limit="much")


def test_rows_are_capped_and_the_answer_knows(published: Path) -> None:
    table = run_query(published, "SELECT range AS n FROM range(200000)", max_rows=120000)
    assert (table.num_rows, is_truncated(table)) == (120000, True)
    assert "(the first 120000 rows; more exist)" in str(format_table(table.slice(0, 120000), "table"))
    whole = run_query(published, "SELECT range AS n FROM range(3)", max_rows=3)
    assert (whole.num_rows, is_truncated(whole)) == (3, False)
    empty = run_query(published, "SELECT 1 AS n WHERE FALSE", max_rows=3)
    assert (empty.column_names, empty.num_rows) == (["n"], 0)


def test_unsafe_lifts_the_limits_for_the_owner_but_not_the_lock(published: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("n\n7\n")
    assert run_query(published, f"SELECT n FROM '{tmp_path / 'x.csv'}'", unsafe=True).to_pylist() == [{"n": 7}]
    with pytest.raises(QueryError, match="read-only"):
        run_query(published, "DELETE FROM core.allocations", unsafe=True)


def test_the_child_has_none_of_the_callers_secrets(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    with pytest.raises(QueryError, match=r"not allowed here|does not exist"):
        run_query(published, "SELECT content FROM read_text('/proc/self/environ')")
    assert run_query(published, "SELECT current_setting('TimeZone') AS tz").to_pylist()[0]["tz"] in ("UTC", "Etc/UTC")


@pytest.fixture(scope="module")
def answers(published: Path) -> dict[str, pa.Table]:
    """All of them on one connection; the child process makes no difference to an answer."""
    with open_snapshot(published) as con:
        return {name: con.execute(sql).to_arrow_table() for name, (_, sql) in canned().items()}


def test_a_canned_query_runs_as_any_other(published: Path, answers: dict[str, pa.Table]) -> None:
    assert run_query(published, canned()["movers"][1]).to_pylist() == answers["movers"].to_pylist()


# The sample home has no restatement, no shadow, no telemetry by call, no closed month, no invoice and no past forecast.
EMPTY_HERE = {
    "restated",
    "shadows",
    "telemetry",
    "gpu-utilization",
    "corrections",
    "invoices",
    "commitments",
    "forecast-coverage",
    "estimate-drift",
}


@pytest.mark.parametrize("name", sorted(canned()))
def test_a_canned_query_runs_and_says_what_it_is(answers: dict[str, pa.Table], name: str) -> None:
    description, _ = canned()[name]
    assert description[0].isupper()
    assert description.endswith(".")
    assert len(description) < 120
    table = answers[name]
    assert table.num_rows > 0 or name in EMPTY_HERE
    assert len(set(table.column_names)) == table.num_columns


def test_canned_answers_are_right(answers: dict[str, pa.Table]) -> None:
    def answer(name: str) -> list[dict[str, object]]:
        return answers[name].to_pylist()

    success = answer("cost-per-successful-task")
    # One of four tasks a day fails; 29 days of them until the day that every feature has settled.
    assert [row["feature"] for row in success] == ["chat"]
    assert success[0]["last_day"] == LAST - timedelta(days=1)
    assert success[0]["success_percent"] == 75
    assert (success[0]["tasks"], success[0]["successful_tasks"]) == (116, 87)
    gpu = answer("gpu-cost")
    assert [(row["feature"], row["gpu_hours"], row["cost_usd"], row["cost_per_gpu_hour_usd"]) for row in gpu] == [
        ("train", 60, 300, 5)
    ]
    stray = answer("unallocated")
    assert (stray[0]["api_key_id"], stray[0]["cost_usd"]) == (HOSTILE, 120)
    new = answer("new-spend")
    assert {row["member"] for row in new} == {HOSTILE, "stray", "o3"}
    month = {row["feature"]: row for row in answer("month-to-date")}
    assert month["chat"]["month_end_usd"] == month["chat"]["month_to_date_usd"]  # the last settled day ends the month
    assert answer("incidents")[0]["id"] == "inc-1"
    assert answer("retries")[0]["retry_percent"] == 20
    keys = {row["api_key_id"]: row["features"] for row in answer("top-keys")}
    assert keys == {"key-chat": "chat", "key-search": "search", HOSTILE: "unallocated"}
    assert answer("movers")[0]["feature"] == "unallocated"


def test_the_reconciliation_is_that_of_the_last_run(answers: dict[str, pa.Table]) -> None:
    rows = answers["reconciliation"].to_pylist()
    assert {row["step"] for row in rows} == {"load", "allocate", "mart"}
    assert all(row["is_equal"] and not row["difference"] for row in rows)


EVERY_TYPE = """
SELECT 1.50::DECIMAL(38, 12) AS money, 5::DECIMAL(38, 12) AS whole, -0.000000000001::DECIMAL(38, 12) AS tiny, 3 AS n,
       DATE '2026-03-01' AS day, TIMESTAMPTZ '2026-03-01 10:00:00.5+00' AS at, TRUE AS flag, NULL::VARCHAR AS nothing,
       'a|b "c", ü' || chr(10) || chr(27) AS text, 'nan'::DOUBLE AS nan, 0.1 + 0.2::DOUBLE AS double,
       [1.5::DECIMAL(5, 2)] AS list, {'k': 'v'} AS struct
"""


@pytest.fixture(scope="module")
def every_type(published: Path) -> pa.Table:
    return run_query(published, EVERY_TYPE)


def test_csv_loses_nothing(every_type: pa.Table) -> None:
    text = format_table(every_type, "csv")
    assert isinstance(text, str)
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["money"] == "1.500000000000"
    assert row["tiny"] == "-0.000000000001"
    assert (row["day"], row["at"], row["flag"], row["nothing"]) == (
        "2026-03-01",
        "2026-03-01T10:00:00.500000Z",
        "true",
        "",
    )
    assert row["text"] == 'a|b "c", ü\n\x1b'
    assert (row["list"], row["struct"]) == ("[1.50]", '{"k": "v"}')


def test_json_names_columns_of_one_name_apart() -> None:
    table = pa.Table.from_arrays([pa.array([n]) for n in range(4)], names=["x", "x", "x_1", "x"])
    assert json.loads(str(format_table(table, "json"))) == [{"x": 0, "x_2": 1, "x_1": 2, "x_3": 3}]


def test_json_numbers_keep_every_digit(every_type: pa.Table) -> None:
    text = format_table(every_type, "json")
    assert '"money": 1.500000000000' in str(text)
    row = json.loads(text, parse_float=Decimal)[0]
    assert (row["money"], row["whole"], row["tiny"], row["n"]) == (D("1.5"), 5, D("-0.000000000001"), 3)
    assert (row["day"], row["at"], row["flag"], row["nothing"], row["nan"]) == (
        "2026-03-01",
        "2026-03-01T10:00:00.500000Z",
        True,
        None,
        None,
    )
    assert (row["text"], row["list"], row["struct"]) == ('a|b "c", ü\n\x1b', [D("1.5")], {"k": "v"})
    assert json.loads(format_table(every_type.slice(0, 0), "json")) == []


def test_parquet_is_the_table_itself(every_type: pa.Table) -> None:
    data = format_table(every_type, "parquet")
    assert isinstance(data, bytes)
    assert pq.read_table(io.BytesIO(data)).schema.field("money").type == pa.decimal128(38, 12)


def test_tables_for_people_are_aligned_and_drive_no_terminal(every_type: pa.Table) -> None:
    shown = str(format_table(every_type.select(["money", "whole", "tiny", "text", "nothing", "nan"]), "table"))
    heads, rule, row = shown.splitlines()
    assert heads.split() == ["money", "whole", "tiny", "text", "nothing", "nan"]
    assert set(rule) == {"─", " "}
    assert row.split()[:3] == ["1.50", "5.00", "-0.000000000001"]
    assert "\x1b" not in shown
    assert r"ü\n\x1b" in shown
    assert "(no rows)" in str(format_table(every_type.slice(0, 0), "table"))


def test_markdown_keeps_its_cells_together(every_type: pa.Table) -> None:
    heads, rule, row = str(format_table(every_type.select(["money", "text"]), "markdown")).strip().splitlines()
    assert heads == "| money | text |"
    assert rule == "|---:|---|"
    assert row == r'| 1.50 | a\|b "c", ü\\n\\x1b |'


def test_a_format_that_is_none_is_told(every_type: pa.Table) -> None:
    with pytest.raises(QueryError, match="unknown format 'xml' — use one of table, csv, json, parquet, markdown"):
        format_table(every_type, "xml")


def test_hostile_text_in_a_bill_is_only_text(published: Path) -> None:
    rows = run_query(published, "SELECT DISTINCT api_key_id FROM core.charges WHERE model = 'o3'").to_pylist()
    assert rows == [{"api_key_id": HOSTILE}]


def test_a_canned_query_names_only_tables_that_are_published() -> None:
    wh = new_warehouse()
    build_marts(wh, features())
    for name, (_, sql) in canned().items():
        for table in wh.con.get_table_names(sql, qualified=True):
            assert table.split(".")[0] in ("core", "marts", "focus", "ops") or "." not in table, f"{name} reads {table}"
