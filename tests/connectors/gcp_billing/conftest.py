from __future__ import annotations

import pytest

from tests.servers.bigquery import Dataset, emulator_port, new_dataset


@pytest.fixture(scope="session")
def emulator() -> int:
    """The shared emulator's port; without its packages the tests fail, and say what to install."""
    return emulator_port()


@pytest.fixture
def billing(emulator: int) -> Dataset:
    return new_dataset()
