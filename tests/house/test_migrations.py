"""Migrations are numbered one after the other: two with one number would be applied on some machines only."""

from pathlib import Path

import pytest

WAREHOUSE = Path(__file__).parents[2] / "warehouse"


@pytest.mark.parametrize("folder", ["migrations", "state_migrations"])
def test_every_number_is_there_once(folder: str) -> None:
    numbers = sorted(int(path.name[:4]) for path in (WAREHOUSE / folder).glob("*.sql"))
    assert numbers == list(range(1, len(numbers) + 1))
