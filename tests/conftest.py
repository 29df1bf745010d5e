"""What holds for all tests."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import flows  # noqa: F401  # before numpy: it sets the threads of the linear algebra

# Whole runs, processes and servers come first: what is short fills the gaps at the end.
LONG_FIRST = ("flows", "security", "house", "warehouse", "connectors", "alerts")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order within a folder; folders that are not named come last."""
    here = Path(__file__).parent
    places = {name: place for place, name in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(here).parts[0], len(places)))
