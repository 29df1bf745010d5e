from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.postgres import Postgres, postgres_server
from tests.warehouse.bills import Home
from warehouse.store import Warehouse


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty warehouse of this version, to copy: making one takes longer than many a test."""
    empty = Home(tmp_path_factory.mktemp("migrated"))
    with empty.open():
        pass
    return empty.root


@pytest.fixture
def home(migrated: Path, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(migrated, tmp_path / "home")))


@pytest.fixture
def wh(home: Home) -> Iterator[Warehouse]:
    with home.open() as warehouse:
        yield warehouse


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server
