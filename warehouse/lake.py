"""The warehouse as a DuckLake: its catalogue in PostgreSQL, its data as Parquet in a folder or on S3.

    catalog `lake`    core, marts, focus, ops and, in a schema of that name, staging; the same SQL as in the file
    catalog `memory`  nothing but temporary tables

Several processes write at once. Each transaction waits its turn for the tables it writes (an advisory lock of
PostgreSQL, held from before it begins until it has committed), because DuckLake refuses the slower of two commits
to one table. The turn only saves work, and may be lost with its session: each transaction also changes the one row of
`turns.deliveries` or `turns.models`, so that DuckLake refuses the second of two that met, whatever they wrote. What is
refused is refused whole, and made again by `Warehouse.commit`. A killed process holds no turn and leaves no row.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from warehouse.errors import StoreError, WarehouseLocked, WriteConflict
from warehouse.statements import quote_literal, quote_name, render

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
CATALOG = "lake"
SCHEMA = "trendbreak"  # of the PostgreSQL database: DuckLake's own tables
TURN_SECONDS = 1800.0  # how long a transaction waits for its turn
ATTEMPTS = 6  # at a transaction whose commit met another one
# A connection over a network says within a minute or two that its other end is gone, and stays open while it is idle.
KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "5"}
SERVER_KEEPALIVES = {f"tcp_{name}": value for name, value in KEEPALIVES.items()} | {"idle_session_timeout": "0"}
SECRET_KEYS = ("password", "sslpassword")
# Nothing is downloaded, and the order of rows means nothing: keeping it costs memory.
CLOSED: dict[str, Any] = {
    "preserve_insertion_order": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
INSTALL = "install Trendbreak with its extra `ducklake`"


@dataclass(frozen=True)
class S3Access:
    """How to reach a data path on S3. No key: its objects are public. `endpoint_url`: another server than AWS's."""

    region: str
    key_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None


@dataclass(frozen=True)
class Lake:
    """Where a DuckLake is. `catalogue`: libpq's connection string or URI; `data_path`: a folder or s3://…"""

    catalogue: str = field(repr=False)
    data_path: str
    s3: S3Access | None = None
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        told = self._conninfo()
        host, port, database = (str(told.get(key) or "") for key in ("host", "port", "dbname"))
        is_url = self.catalogue.lstrip().startswith(("postgresql://", "postgres://"))
        if "@" in (host if is_url else host[1:]) or (is_url and "@" in database) or re.search(r"[^0-9,]", port):
            raise StoreError(
                "in what follows ducklake:postgres: a part of user or password reads as host, port or database",
                where="warehouse",
                cure="write the password as ${NAME}, which may hold any character; in a URL written out, @ is %40, "
                "/ is %2F and : is %3A",
            )

    @property
    def address(self) -> str:
        """Where the catalogue is, without user and password."""
        told = self._conninfo()
        host = told.get("host") or told.get("hostaddr") or "the local socket"
        return f"{told.get('dbname', '')} on {host}"

    def connect(self) -> psycopg.Connection[Any]:
        """A connection to the catalogue's database, in autocommit. Raises StoreError without the password."""
        import psycopg

        name = f"pid {os.getpid()} on {socket.gethostname()} (Trendbreak)"
        told = {"connect_timeout": "15"} | KEEPALIVES | self._conninfo() | {"application_name": name[:63]}
        try:
            return psycopg.connect(**told, autocommit=True)
        except psycopg.Error as error:
            raise StoreError(
                f"PostgreSQL cannot be reached: {self.without_secrets(str(error))}",
                where=f"catalogue {self.address}",
                cure="check `warehouse` in trendbreak.yml, and that the server is up",
            ) from None

    def secret(self) -> str:
        """The statement that gives DuckDB the catalogue's address: an error of it then names no password."""
        told = self._conninfo()
        names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
        known = [f"{names[key]} {quote_literal(text)}" for key, text in told.items() if key in names]
        return f"CREATE OR REPLACE SECRET catalogue (TYPE postgres, {', '.join(known)})"

    def rest(self) -> str:
        """What else the connection string says (sslmode, options, …), as libpq writes it."""
        from psycopg.conninfo import make_conninfo

        told = KEEPALIVES | self._conninfo()
        return make_conninfo(
            **{key: text for key, text in told.items() if key not in ("host", "port", "dbname", "user", "password")}
        )

    def without_secrets(self, text: str) -> str:
        """`text` with stars in the place of the connection's passwords."""
        told = self._conninfo()
        for key in SECRET_KEYS:
            if told.get(key):
                text = text.replace(str(told[key]), "***")
        return text

    def _conninfo(self) -> dict[str, Any]:
        try:
            from psycopg.conninfo import conninfo_to_dict
        except ModuleNotFoundError:
            raise StoreError("psycopg is not there", where="warehouse", cure=INSTALL) from None
        import psycopg

        try:
            return dict(conninfo_to_dict(self.catalogue))
        except psycopg.Error:
            raise StoreError(
                "what follows ducklake:postgres: is no address of a database",
                where="warehouse",
                cure="write host=… dbname=… user=… or postgresql://user@host/database, and the password as ${NAME}, "
                "which may hold any character",
            ) from None


class Turns:
    """Whose turn it is to write, by advisory locks that PostgreSQL frees when their session is gone.

    A session may end while its turns are held (a restarted server, a cut network): `check` tells it before a commit,
    and the next `hold` takes all of them again in a new session.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._connection: psycopg.Connection[Any] | None = None
        self._backend = 0  # the server's process, which a pooler by transaction would change
        self._held: list[str] = []

    @contextmanager
    def hold(self, name: str, wait_seconds: float = TURN_SECONDS) -> Iterator[None]:
        """Within the block nobody else holds `name` of this lake; the same process may hold it twice.

        Raises WarehouseLocked, naming the holder, when it is not free within `wait_seconds`, and WriteConflict when the
        session ends meanwhile.
        """
        import psycopg

        self._take(self._session(wait_seconds), name, wait_seconds)
        self._held.append(name)
        try:
            yield
        finally:
            self._held.pop()
            if self._connection is not None:
                with suppress(psycopg.Error):  # a connection that is gone holds nothing
                    self._connection.execute("SELECT pg_advisory_unlock(%s)", [self._key(name)])

    def check(self) -> None:
        """Raise WriteConflict where the turns that are held were lost."""
        if self._connection is None or not self._lives(self._connection):
            raise self._lost()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _session(self, wait_seconds: float) -> psycopg.Connection[Any]:
        """The session that holds this process's turns; a new one, which takes them again, where it has ended."""
        if self._connection is not None:
            if self._lives(self._connection):
                return self._connection
            self._connection.close()
            self._connection = None
        connection = self._lake.connect()
        try:
            connection.execute(
                "SELECT set_config(s.name, n.setting, FALSE) FROM pg_settings AS s "
                "JOIN unnest(%s::TEXT[], %s::TEXT[]) AS n (name, setting) USING (name)",
                [list(SERVER_KEEPALIVES), list(SERVER_KEEPALIVES.values())],
            )
            self._backend = connection.execute("SELECT pg_backend_pid()").fetchall()[0][0]
            for name in self._held:
                self._take(connection, name, wait_seconds)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _lives(self, connection: psycopg.Connection[Any]) -> bool:
        import psycopg

        try:
            return bool(connection.execute("SELECT pg_backend_pid() = %s", [self._backend]).fetchall()[0][0])
        except psycopg.Error:
            return False

    def _take(self, connection: psycopg.Connection[Any], name: str, wait_seconds: float) -> None:
        import psycopg

        key = self._key(name)
        try:
            connection.execute(f"SET lock_timeout = {max(1, round(wait_seconds * 1000))}")
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
        except psycopg.errors.LockNotAvailable:
            raise WarehouseLocked(
                f"another run is writing to it: {_holder(connection, key)}",
                where=f"{self._lake.address}, {name}",
                cure="wait for it to end, or stop it; a crashed run holds no lock",
            ) from None
        except psycopg.Error:
            raise self._lost() from None

    def _lost(self) -> WriteConflict:
        return WriteConflict(
            "the session that holds the turn to write has ended",
            where=f"lake {self._lake.address}",
            cure="nothing of this transaction is kept; run it again. If it happens again: is there a pooler by "
            "transaction in between, or a limit to how long a session may last?",
        )

    def _key(self, name: str) -> int:
        digest = hashlib.sha256(f"{self._lake.schema}.{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def _holder(connection: psycopg.Connection[Any], key: int) -> str:
    row = connection.execute(
        "SELECT a.application_name, a.backend_start AT TIME ZONE 'UTC' "
        "FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::BIGINT << 32) | l.objid::BIGINT = %s",
        [key],
    ).fetchone()
    if row is None:
        return "it has just ended"
    return f"{row[0]}, connected since {row[1]:%Y-%m-%d %H:%M:%S} UTC"


def retry_conflicts(attempt: Callable[[], T]) -> T:
    """The result of `attempt`, which is called again, a few times and after a random wait, when its commit met another.

    Raises WriteConflict when every attempt did. On a warehouse in a file no commit meets another.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    again = Retrying(
        retry=retry_if_exception_type(WriteConflict),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.25, max=10),
        reraise=True,
    )
    return again(attempt)


_MET = re.compile(r"conflict|could not serialize|deadlock detected", re.IGNORECASE)
# As libpq and the server say it.
_LOST = re.compile(
    r"terminating connection|server closed the connection|connection (to server|not open|reset|timed out)"
    r"|no connection to the server|connection has been closed|could not (receive|send) data",
    re.IGNORECASE,
)


@contextmanager
def conflicts_named() -> Iterator[None]:
    """DuckDB's error about two commits that met, or about a catalogue that is gone, becomes one to be tried again."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error).strip()
        if _LOST.search(text):
            what = "the connection to the catalogue was lost"
        elif _MET.search(text):
            what = "another process has changed the same tables"
        else:
            raise
        raise WriteConflict(
            f"{what}: {text.splitlines()[-1]}",
            where="lake",
            cure="nothing of this transaction is kept; run it again",
        ) from error


@contextmanager
def open_lake(
    lake: Lake,
    folder: Path,
    turns: Turns,
    *,
    config: dict[str, Any],
    bring_up: Callable[[duckdb.DuckDBPyConnection], None],
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose current catalog is the lake; `bring_up` makes or upgrades its tables, one process at a time.

    `folder`: where to spill what exceeds the memory.
    """
    with _spill_folder(folder) as spill:
        con = duckdb.connect(":memory:", config=config | {"temp_directory": str(spill)})
        try:
            con.execute("SET TimeZone = 'UTC'")
            with turns.hold("making", wait_seconds=TURN_SECONDS):
                attach(con, lake, makes=True)
                con.execute(f"USE {CATALOG}")
                retry_conflicts(lambda: bring_up(con))
            yield con
        finally:
            con.close()


@contextmanager
def lake_connection(memory_limit: str = "512MB") -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to attach a lake to for reading; what exceeds its memory spills to the machine's own folder."""
    with tempfile.TemporaryDirectory(prefix="trendbreak-") as spill:
        con = duckdb.connect(":memory:", config=CLOSED | {"memory_limit": memory_limit, "temp_directory": spill})
        try:
            con.execute("SET TimeZone = 'UTC'")
            yield con
        finally:
            con.close()


def attach(
    con: duckdb.DuckDBPyConnection, lake: Lake, *, name: str = CATALOG, makes: bool = False, version: int | None = None
) -> None:
    """Attach the lake as catalog `name`; with `version` read-only, as it was at that snapshot."""
    load_extensions(con, s3=lake.data_path.startswith("s3://"))
    stored = _stored_data_path(lake)
    if stored is None and not makes:
        raise StoreError("nothing is there yet", where=f"catalogue {lake.address}", cure="`trendbreak run` makes it")
    root = lake.data_path.rstrip("/") + "/"
    if stored is not None and not stored.startswith(root):
        raise StoreError(
            f"its data is at {stored}, trendbreak.yml says {root}",
            where=f"catalogue {lake.address}",
            cure="set lake.data_path back, or name another database",
        )
    con.execute(lake.secret())
    if lake.s3 is not None:
        con.execute(_s3_secret(lake.s3, root))
    options = [f"METADATA_SCHEMA {quote_literal(lake.schema)}", "META_SECRET 'catalogue'"]
    if stored is None:
        # A folder of its own: several lakes may share a data path.
        options.append(f"DATA_PATH {quote_literal(f'{root}{lake.schema}-{os.urandom(4).hex()}/')}")
    if version is None:
        # Every build makes every table anew: kept in the catalogue, small ones would be as many tables of PostgreSQL.
        options.append("DATA_INLINING_ROW_LIMIT 0")
    else:
        options += ["READ_ONLY", f"SNAPSHOT_VERSION {version}"]
    try:
        con.execute(
            f"ATTACH {quote_literal('ducklake:postgres:' + lake.rest())} AS {quote_name(name)} ({', '.join(options)})"
        )
    except duckdb.Error as error:
        raise StoreError(
            f"DuckDB cannot attach it: {lake.without_secrets(str(error))}",
            where=f"catalogue {lake.address}",
            cure="check `warehouse` and `lake` in trendbreak.yml; `trendbreak check` tests both",
        ) from None


def is_made(connection: psycopg.Connection[Any], lake: Lake) -> bool:
    """Whether DuckLake's own tables are there."""
    from psycopg import sql

    table = sql.Identifier(lake.schema, "ducklake_metadata").as_string()
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    return row is not None and bool(row[0])


def try_lake(lake: Lake) -> str:
    """Attach the lake, which makes it where it is not, and write, read and remove a file of its data; what was found.

    Raises StoreError with the cure.
    """
    turns = Turns(lake)
    try:
        with lake_connection() as con:
            with turns.hold("making"):
                attach(con, lake, makes=True)
            try:
                con.execute("BEGIN TRANSACTION")
                con.execute(render("lake/check.sql"))
                con.execute("ROLLBACK")
            except duckdb.Error as error:
                raise StoreError(
                    f"its files cannot be written and read: {str(error).splitlines()[0]}",
                    where=f"lake {lake.data_path}",
                    cure="check lake.data_path; S3 must allow PutObject, GetObject, DeleteObject and ListBucket there",
                ) from error
    finally:
        turns.close()
    return f"catalogue {lake.address}, data {lake.data_path}"


def _stored_data_path(lake: Lake) -> str | None:
    """Where the lake's data is, as its catalogue says; None before there is one."""
    from psycopg import sql

    with closing(lake.connect()) as connection:
        if not is_made(connection, lake):
            return None
        table = sql.Identifier(lake.schema, "ducklake_metadata")
        row = connection.execute(sql.SQL("SELECT value FROM {} WHERE key = 'data_path'").format(table)).fetchone()
        return str(row[0]) if row else None


def _s3_secret(access: S3Access, scope: str) -> str:
    told = {"SCOPE": scope, "REGION": access.region}
    if access.key_id is not None and access.secret is not None:
        told |= {"KEY_ID": access.key_id, "SECRET": access.secret}
    if access.session_token is not None:
        told["SESSION_TOKEN"] = access.session_token
    flags = ""
    if access.endpoint_url is not None:
        scheme, _, host = access.endpoint_url.rpartition("://")
        told |= {"ENDPOINT": host.rstrip("/"), "URL_STYLE": "path"}
        flags = f", USE_SSL {'false' if scheme == 'http' else 'true'}"
    values = ", ".join(f"{name} {quote_literal(text)}" for name, text in told.items())
    return f"CREATE OR REPLACE SECRET data (TYPE s3, {values}{flags})"


def load_extensions(con: duckdb.DuckDBPyConnection, *, s3: bool) -> None:
    """Load what a lake needs from the installed wheels: no download. Raises StoreError naming what is missing."""
    for name in ("ducklake", "postgres", *(["httpfs"] if s3 else [])):
        path = _extension(name)
        try:
            if name == "postgres":
                # DuckDB looks for an entry point of the file's name, and this one's is postgres_scanner.
                with tempfile.TemporaryDirectory(prefix="trendbreak-") as folder:
                    named = Path(folder) / "postgres_scanner.duckdb_extension"
                    named.symlink_to(path)
                    con.execute(f"LOAD {quote_literal(named)}")
            else:
                con.execute(f"LOAD {quote_literal(path)}")
        except duckdb.Error as error:
            raise StoreError(f"DuckDB cannot load it: {error}", where=str(path), cure=INSTALL) from error


def _extension(name: str) -> Path:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or found.origin is None:
        raise StoreError(f"DuckDB's extension {name} is not there", where="warehouse", cure=INSTALL)
    path = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        raise StoreError(
            f"DuckDB's extension {name} is not of DuckDB {duckdb.__version__}", where=str(path.parent), cure=INSTALL
        )
    return path


@contextmanager
def _spill_folder(folder: Path) -> Iterator[Path]:
    """A folder of this process for what exceeds its memory; those of killed processes go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("spill-*"):
        with suppress(OSError), (old / ".held").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    spill = Path(tempfile.mkdtemp(prefix="spill-", dir=folder))
    with (spill / ".held").open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield spill
        finally:
            shutil.rmtree(spill, ignore_errors=True)
