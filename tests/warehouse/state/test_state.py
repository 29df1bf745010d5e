import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.model import Incident
from tests.servers.postgres import Postgres
from warehouse.state import _METADATA, StateError, StateStore

D = Decimal
NOW = datetime(2026, 3, 5, 9, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store that nobody has made yet, on either engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deeper' / 'state.sqlite'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database().url


@pytest.fixture
def store(url: str) -> Iterator[StateStore]:
    made = StateStore(url)
    made.create()
    yield made
    made.close()


def incident(**changes: Any) -> dict[str, Any]:
    return {
        "id": "inc-1",
        "node": "support_chat",
        "direction": "up",
        "episode": 1,
        "kind": "cost",
        "label": "growth",
        "severity": "high",
        "status": "open",
        "onset": date(2026, 3, 1),
        "last_day": date(2026, 3, 4),
        "opened_at": NOW,
        "updated_at": NOW,
        "resolved_at": None,
        "excess_usd_per_day": D("120.50"),
        "excess_usd_total": D("482.00"),
        "excess_percent": D("41"),
        "channel": "#ai",
        "owner": "@maya",
        "details": {
            "drivers": [{"member": "o'brien; --", "usd": D("1.10"), "first_seen": date(2026, 3, 1)}],
            "at": NOW,
        },
        **changes,
    }


def test_an_incident_comes_back_exactly_and_builds_the_model(store: StateStore) -> None:
    store.save_incident(incident())
    found = store.list_incidents()
    assert found == [incident()]
    assert str(found[0]["excess_usd_per_day"]) == "120.50"
    assert str(found[0]["details"]["drivers"][0]["usd"]) == "1.10"
    assert Incident(**found[0]).node == "support_chat"


def test_saving_an_incident_again_replaces_it(store: StateStore) -> None:
    store.save_incident(incident())
    store.save_incident(incident())
    store.save_incident(incident(status="resolved", resolved_at=NOW + timedelta(days=1)))
    store.save_incident(incident(id="inc-0", opened_at=NOW - timedelta(days=1)))
    assert [(row["id"], row["status"]) for row in store.list_incidents()] == [("inc-0", "open"), ("inc-1", "resolved")]


def test_a_key_that_is_no_column_is_refused(store: StateStore) -> None:
    with pytest.raises(StateError, match="incidents has no sevrity; it has id, node"):
        store.save_incident(incident(sevrity="high"))


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("opened_at", datetime(2026, 3, 1)),  # noqa: DTZ001 - a naive datetime is what is refused
        ("onset", NOW),
        ("excess_usd_total", 1.5),
        ("excess_usd_total", D("NaN")),
    ],
)
def test_a_value_that_would_not_come_back_is_refused(store: StateStore, field: str, bad: Any) -> None:
    with pytest.raises((TypeError, sa.exc.StatementError), match="expected a"):
        store.save_incident(incident(**{field: bad}))
    assert store.list_incidents() == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.datetimes(
        min_value=datetime.fromisoformat("1900-01-01"),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    details=st.dictionaries(st.text(), JSON, max_size=3),
    places=st.integers(0, 20),
    digits=st.integers(-(10**20), 10**20),
)
def test_details_and_decimals_round_trip(store: StateStore, details: dict[str, Any], places: int, digits: int) -> None:
    amount = D(digits).scaleb(-places)
    store.save_incident(incident(details=details, excess_usd_total=amount))
    found = store.list_incidents()[0]
    assert found["details"] == details
    assert str(found["excess_usd_total"]) == str(amount)


def test_events_are_kept_once_in_order(store: StateStore) -> None:
    for _ in range(2):
        store.add_event("inc-1", "escalate", NOW + timedelta(hours=1), "trendbreak", "doubled")
        store.add_event("inc-1", "open", NOW, "trendbreak", "first over the limit")
        store.add_event("inc-2", "open", NOW, "trendbreak", "first over the limit")
    assert [event["kind"] for event in store.list_events("inc-1")] == ["open", "escalate"]
    assert len(store.list_events()) == 3
    assert set(store.list_events()[0]) == {"incident_id", "kind", "at", "who", "text"}


def enqueue(store: StateStore, key: str, thread_of: str | None = None, incident_id: str = "inc-1") -> bool:
    return store.enqueue(key, incident_id, "#ai", thread_of, "open", {"title": "ü", "usd": D("1.0")}, NOW)


def test_a_message_is_enqueued_once_and_waits_until_it_has_a_receipt(store: StateStore) -> None:
    assert enqueue(store, "k2")
    assert enqueue(store, "k1", thread_of="k2")
    assert not enqueue(store, "k2")
    assert [(row["key"], row["status"], row["attempts"]) for row in store.pending()] == [
        ("k2", "pending", 0),
        ("k1", "pending", 0),
    ]
    assert store.pending()[0]["payload"] == {"title": "ü", "usd": D("1.0")}

    assert store.mark_sending("k2", NOW)
    assert store.pending()[0] | {"payload": None} == store.message("k2") | {"payload": None}  # type: ignore[operator]
    assert (store.pending()[0]["status"], store.pending()[0]["sending_at"]) == ("sending", NOW)
    assert store.mark_failed("k2", NOW, "channel_not_found")
    assert (store.pending()[0]["status"], store.pending()[0]["error"]) == ("failed", "channel_not_found")
    assert store.thread("inc-1") is None
    assert store.mark_sending("k2", NOW + timedelta(minutes=1))
    assert store.mark_sent("k2", NOW + timedelta(minutes=1), "C1", "17.1")
    assert [row["key"] for row in store.pending()] == ["k1"]
    assert store.thread("inc-1") == ("C1", "17.1")
    sent = store.message("k2")
    assert sent is not None
    assert (sent["attempts"], sent["error"], sent["ts"]) == (2, None, "17.1")


def test_a_receipt_is_final(store: StateStore) -> None:
    enqueue(store, "k")
    assert store.mark_sent("k", NOW, "C1", "17.1")
    assert not store.mark_sent("k", NOW, "C1", "99.9")
    assert not store.mark_sending("k", NOW)
    assert not store.mark_failed("k", NOW, "late news")
    assert store.thread("inc-1") == ("C1", "17.1")
    assert not store.mark_sending("unknown", NOW)
    assert store.message("unknown") is None


def test_forecasts_runs_and_the_rest_are_replaced_by_their_key(store: StateStore) -> None:
    forecast = {
        "as_of": NOW.date(),
        "feature": "a",
        "forecast_date": date(2026, 3, 6),
        "issued_at": NOW,
        "model": "ensemble",
    }
    store.save_forecasts(
        [{**forecast, "mean_usd": D("1.10")}, {**forecast, "feature": "b", "mean_usd": D(2), "lower_80_usd": D(1)}]
    )
    store.save_forecasts([{**forecast, "mean_usd": D("1.20")}])
    store.save_forecasts([])
    assert [
        (row["feature"], row["mean_usd"], row["lower_80_usd"]) for row in store.list_forecasts(as_of=NOW.date())
    ] == [
        ("a", D("1.20"), None),
        ("b", D(2), D(1)),
    ]
    assert store.list_forecasts(as_of=date(2026, 1, 1)) == []

    month = {"as_of": NOW.date(), "feature": "a", "month": date(2026, 3, 1), "issued_at": NOW}
    store.save_month_ends([{**month, "month_to_date_usd": D(5), "mean_usd": D(31), "breach_probability": 0.25}])
    assert store.list_month_ends(as_of=NOW.date())[0]["breach_probability"] == 0.25

    run = {
        "run_id": "r",
        "as_of": NOW.date(),
        "started_at": NOW,
        "status": "running",
        "details": {"seconds": {"build": 1.5}},
    }
    store.save_run(run)
    store.save_run({**run, "status": "completed", "finished_at": NOW})
    assert [(row["status"], row["details"]) for row in store.list_runs()] == [("completed", run["details"])]

    store.set_watermark("openai", "2026-03-04", NOW)
    store.set_watermark("openai", "2026-03-05", NOW)
    assert store.watermarks() == {"openai": "2026-03-05"}

    invoice = {"source_name": "aws", "billing_account_id": "1", "month": date(2026, 2, 1), "billing_currency": "USD"}
    store.save_invoice({**invoice, "billed_cost": D("10.01"), "recorded_at": NOW, "who": "cfo"})
    store.save_invoice({**invoice, "billed_cost": D("10.02"), "recorded_at": NOW, "who": "cfo"})
    assert [row["billed_cost"] for row in store.list_invoices()] == [D("10.02")]

    backtest = {"run_at": NOW, "feature": "a", "model": "ets", "horizon_days": 14, "details": {"mase": 0.9}}
    store.save_backtests([backtest])
    store.save_backtests([backtest])
    assert store.list_backtests() == [backtest]


def test_a_redelivered_button_press_counts_once(store: StateStore) -> None:
    assert store.add_feedback("env-1", "inc-1", "snooze", "U1", NOW, until=NOW + timedelta(days=7))
    assert not store.add_feedback("env-1", "inc-1", "snooze", "U1", NOW)
    assert store.add_feedback("env-2", "inc-2", "expected", "U2", NOW, text="launch")
    assert [row["until"] for row in store.list_feedback("inc-1")] == [NOW + timedelta(days=7)]
    assert len(store.list_feedback()) == 2


def test_hostile_text_is_stored_as_it_is(store: StateStore, url: str) -> None:
    text = "'; DROP TABLE incidents; -- \x00 🚀"
    store.save_incident(incident(node=text, owner=text, details={"said": text}))
    found = store.list_incidents()[0]
    kept = text if url.startswith("sqlite") else text.replace("\x00", "\ufffd")  # PostgreSQL has no NUL in texts
    assert (found["node"], found["owner"], found["details"]) == (kept, kept, {"said": text})


def test_the_columns_are_those_of_the_migrations(store: StateStore, url: str) -> None:
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    assert set(inspector.get_table_names()) == {*_METADATA.tables, "migrations"}
    for name, table in _METADATA.tables.items():
        assert [column["name"] for column in inspector.get_columns(name)] == list(table.columns.keys())
        assert inspector.get_pk_constraint(name)["constrained_columns"] == list(table.primary_key.columns.keys())
    engine.dispose()


def test_creating_again_keeps_everything_and_a_newer_store_is_refused(store: StateStore, url: str) -> None:
    store.save_incident(incident())
    store.create()
    assert len(store.list_incidents()) == 1
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("INSERT INTO migrations VALUES (99)"))
    with pytest.raises(StateError, match=r"version 99, this program knows \d+"):
        store.create()


@pytest.mark.parametrize("url", ["nonsense", ""])
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(StateError, match="is not a database URL"):
        StateStore(url)


def test_a_store_that_was_not_made_says_so(url: str, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    made = StateStore(url)
    with pytest.raises(StateError, match=r"no such table|does not exist"):
        made.list_incidents()
    made.close()


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(StateError, match=r"(?s)connection.*that the server is up") as caught:
        StateStore("postgresql+psycopg://someone:never-in-an-error@127.0.0.1:1/trendbreak").create()
    assert "someone" in str(caught.value)
    assert "never-in-an-error" not in str(caught.value)


def test_a_password_that_is_not_quoted_is_refused_unseen() -> None:
    with pytest.raises(StateError, match=r"write the password as \$\{NAME\}") as caught:
        StateStore("postgresql+psycopg://someone:never@in-an-error@127.0.0.1/trendbreak")
    assert "in-an-error" not in str(caught.value)


def test_a_store_is_copied_from_one_engine_to_the_other_and_back(postgres: Postgres, tmp_path: Path) -> None:
    first, there, back = (
        StateStore(url)
        for url in (
            f"sqlite:///{tmp_path / 'a.sqlite'}",
            postgres.new_database().url,
            f"sqlite:///{tmp_path / 'b.sqlite'}",
        )
    )
    for store in (first, there, back):
        store.create()
    first.save_incident(incident())
    enqueue(first, "k")
    first.close_month({"month": date(2026, 2, 1), "closed_at": NOW, "who": "cfo"}, [])
    assert first.copy_to(there) == there.copy_to(back) == first.copy_to(there)
    assert back.export() == there.export() == first.export()
    assert back.list_incidents() == [incident()]
    there.close()


def test_a_reader_sees_one_moment(url: str) -> None:
    """Tables are exported one after the other: what is written between them is in none of them."""
    reader, writer = StateStore(url), StateStore(url)
    writer.create()
    writer.save_incident(incident())
    with reader._connect(writes=False) as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM incidents")).scalar() == 1
        writer.save_incident(incident(id="inc-2"))
        assert connection.execute(sa.text("SELECT count(*) FROM incidents")).scalar() == 1
    assert len(reader.list_incidents()) == 2
    reader.close()
    writer.close()


def test_the_export_is_typed_for_the_snapshot(store: StateStore) -> None:
    store.save_incident(incident())
    exported = store.export()
    assert set(exported) == set(_METADATA.tables)
    table = exported["incidents"]
    assert table.schema.field("onset").type == pa.date32()
    assert table.schema.field("opened_at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("excess_usd_total").type == pa.decimal128(38, 12)
    row = table.to_pylist()[0]
    assert (row["onset"], row["opened_at"], row["excess_usd_total"]) == (date(2026, 3, 1), NOW, D(482))
    assert '"usd": "1.10"' in row["details"]
    assert exported["outbox"].schema.field("attempts").type == pa.int64()
    assert exported["outbox"].num_rows == 0


WRITER = """
import sys
from datetime import UTC, datetime
from decimal import Decimal
from warehouse.state import StateStore

url, name = sys.argv[1:]
store = StateStore(url)
store.create()
now = datetime(2026, 3, 5, tzinfo=UTC)
won = 0
for n in range(40):
    won += store.enqueue(f"key-{n}", "inc", "#c", None, "open", {"by": name}, now)
    store.add_event("inc", "note", now, name, str(n))
print(won)
"""


def test_two_processes_write_at_once_and_nothing_is_lost_or_doubled(url: str) -> None:
    """Both also make the store: neither finds it there, and neither fails."""
    command = [sys.executable, "-c", WRITER, url]
    writers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("one", "two")]
    won = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    store = StateStore(url)
    assert sum(won) == 40
    assert len(store.pending()) == 40
    assert len({row["position"] for row in store.pending()}) == 40
    assert len(store.list_events("inc")) == 80
    store.close()
