"""The state store: what people, Slack and the flows write, and no rebuild of the warehouse may lose.

SQLite in WAL mode by default, PostgreSQL by URL (`postgresql+psycopg://…`, driver installed beside).
Rows go in and come out as dicts with Decimal, date and timezone-aware datetime, exactly as they were
(but for the character NUL, which PostgreSQL's texts cannot hold: U+FFFD stands for it there).
Every write is idempotent: the same call a second time changes nothing. Several processes may write
at once; on either engine a writer waits for another up to BUSY_SECONDS, and a reader sees one moment.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from warehouse.errors import FREE_SPACE, WarehouseError, has_no_room, place_cure

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.engine import Dialect

MIGRATIONS = Path(__file__).parent / "state_migrations"
BUSY_SECONDS = 30.0
FORECASTS_KEPT_DAILY = 14  # days; of older ones, those issued on Mondays
_FORECAST_KEY = ("as_of", "feature", "forecast_date")
_WRITE_LOCK = 7_261_996_310  # PostgreSQL advisory lock: one writer at a time, as SQLite has it


class StateError(WarehouseError):
    """The state store cannot be opened, or is of another version."""


class PlainText(TypeDecorator[str]):
    """A text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace("\x00", "\ufffd") if value is not None and dialect.name == "postgresql" else value


class DecimalText(TypeDecorator[Decimal]):
    """A Decimal as its digits: comes back equal, with the same number of places."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise TypeError(f"expected a finite Decimal, got {value!r}")
        return str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class DateText(TypeDecorator[date]):
    """A date in ISO 8601."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not isinstance(value, date) or isinstance(value, datetime):
            raise TypeError(f"expected a date, got {value!r}")
        return value.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> date | None:
        return None if value is None else date.fromisoformat(value)


class InstantText(TypeDecorator[datetime]):
    """A timezone-aware instant, in UTC with microseconds: the texts sort in time's order."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else _instant_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _read_instant(value)


class JsonText(TypeDecorator[Any]):
    """Nested data as JSON; Decimal, date and datetime inside come back as such, tuples as lists."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(_tagged(value), sort_keys=True, ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value, object_hook=_untagged)


_METADATA = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(name, _METADATA, *columns)


def _key(name: str, kind: Any = PlainText) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


INCIDENTS = _table(
    "incidents",
    _key("id"),
    *(sa.Column(name, PlainText) for name in ("node", "direction")),
    sa.Column("episode", sa.BigInteger),
    *(sa.Column(name, PlainText) for name in ("kind", "label", "severity", "status")),
    *(sa.Column(name, DateText) for name in ("onset", "last_day")),
    *(sa.Column(name, InstantText) for name in ("opened_at", "updated_at", "resolved_at")),
    *(sa.Column(name, DecimalText) for name in ("excess_usd_per_day", "excess_usd_total", "excess_percent")),
    *(sa.Column(name, PlainText) for name in ("channel", "owner")),
    sa.Column("details", JsonText),
)
INCIDENT_EVENTS = _table(
    "incident_events",
    _key("event_key"),
    *(sa.Column(name, PlainText) for name in ("incident_id", "kind")),
    sa.Column("at", InstantText),
    *(sa.Column(name, PlainText) for name in ("who", "text")),
)
OUTBOX = _table(
    "outbox",
    _key("key"),
    sa.Column("position", sa.BigInteger),  # the order of enqueuing
    *(sa.Column(name, PlainText) for name in ("incident_id", "channel", "thread_of", "kind")),
    sa.Column("payload", JsonText),
    sa.Column("created_at", InstantText),
    sa.Column("status", PlainText),
    sa.Column("attempts", sa.BigInteger),
    *(sa.Column(name, InstantText) for name in ("sending_at", "sent_at")),
    *(sa.Column(name, PlainText) for name in ("channel_id", "ts")),
    sa.Column("failed_at", InstantText),
    sa.Column("error", PlainText),
)
_INTERVAL = ("lower_80_usd", "upper_80_usd", "lower_95_usd", "upper_95_usd")
FORECASTS = _table(
    "forecasts",
    _key("as_of", DateText),
    _key("feature"),
    _key("forecast_date", DateText),
    sa.Column("issued_at", InstantText),
    sa.Column("model", PlainText),
    *(sa.Column(name, DecimalText) for name in ("mean_usd", *_INTERVAL)),
)
MONTH_END_FORECASTS = _table(
    "month_end_forecasts",
    _key("as_of", DateText),
    _key("feature"),
    _key("month", DateText),
    sa.Column("issued_at", InstantText),
    *(sa.Column(name, DecimalText) for name in ("month_to_date_usd", "mean_usd", *_INTERVAL, "monthly_budget_usd")),
    sa.Column("breach_probability", sa.Double),
    sa.Column("breach_date", DateText),
)
SUPERSEDED_FORECASTS = _table(
    "superseded_forecasts",
    _key("as_of", DateText),
    _key("feature"),
    _key("forecast_date", DateText),
    _key("issued_at", InstantText),
    sa.Column("model", PlainText),
    *(sa.Column(name, DecimalText) for name in ("mean_usd", *_INTERVAL)),
)
PERIOD_FORECASTS = _table(
    "period_forecasts",
    _key("as_of", DateText),
    _key("feature"),
    _key("period"),  # month | next_month | 90_days
    *(sa.Column(name, DateText) for name in ("first_date", "last_date")),
    sa.Column("issued_at", InstantText),
    *(sa.Column(name, DecimalText) for name in ("actual_usd", "mean_usd", *_INTERVAL)),
)
DETECTOR_PRECISION = _table(
    "detector_precision",
    _key("week", DateText),  # its Monday
    *(sa.Column(name, sa.BigInteger) for name in ("told", "confirmed", "false_alarms", "unanswered")),
    sa.Column("precision", sa.Double),
    sa.Column("updated_at", InstantText),
)
RUNS = _table(
    "runs",
    _key("run_id"),
    sa.Column("as_of", DateText),
    *(sa.Column(name, InstantText) for name in ("started_at", "finished_at")),
    sa.Column("status", PlainText),
    sa.Column("details", JsonText),
)
WATERMARKS = _table("watermarks", _key("name"), sa.Column("position", PlainText), sa.Column("updated_at", InstantText))
FEEDBACK = _table(
    "feedback",
    _key("key"),
    *(sa.Column(name, PlainText) for name in ("incident_id", "kind", "who")),
    *(sa.Column(name, InstantText) for name in ("at", "until")),
    sa.Column("text", PlainText),
)
INVOICES = _table(
    "invoices",
    _key("source_name"),
    _key("billing_account_id"),
    _key("month", DateText),
    sa.Column("billed_cost", DecimalText),
    sa.Column("billing_currency", PlainText),
    sa.Column("recorded_at", InstantText),
    sa.Column("who", PlainText),
)
BACKTESTS = _table(
    "backtests",
    _key("run_at", InstantText),
    _key("feature"),
    _key("model"),
    _key("horizon_days", sa.BigInteger),
    sa.Column("details", JsonText),
)
RULE_VERSIONS = _table(
    "rule_versions",
    _key("version", sa.BigInteger),
    sa.Column("fingerprint", PlainText),
    sa.Column("recorded_at", InstantText),
    *(sa.Column(name, PlainText) for name in ("who", "content")),
)
RULE_CHANGES = _table(
    "rule_changes",
    _key("version", sa.BigInteger),
    _key("feature"),
    _key("month", DateText),
    sa.Column("recorded_at", InstantText),
    *(sa.Column(name, PlainText) for name in ("who", "old_fingerprint", "new_fingerprint")),
    *(sa.Column(f"{side}_effective_cost_before_credits_usd", DecimalText) for side in ("old", "new")),
    *(sa.Column(name, DateText) for name in ("first_charge_date", "last_charge_date")),
)
BACKFILLS = _table(
    "backfills",
    _key("backfill_id"),
    *(sa.Column(name, DateText) for name in ("first_day", "last_day")),
    *(sa.Column(name, PlainText) for name in ("source", "reason", "who")),
    *(sa.Column(name, InstantText) for name in ("started_at", "finished_at")),
    sa.Column("status", PlainText),
)
BACKFILL_WINDOWS = _table(
    "backfill_windows",
    _key("backfill_id"),
    _key("source_name"),
    _key("window_start", DateText),
    sa.Column("window_end", DateText),
    sa.Column("status", PlainText),
    sa.Column("finished_at", InstantText),
    *(sa.Column(name, sa.BigInteger) for name in ("deliveries", "source_rows", "restated_days")),
    sa.Column("error", PlainText),
)
CLOSED_MONTHS = _table(
    "closed_months", _key("month", DateText), sa.Column("closed_at", InstantText), sa.Column("who", PlainText)
)
_BOOKED = [f"{measure}{twin}" for twin in ("", "_usd") for measure in ("billed_cost", "effective_cost", "list_cost")]
_ACCOUNT = ("source_name", "billing_currency", "feature")
CLOSED_COSTS = _table(
    "closed_costs",
    _key("month", DateText),
    *(_key(name) for name in _ACCOUNT),
    _key("is_credit", sa.BigInteger),
    *(sa.Column(name, DecimalText) for name in _BOOKED),
)
CORRECTIONS = _table(
    "corrections",
    _key("closed_month", DateText),
    _key("recorded_at", InstantText),
    *(_key(name) for name in _ACCOUNT),
    _key("is_credit", sa.BigInteger),
    sa.Column("booked_month", DateText),
    sa.Column("reason", PlainText),
    *(sa.Column(name, DecimalText) for name in _BOOKED),
)


ACTIONS = _table(
    "actions",
    _key("action_id"),
    *(sa.Column(name, PlainText) for name in ("feature", "kind")),
    sa.Column("done_on", DateText),
    *(sa.Column(name, DecimalText) for name in ("predicted_low_usd", "predicted_usd", "predicted_high_usd")),
    *(sa.Column(name, PlainText) for name in ("note", "who")),
    sa.Column("recorded_at", InstantText),
)
RULE_CHANGE_DAYS = _table(
    "rule_change_days",
    _key("version", sa.BigInteger),
    _key("feature"),
    _key("charge_date", DateText),
    sa.Column("delta_effective_cost_before_credits_usd", DecimalText),
)


class StateStore:
    """One store. Constructing it does no I/O; `create()` brings its schema up to date."""

    def __init__(self, url: str) -> None:
        """`url` is SQLAlchemy's: `sqlite:////abs/state.sqlite` or `postgresql+psycopg://user@host/db`."""
        try:
            self._url = sa.make_url(url)
        except SQLAlchemyError:
            raise StateError(
                "is not a database URL", where="state", cure="write sqlite:///path or postgresql+psycopg://user@host/db"
            ) from None
        if "@" in (self._url.host or ""):
            raise StateError(
                "a part of the password reads as its host",
                where="state",
                cure="write the password as ${NAME}, which may hold any character, or @ in it as %40",
            )

    @cached_property
    def _engine(self) -> Engine:
        if self._url.get_backend_name() != "sqlite":
            try:
                return self._server_engine()
            except ModuleNotFoundError as error:
                raise StateError(
                    f"the database driver {error.name!r} is not installed",
                    where="state",
                    cure="install psycopg: it is the extra `postgres`",
                ) from None
        # A connection per operation: nothing is shared with a forked child, nothing stays open.
        engine = sa.create_engine(self._url, poolclass=sa.NullPool, connect_args={"timeout": BUSY_SECONDS})

        @sa.event.listens_for(engine, "connect")
        def _connected(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # transactions begin where `_begin` says, not at the first write

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # A transaction that will write takes its lock at once: an upgrade later could fail.
            writes = connection.get_execution_options().get("writes")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        _ = (_connected, _begin)
        return engine

    def _server_engine(self) -> Engine:
        # A connection per operation here too: nobody has to close a store, and a server may restart between two.
        engine = sa.create_engine(self._url, poolclass=sa.NullPool)

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            if connection.dialect.name == "postgresql" and connection.get_execution_options().get("writes"):
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS:.0f}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")

        _ = _begin
        return engine

    @contextmanager
    def _connect(self, *, writes: bool) -> Iterator[Connection]:
        options: dict[str, Any] = {"writes": writes}
        if self._url.get_backend_name() == "postgresql":
            # A reader sees one moment; a writer, once it has the lock, what the writer before it left.
            options["isolation_level"] = "READ COMMITTED" if writes else "REPEATABLE READ"
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            # SQLite in WAL mode calls a full disk an I/O error where its shared memory finds no room.
            is_full = has_no_room(error) or "disk I/O error" in str(error.orig)
            cure = f"is the disk full? {FREE_SPACE}" if is_full else place_cure(error)
            if not cure and isinstance(error, OperationalError) and self._url.host:
                cure = "check `state` in trendbreak.yml, and that the server is up"
            raise StateError(f"{error.orig}", where=f"state store {self._url.render_as_string()}", cure=cure) from error

    def create(self) -> None:
        """Make the store, or bring it to this version. Raises StateError when a newer program made it."""
        if self._url.get_backend_name() == "sqlite" and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
            self._switch_to_wal()
        known = {int(path.name[:4]): path for path in sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))}
        with self._connect(writes=True) as connection:
            connection.execute(sa.text("CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)"))
            applied = set(connection.execute(sa.text("SELECT version FROM migrations")).scalars())
            if applied - known.keys():
                raise StateError(
                    f"it is at version {max(applied)}, this program knows {max(known)}",
                    where="state store",
                    cure="run the newer program",
                )
            for version in sorted(known.keys() - applied):
                for statement in _statements(known[version].read_text(encoding="utf-8")):
                    connection.exec_driver_sql(statement)
                connection.execute(sa.text("INSERT INTO migrations VALUES (:version)"), {"version": version})

    def _switch_to_wal(self) -> None:
        """WAL stays set in the file. SQLite does not wait for a lock here, so two first runs at once need the loop."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            raw = self._engine.raw_connection()
            try:
                cursor = raw.cursor()
                cursor.execute("PRAGMA journal_mode = WAL")
                cursor.close()
                return
            except Exception as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    where = f"state store {self._url.database}"
                    raise StateError(str(error), where=where, cure=place_cure(error)) from error
                time.sleep(0.02)
            finally:
                raw.close()

    def close(self) -> None:
        """Close pooled connections."""
        self._engine.dispose()

    # Incidents

    def list_incidents(self) -> list[dict[str, Any]]:
        """All incidents, oldest first; keys are the fields of alerts.model.Incident."""
        return self._rows(INCIDENTS, INCIDENTS.c.opened_at, INCIDENTS.c.id)

    def save_incident(self, incident: Mapping[str, Any]) -> None:
        """Insert the incident or replace the one with its id. Keys: the fields of alerts.model.Incident."""
        self._save(INCIDENTS, [incident])

    def add_event(self, incident_id: str, kind: str, at: datetime, who: str, text: str) -> None:
        """Add to the incident's history; the same event again is not added twice."""
        key = hashlib.sha256(json.dumps([incident_id, kind, _instant_text(at), who, text]).encode()).hexdigest()
        row = {"event_key": key, "incident_id": incident_id, "kind": kind, "at": at, "who": who, "text": text}
        self._save(INCIDENT_EVENTS, [row])

    def list_events(self, incident_id: str | None = None) -> list[dict[str, Any]]:
        """The history of one incident, or of all, oldest first."""
        where = [] if incident_id is None else [INCIDENT_EVENTS.c.incident_id == incident_id]
        rows = self._rows(INCIDENT_EVENTS, INCIDENT_EVENTS.c.at, INCIDENT_EVENTS.c.event_key, where=where)
        return [{name: value for name, value in row.items() if name != "event_key"} for row in rows]

    # Outbox

    def enqueue(
        self,
        key: str,
        incident_id: str,
        channel: str,
        thread_of: str | None,
        kind: str,
        payload: Mapping[str, Any],
        created_at: datetime,
    ) -> bool:
        """Note a message to be sent. False, and nothing changes, where `key` is there already."""
        row = {
            "key": key,
            "position": sa.select(sa.func.coalesce(sa.func.max(OUTBOX.c.position), 0) + 1).scalar_subquery(),
            "incident_id": incident_id,
            "channel": channel,
            "thread_of": thread_of,
            "kind": kind,
            "payload": dict(payload),
            "created_at": created_at,
            "status": "pending",
            "attempts": 0,
        }
        return self._insert_new(OUTBOX, row)

    def pending(self) -> list[dict[str, Any]]:
        """What has no receipt yet, in the order it was enqueued: status pending, sending (a send was begun
        and nobody knows whether it arrived) or failed (it did not arrive)."""
        return self._rows(OUTBOX, OUTBOX.c.position, OUTBOX.c.key, where=[OUTBOX.c.status != "sent"])

    def outbox(self) -> list[dict[str, Any]]:
        """Every message, sent ones included, in the order it was enqueued."""
        return self._rows(OUTBOX, OUTBOX.c.position, OUTBOX.c.key)

    def message(self, key: str) -> dict[str, Any] | None:
        """One message, with its receipt (channel_id, ts) once it is sent; None for an unknown key."""
        rows = self._rows(OUTBOX, where=[OUTBOX.c.key == key])
        return rows[0] if rows else None

    def thread(self, incident_id: str) -> tuple[str, str] | None:
        """(channel_id, ts) of the message that opened the incident's thread; None before it is sent."""
        rows = self._rows(
            OUTBOX,
            OUTBOX.c.position,
            where=[OUTBOX.c.incident_id == incident_id, OUTBOX.c.status == "sent", OUTBOX.c.thread_of.is_(None)],
        )
        return (rows[0]["channel_id"], rows[0]["ts"]) if rows else None

    def mark_sending(self, key: str, at: datetime) -> bool:
        """Note the intent before the send. False where the message is sent already, or unknown."""
        return self._mark(key, status="sending", sending_at=at, attempts=OUTBOX.c.attempts + 1)

    def mark_sent(self, key: str, at: datetime, channel_id: str, ts: str) -> bool:
        """Note the receipt. A message that has one keeps its first."""
        return self._mark(key, status="sent", sent_at=at, channel_id=channel_id, ts=ts, error=None)

    def mark_failed(self, key: str, at: datetime, error: str) -> bool:
        """Note that the message did not arrive; it stays in `pending()` for the next try."""
        return self._mark(key, status="failed", failed_at=at, error=error)

    def send_again(self, key: str, payload: Mapping[str, Any]) -> bool:
        """Let a message that was sent wait again, with another payload and no receipt: its thread begins anew
        elsewhere. False where it waits already, or is unknown."""
        values = {
            **dict.fromkeys(("sending_at", "sent_at", "channel_id", "ts", "failed_at", "error")),
            "status": "pending",
            "payload": dict(payload),
        }
        with self._connect(writes=True) as connection:
            update = OUTBOX.update().where(OUTBOX.c.key == key, OUTBOX.c.status == "sent").values(**values)
            return connection.execute(update).rowcount == 1

    def doubt_unsent(self) -> int:
        """Of messages without a receipt nobody knows any more whether they arrived: for a store that is older than what
        it stands for. Each is looked for before it is sent. Returns how many."""
        values = {"status": "sending", "sending_at": OUTBOX.c.created_at}
        with self._connect(writes=True) as connection:
            return connection.execute(OUTBOX.update().where(OUTBOX.c.status != "sent").values(**values)).rowcount

    def _mark(self, key: str, **values: Any) -> bool:
        with self._connect(writes=True) as connection:
            update = OUTBOX.update().where(OUTBOX.c.key == key, OUTBOX.c.status != "sent").values(**values)
            return connection.execute(update).rowcount == 1

    # Forecasts, runs, and what people record

    def save_forecasts(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Daily forecasts as issued: as_of, feature, forecast_date, issued_at, model, mean_usd and, where
        known, lower_80_usd, upper_80_usd, lower_95_usd, upper_95_usd. One per as_of, feature and day: the last.
        What a later issue of the same as_of changes (a bill was restated) goes to `superseded_forecasts`. After
        a fortnight only the forecasts issued on Mondays are kept."""
        rows = list(rows)
        days = {row["as_of"] for row in rows}
        before = {
            tuple(row[name] for name in _FORECAST_KEY): row for day in days for row in self.list_forecasts(as_of=day)
        }
        changed = [
            old
            for row in rows
            if (old := before.get(tuple(row[name] for name in _FORECAST_KEY))) is not None
            and any(old[name] != row.get(name) for name in ("mean_usd", *_INTERVAL))
        ]
        self._save(SUPERSEDED_FORECASTS, changed)
        self._save(FORECASTS, rows)
        if days:
            self._thin_forecasts(max(days))

    def _thin_forecasts(self, newest: date) -> None:
        issued = FORECASTS.c.as_of
        with self._connect(writes=True) as connection:
            found = connection.execute(sa.select(issued).distinct()).scalars()
            limit = newest - timedelta(days=FORECASTS_KEPT_DAILY)
            old = [day for day in found if day < limit and day.weekday() != 0]
            if old:
                connection.execute(FORECASTS.delete().where(issued.in_(old)))

    def list_superseded_forecasts(self) -> list[dict[str, Any]]:
        """Forecasts that a later issue of the same as_of replaced."""
        return self._rows(SUPERSEDED_FORECASTS)

    def save_period_forecasts(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Totals of a period: as_of, feature, period (month, next_month, 90_days), first_date, last_date, issued_at,
        actual_usd (of it spent already), mean_usd, and the total's own interval as in save_forecasts."""
        self._save(PERIOD_FORECASTS, rows)

    def list_period_forecasts(self, *, as_of: date | None = None) -> list[dict[str, Any]]:
        """Totals of periods, all or those of one as_of."""
        where = [] if as_of is None else [PERIOD_FORECASTS.c.as_of == as_of]
        return self._rows(PERIOD_FORECASTS, *PERIOD_FORECASTS.primary_key.columns, where=where)

    def newest_backtest(self, *, until: datetime) -> datetime | None:
        """When the newest backtest ran, of those that had by then."""
        with self._connect(writes=False) as connection:
            newest = sa.select(sa.func.max(BACKTESTS.c.run_at, type_=InstantText)).where(BACKTESTS.c.run_at <= until)
            found: datetime | None = connection.execute(newest).scalar()
            return found

    def save_precision(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """What people's answers say of the alerts told in a week: week (its Monday), told, confirmed, false_alarms,
        unanswered, precision (confirmed of those answered; None without), updated_at."""
        self._save(DETECTOR_PRECISION, rows)

    def list_precision(self) -> list[dict[str, Any]]:
        """Weeks, oldest first."""
        return self._rows(DETECTOR_PRECISION)

    def list_forecasts(self, *, as_of: date | None = None) -> list[dict[str, Any]]:
        """Daily forecasts, all or those of one as_of."""
        where = [] if as_of is None else [FORECASTS.c.as_of == as_of]
        return self._rows(FORECASTS, *FORECASTS.primary_key.columns, where=where)

    def save_month_ends(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Forecasts of a calendar month's total: as_of, feature, month (its first day), issued_at,
        month_to_date_usd, mean_usd, the interval as in save_forecasts, monthly_budget_usd,
        breach_probability (0 to 1), breach_date."""
        self._save(MONTH_END_FORECASTS, rows)

    def list_month_ends(self, *, as_of: date | None = None) -> list[dict[str, Any]]:
        """Month-end forecasts, all or those of one as_of."""
        where = [] if as_of is None else [MONTH_END_FORECASTS.c.as_of == as_of]
        return self._rows(MONTH_END_FORECASTS, *MONTH_END_FORECASTS.primary_key.columns, where=where)

    def save_run(self, run: Mapping[str, Any]) -> None:
        """Insert or replace a run: run_id, as_of, started_at, finished_at, status, details."""
        self._save(RUNS, [run])

    def list_runs(self) -> list[dict[str, Any]]:
        """Runs, oldest first."""
        return self._rows(RUNS, RUNS.c.started_at, RUNS.c.run_id)

    def set_watermark(self, name: str, position: str, updated_at: datetime) -> None:
        """Remember how far something has come."""
        self._save(WATERMARKS, [{"name": name, "position": position, "updated_at": updated_at}])

    def watermarks(self) -> dict[str, str]:
        """Name → position."""
        return {row["name"]: row["position"] for row in self._rows(WATERMARKS, WATERMARKS.c.name)}

    def add_feedback(
        self,
        key: str,
        incident_id: str,
        kind: str,
        who: str,
        at: datetime,
        *,
        until: datetime | None = None,
        text: str = "",
    ) -> bool:
        """Record what a person said about an incident. `key` is the event's own id (Slack's envelope_id): a
        redelivered event returns False and changes nothing."""
        row = {"key": key, "incident_id": incident_id, "kind": kind, "who": who, "at": at, "until": until, "text": text}
        return self._insert_new(FEEDBACK, row)

    def list_feedback(self, incident_id: str | None = None) -> list[dict[str, Any]]:
        """What people said, oldest first."""
        where = [] if incident_id is None else [FEEDBACK.c.incident_id == incident_id]
        return self._rows(FEEDBACK, FEEDBACK.c.at, FEEDBACK.c.key, where=where)

    def save_invoice(self, invoice: Mapping[str, Any]) -> None:
        """Insert or replace an invoice's total: source_name, billing_account_id, month (its first day),
        billed_cost, billing_currency, recorded_at, who."""
        self._save(INVOICES, [invoice])

    def list_invoices(self) -> list[dict[str, Any]]:
        """Invoice totals."""
        return self._rows(INVOICES, *INVOICES.primary_key.columns)

    def save_action(self, action: Mapping[str, Any]) -> None:
        """Insert or replace what was done to save: the columns of `actions`; dollars are per month."""
        self._save(ACTIONS, [action])

    def list_actions(self) -> list[dict[str, Any]]:
        """What was done, by day."""
        return self._rows(ACTIONS, ACTIONS.c.done_on, ACTIONS.c.action_id)

    def save_rules(
        self,
        version: Mapping[str, Any],
        changes: Sequence[Mapping[str, Any]],
        days: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """A version of features.yml (version, fingerprint, recorded_at, who, content) and, in the same
        transaction, what it moved per feature and month (the columns of ops.rule_changes) and on the newest days
        (those of ops.rule_change_days)."""
        with self._connect(writes=True) as connection:
            self._save_in(connection, RULE_CHANGES, changes)
            self._save_in(connection, RULE_CHANGE_DAYS, days)
            self._save_in(connection, RULE_VERSIONS, [version])

    def close_month(self, month: Mapping[str, Any], costs: Sequence[Mapping[str, Any]]) -> None:
        """Close a month (month, closed_at, who) with its costs (columns of ops.closed_costs), in one transaction."""
        with self._connect(writes=True) as connection:
            self._save_in(connection, CLOSED_COSTS, costs)
            self._save_in(connection, CLOSED_MONTHS, [month])

    def list_closed_months(self) -> list[dict[str, Any]]:
        """Closed months, oldest first."""
        return self._rows(CLOSED_MONTHS, CLOSED_MONTHS.c.month)

    def add_corrections(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Book changes of closed months: the columns of ops.corrections."""
        self._save(CORRECTIONS, rows)

    def list_corrections(self) -> list[dict[str, Any]]:
        """Booked changes of closed months."""
        return self._rows(CORRECTIONS, *CORRECTIONS.primary_key.columns)

    def list_rule_versions(self) -> list[dict[str, Any]]:
        """Versions of features.yml that builds have allocated by, oldest first."""
        return self._rows(RULE_VERSIONS, RULE_VERSIONS.c.version)

    def list_rule_changes(self) -> list[dict[str, Any]]:
        """What each version moved, per feature and month, oldest first."""
        return self._rows(RULE_CHANGES, RULE_CHANGES.c.version, RULE_CHANGES.c.month, RULE_CHANGES.c.feature)

    def list_rule_change_days(self, *, version: int) -> list[dict[str, Any]]:
        """What one version moved on the newest days, by day."""
        where = [RULE_CHANGE_DAYS.c.version == version]
        return self._rows(RULE_CHANGE_DAYS, RULE_CHANGE_DAYS.c.charge_date, RULE_CHANGE_DAYS.c.feature, where=where)

    def save_backtests(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Scores of a backtest: run_at, feature, model, horizon_days, details (mase, is_chosen, …)."""
        self._save(BACKTESTS, rows)

    def list_backtests(self, *, run_at: datetime | None = None) -> list[dict[str, Any]]:
        """Scores of all backtests, or of one."""
        where = [] if run_at is None else [BACKTESTS.c.run_at == run_at]
        return self._rows(BACKTESTS, *BACKTESTS.primary_key.columns, where=where)

    def save_backfill(self, backfill: Mapping[str, Any]) -> None:
        """Insert or replace a backfill: backfill_id, first_day, last_day (inclusive), source (None: all),
        reason, who, started_at, finished_at, status (running, completed, failed)."""
        self._save(BACKFILLS, [backfill])

    def list_backfills(self) -> list[dict[str, Any]]:
        """Backfills, oldest first."""
        return self._rows(BACKFILLS, BACKFILLS.c.started_at, BACKFILLS.c.backfill_id)

    def save_backfill_windows(self, windows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or replace windows: backfill_id, source_name, window_start, window_end (exclusive), status
        (waiting, loaded, failed) and, once it is done, finished_at, deliveries, source_rows, restated_days, error."""
        self._save(BACKFILL_WINDOWS, windows)

    def list_backfill_windows(self, backfill_id: str) -> list[dict[str, Any]]:
        """The windows of one backfill, oldest days first."""
        columns = BACKFILL_WINDOWS.c
        return self._rows(
            BACKFILL_WINDOWS,
            columns.window_start,
            columns.source_name,
            where=[columns.backfill_id == backfill_id],
        )

    def is_empty(self) -> bool:
        """Whether nobody has written anything to it."""
        with self._connect(writes=False) as connection:
            return not any(connection.execute(sa.select(table).limit(1)).first() for table in _METADATA.sorted_tables)

    def copy_to(self, other: StateStore) -> dict[str, int]:
        """Make `other` hold exactly what this store holds; rows per table. One transaction on either side: a reader of
        `other` sees its old rows or the new ones, and a copy that is killed leaves the old ones."""
        counts = {}
        with self._connect(writes=False) as source, other._connect(writes=True) as target:
            for table in _METADATA.sorted_tables:
                rows = [dict(row) for row in source.execute(sa.select(table)).mappings()]
                target.execute(table.delete())
                if rows:
                    target.execute(table.insert(), rows)
                counts[table.name] = len(rows)
        return counts

    def export(self, names: Iterable[str] | None = None) -> dict[str, pa.Table]:
        """Every table, or those named, as Arrow, with dates, UTC timestamps and DECIMAL(38, 12), for `ops.*` of the
        snapshot. All are read in one transaction."""
        tables = _METADATA.sorted_tables if names is None else [_METADATA.tables[name] for name in names]
        with self._connect(writes=False) as connection:
            return {table.name: _to_arrow(table, _select(connection, table)) for table in tables}

    # One row in, one row out

    def _insert(self, table: sa.Table) -> Any:
        if self._url.get_backend_name() == "postgresql":
            from sqlalchemy.dialects.postgresql import insert as insert_postgresql

            return insert_postgresql(table)
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        return insert_sqlite(table)

    def _insert_new(self, table: sa.Table, row: Mapping[str, Any]) -> bool:
        """Insert the row; False, and nothing changes, where its key is there already."""
        insert = self._insert(table).values(**row).on_conflict_do_nothing(index_elements=[table.c.key])
        with self._connect(writes=True) as connection:
            return connection.execute(insert.returning(table.c.key)).first() is not None

    def _save(self, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._connect(writes=True) as connection:
            self._save_in(connection, table, rows)

    def _save_in(self, connection: Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert, or replace the row with the same key. A key that is not a column is an error."""
        names = [column.name for column in table.columns]
        prepared = []
        for row in rows:
            unknown = row.keys() - set(names)
            if unknown:
                raise StateError(f"{table.name} has no {', '.join(sorted(unknown))}; it has {', '.join(names)}")
            prepared.append({name: row.get(name) for name in names})
        if not prepared:
            return
        keys = [column.name for column in table.primary_key.columns]
        insert = self._insert(table)
        statement = insert.on_conflict_do_update(
            index_elements=keys, set_={name: insert.excluded[name] for name in names if name not in keys}
        )
        connection.execute(statement, prepared)

    def _rows(self, table: sa.Table, *order: Any, where: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with self._connect(writes=False) as connection:
            return _select(connection, table, *order, where=where)


def empty_tables(names: Iterable[str]) -> dict[str, pa.Table]:
    """Tables of `StateStore.export` without a row."""
    return {name: _to_arrow(_METADATA.tables[name], []) for name in names}


def _select(connection: Connection, table: sa.Table, *order: Any, where: Sequence[Any] = ()) -> list[dict[str, Any]]:
    statement = sa.select(table).where(*where).order_by(*(order or table.primary_key.columns))
    return [dict(row) for row in connection.execute(statement).mappings()]


def _statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def _instant_text(value: datetime) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError(f"expected a datetime with a timezone, got {value!r}")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)  # strptime takes ten times as long, and forecasts are many


def _tagged(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, datetime):
        return {"$instant": _instant_text(value)}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, Mapping):
        return {str(key): _tagged(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tagged(item) for item in value]
    return value


def _untagged(found: dict[str, Any]) -> Any:
    match found:
        case {"$decimal": str(digits), **rest} if not rest:
            return Decimal(digits)
        case {"$instant": str(text), **rest} if not rest:
            return _read_instant(text)
        case {"$date": str(text), **rest} if not rest:
            return date.fromisoformat(text)
    return found


def _plain_json(value: Any) -> str:
    """The JSON that a reader of ops.* sees: decimals and dates as plain texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    return _instant_text(value) if isinstance(value, datetime) else str(value)


def _to_arrow(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    arrays: dict[str, pa.Array] = {}
    for column in table.columns:
        values = [row[column.name] for row in rows]
        if isinstance(column.type, DecimalText):
            place = Decimal(1).scaleb(-12)
            arrays[column.name] = pa.array(
                [None if value is None else value.quantize(place) for value in values], pa.decimal128(38, 12)
            )
        elif isinstance(column.type, DateText):
            arrays[column.name] = pa.array(values, pa.date32())
        elif isinstance(column.type, InstantText):
            arrays[column.name] = pa.array(values, pa.timestamp("us", tz="UTC"))
        elif isinstance(column.type, JsonText):
            arrays[column.name] = pa.array([_plain_json(value) for value in values], pa.string())
        elif isinstance(column.type, sa.BigInteger):
            arrays[column.name] = pa.array(values, pa.int64())
        elif isinstance(column.type, sa.Double):
            arrays[column.name] = pa.array(values, pa.float64())
        else:
            arrays[column.name] = pa.array(values, pa.string())
    return pa.table(arrays)
