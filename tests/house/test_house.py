"""The house itself: names that shadow nothing, a command line that starts light, commands that are documented."""

import os
import re
import subprocess
import sys
from pathlib import Path

import typer.main

from flows.cli import app

ROOT = Path(__file__).resolve().parents[2]


def test_no_module_of_flows_shadows_a_package() -> None:
    # A path entrypoint would put flows/ first on sys.path: `import warehouse` must still mean the package.
    stems = {path.stem for path in (ROOT / "flows").iterdir() if path.suffix == ".py" or path.is_dir()}
    stems -= {"__init__", "__pycache__"}
    packages = {"connectors", "warehouse", "alerts", "tests", "prefect", "duckdb", "boto3", "slack_sdk", "statsmodels"}
    assert stems, "no module found: the test looks in the wrong place"
    assert stems.isdisjoint(packages | set(sys.stdlib_module_names))


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from flows.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'prefect', 'statsmodels', 'matplotlib', 'pandas', 'boto3', 'google.cloud', 'duckdb', 'scipy'}\n"
        "found = sorted(heavy & set(sys.modules)); assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_a_process_of_ours_runs_its_linear_algebra_in_one_thread() -> None:
    code = "import os, flows; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {name: text for name, text in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    assert done.stdout == "1\n", done.stderr


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    command = typer.main.get_command(app)
    readme = (ROOT / "README.md").read_text()
    names = sorted(command.commands)  # type: ignore[attr-defined]
    assert {"demo", "init", "check", "run", "serve", "query", "status"} <= set(names)
    for name in names:
        assert command.commands[name].help, f"{name} has no help text"  # type: ignore[attr-defined]
        assert re.search(rf"`trendbreak {name}\b", readme), f"README does not document `trendbreak {name}`"


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"README names `make {target}`"


def test_no_two_migrations_have_one_number() -> None:
    """Two would be taken for one, and the other's tables never made."""
    for folder in ("migrations", "state_migrations"):
        numbers = [path.name[:4] for path in (ROOT / "warehouse" / folder).glob("*.sql")]
        assert sorted(numbers) == [f"{number:04d}" for number in range(1, len(numbers) + 1)], folder
