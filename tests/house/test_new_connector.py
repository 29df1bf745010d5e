"""`make new-connector` writes a connector whose tests pass as they stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITTEN_INTO = ("connectors", "tests/connectors", "tests/servers", "infra/scaffold")
NAME = "mistral_cloud"  # sorts into the middle of every list
AS_IT_IS = ("warehouse", "pyproject.toml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in WRITTEN_INTO:
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in AS_IT_IS:
        (tmp_path / name).symlink_to(ROOT / name)
    with suppress(FileNotFoundError):  # what `make lint` has found out need not be found out again
        shutil.copytree(ROOT / ".mypy_cache", tmp_path / ".mypy_cache")
    return tmp_path


def run(checkout: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=checkout, capture_output=True, text=True, check=False)


def contents(checkout: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for name in WRITTEN_INTO for path in (checkout / name).rglob("*.py")}


def test_a_new_connector_passes_its_tests_and_the_conformance_suite(checkout: Path) -> None:
    before = contents(checkout)
    made = run(checkout, ["infra/scaffold/new_connector.py", NAME, "--title", "Mistral Cloud"])
    assert made.returncode == 0, made.stderr
    after = contents(checkout)
    assert {path.name for path in before if before[path] != after[path]} == {
        "registry.py",
        "worlds.py",
        "test_conformance.py",
    }
    code = [
        f"connectors/{NAME}",
        f"tests/servers/{NAME}.py",
        f"tests/connectors/{NAME}",
        "tests/connectors/conformance",
    ]
    for judge in (
        ["ruff", "check", "--no-cache", *code],
        ["ruff", "format", "--check", "--no-cache", *code[:3]],
        ["mypy", "-p", f"connectors.{NAME}"],
        ["pytest", "-q", "-p", "no:cacheprovider", "-k", f"{NAME} or types or has_a_world", *code[2:]],
    ):
        judged = run(checkout, ["-m", *judge])
        assert judged.returncode == 0, judged.stdout[-3000:] + judged.stderr[-3000:]
    headings = (checkout / "connectors" / NAME / "README.md").read_text()
    assert all(f"\n## {name}\n" in headings for name in ("Endpoint", "Grain", "Units", "Lag", "Quirks"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Acme"], "lower-case letters"),
        (["acme-cloud"], "lower-case letters"),
        (["class"], "lower-case letters"),
        (["openai"], "connectors/openai exists already"),
        (["rows"], "connectors/rows.py exists already"),
        (["acme", "--title", 'The "best"'], "no quotes"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(
    checkout: Path, arguments: list[str], says: str
) -> None:
    before = contents(checkout)
    refused = run(checkout, ["infra/scaffold/new_connector.py", *arguments])
    assert refused.returncode == 2
    assert says in refused.stderr
    assert contents(checkout) == before
