"""Builds the wheel, installs it alone in a clean environment with the locked versions, and uses it as a stranger would.

Run by `make test-wheel`: it installs packages, so it needs the network or uv's cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("flows", "connectors", "warehouse", "alerts")
UV = os.environ.get("UV", str(ROOT / ".uv" / "bin" / "uv"))


def main() -> None:
    """Raise or exit with a non-zero code at the first thing that does not hold."""
    with tempfile.TemporaryDirectory(prefix="trendbreak-wheel-") as scratch:
        folder = Path(scratch)
        wheel = build(folder)
        compare_files(wheel)
        command = install(folder, wheel)
        use(command, folder)


def build(folder: Path) -> Path:
    run(UV, "build", "--wheel", "--quiet", "--out-dir", str(folder / "dist"), str(ROOT))
    (wheel,) = (folder / "dist").glob("*.whl")
    print(f"built {wheel.name}, {wheel.stat().st_size:,} bytes")
    return wheel


def compare_files(wheel: Path) -> None:
    """Every file of the packages that git knows is in the wheel: SQL, templates, price lists, not only modules."""
    tracked = run("git", "-C", str(ROOT), "ls-files", *PACKAGES).split()
    with zipfile.ZipFile(wheel) as opened:
        held = set(opened.namelist())
    missing = sorted(path for path in tracked if path not in held and (ROOT / path).exists())
    if missing:
        sys.exit(f"the wheel lacks {len(missing)} files: {', '.join(missing[:10])}")
    foreign = sorted({name.split("/")[0] for name in held} - set(PACKAGES))
    if any(not name.endswith(".dist-info") for name in foreign):
        sys.exit(f"the wheel holds what is not the product's: {foreign}")
    print(f"all {len(tracked)} files are in it")


def install(folder: Path, wheel: Path) -> Path:
    requirements = folder / "requirements.txt"
    run(UV, "export", "--frozen", "--no-dev", "--no-emit-project", "--quiet", "-o", str(requirements), cwd=ROOT)
    environment = folder / "environment"
    run(UV, "venv", "--quiet", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements))
    run(UV, "pip", "install", "--quiet", "--python", str(python), "--no-deps", str(wheel))
    return environment / "bin" / "trendbreak"


def use(command: Path, folder: Path) -> None:
    home = folder / "home"
    run(str(command), "demo", "--direct", "--home", str(home), cwd=folder)
    sql = "SELECT count(DISTINCT feature) AS features, sum(billed_cost) > 0 AS has_costs FROM core.allocations"
    (answer,) = json.loads(run(str(command), "query", sql, "--home", str(home), "--format", "json", cwd=folder))
    if not (answer["features"] > 3 and answer["has_costs"]):
        sys.exit(f"the demo of the wheel gave {answer}")
    run(str(command), "init", str(folder / "mine"), cwd=folder)
    run(str(command), "--help", cwd=folder)
    print(f"demo, query, init and --help work from the wheel: {answer['features']} features")


def run(*command: str, cwd: Path | None = None) -> str:
    kept = {
        key: text for key, text in os.environ.items() if not key.startswith(("PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT"))
    }
    done = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
