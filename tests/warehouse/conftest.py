from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.postgres import Postgres, postgres_server
from tests.warehouse.bills import Home
from warehouse.store import Warehouse


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def wh(home: Home) -> Iterator[Warehouse]:
    with home.open() as warehouse:
        yield warehouse


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server
