"""What holds for all tests."""

import gc
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import flows  # noqa: F401  # before numpy: it sets the threads of the linear algebra
from tests.flows.command import trendbreak
from tests.flows.small_bill import write_small_home

# Whole runs, processes and servers come first: what is short fills the gaps at the end.
LONG_FIRST = ("flows", "security", "house", "warehouse", "connectors", "alerts")

# Workers share the cores, and so each takes one. This is where DuckDB looks before it counts them. A test that is to
# show that the number of threads changes nothing sets it; `make test-long` has no workers.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("SLURM_CPUS_ON_NODE", "1")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order within a folder; folders that are not named come last."""
    here = Path(__file__).parent
    places = {name: place for place, name in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(here).parts[0], len(places)))


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small home after its first run, made once: to read, and to copy. A whole run is a second of CPU."""
    folder = tmp_path_factory.mktemp("ran")
    write_small_home(folder)
    done = trendbreak("run", "--direct", cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.fixture
def ran(shared_home: Path, tmp_path: Path) -> Path:
    """The test's own copy of the small home that has run once: `tmp_path` itself."""
    return Path(shutil.copytree(shared_home, tmp_path, dirs_exist_ok=True))
