"""Holds the published `focus.cost_and_usage` against the FOCUS Foundation's own validator, version 1.2.

    python infra/focus/validate.py PUBLISHED [--python PYTHON_3_12]

The validator needs Python 3.12 and its own versions of pyarrow and sqlglot: it runs in an environment of its own, made
by uv (network, or uv's cache). Each rule that fails must be in the table of docs/focus.md, with its reason; a rule that
fails only because rules that it is made of fail is told by them. Exits 1 on a rule that is not in that table.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
EXCEPTIONS = ROOT / "docs" / "focus.md"
UV = os.environ.get("UV", str(ROOT / ".uv" / "bin" / "uv"))
# Versions that were seen to work together: it states no upper bound for pyarrow.
REQUIREMENTS = ("focus-validator==2.2.1", "pyarrow<22")
# It looks for its rules beside its own package, wherever it is started.
VALIDATE = """
import importlib.util, os, runpy, sys
package = os.path.dirname(importlib.util.find_spec("focus_validator").origin)
os.chdir(os.path.dirname(package))
sys.argv[0] = "focus-validator"
runpy.run_module("focus_validator.main", run_name="__main__")
"""
OPTIONS = ("--validate-version", "1.2", "--block-download", "--applicability-criteria", "ALL")

_RULE = r"[A-Za-z]+-[A-Z]-\d+-[A-Z]"
_SUMMARY = re.compile(r"^Total: (\d+) \| Pass: (\d+) \| Fail: (\d+) \| Skipped: (\d+)", re.MULTILINE)
_FAILED = re.compile(rf"^\S+ ({_RULE}): FAIL\s+\((.*)$", re.MULTILINE)
_EXCEPTION = re.compile(rf"^\| `({_RULE})` \|", re.MULTILINE)


class Outcome(NamedTuple):
    """What the validator says: its counts, and failed rule → its words. Rules made of others are left out."""

    total: int
    passed: int
    failed: int
    skipped: int
    failures: Mapping[str, str]


def main() -> int:
    """Export, validate, compare with the written exceptions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=Path, help="a published trendbreak.duckdb")
    parser.add_argument("--python", default="3.12", help="a Python of 3.12 or newer: a version, or a path")
    arguments = parser.parse_args()
    if not arguments.published.is_file():
        parser.error(f"{arguments.published} is no file: `trendbreak run` publishes one")
    with tempfile.TemporaryDirectory(prefix="trendbreak-focus-") as scratch:
        data = Path(scratch) / "cost_and_usage.parquet"
        rows = export(arguments.published, data)
        said = validate(data, arguments.python)
    outcome = read_outcome(said)
    if outcome is None:
        print(said, file=sys.stderr)
        print("the validator did not come to a result: see its words above", file=sys.stderr)
        return 2
    return report(outcome, set(_EXCEPTION.findall(EXCEPTIONS.read_text(encoding="utf-8"))), rows)


def export(published: Path, data: Path) -> int:
    """Write focus.cost_and_usage as Parquet; returns its rows."""
    import duckdb

    with duckdb.connect(str(published), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.table("focus.cost_and_usage").write_parquet(str(data))
        row = con.execute("SELECT count(*) FROM focus.cost_and_usage").fetchone()
    return int(row[0]) if row else 0


def validate(data: Path, python: str) -> str:
    """The validator's words. Its exit code says nothing: it is 0 when rules fail."""
    command = [UV, "run", "--quiet", "--no-project", "--isolated", "--python", python]
    for requirement in REQUIREMENTS:
        command += ["--with", requirement]
    command += ["python", "-c", VALIDATE, "--data-file", str(data), *OPTIONS]
    # It leaves a log in the folder that it is started in.
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=data.parent)
    return done.stdout + done.stderr


def read_outcome(said: str) -> Outcome | None:
    """The validator's words as counts and failures; None where they hold no result."""
    summary = _SUMMARY.search(said)
    if summary is None:
        return None
    failures = {rule: words for rule, words in _FAILED.findall(said) if "failed child rules" not in words}
    return Outcome(*(int(number) for number in summary.groups()), failures)


def report(outcome: Outcome, exceptions: set[str], rows: int) -> int:
    """Print what failed against what may; returns the exit code."""
    print(
        f"FOCUS 1.2, {rows:,} rows: {outcome.total} rules, {outcome.passed} pass, {outcome.failed} fail "
        f"({len(outcome.failures)} of their own, the others are made of them), "
        f"{outcome.skipped} the validator cannot test"
    )
    new = sorted(set(outcome.failures) - exceptions)
    for rule in new:
        print(f"NOT in docs/focus.md: {rule}: {outcome.failures[rule]}")
    if outcome.failed and not outcome.failures:
        print("rules failed that name no cause: the validator's words have changed, see infra/focus/validate.py")
        return 2
    print(f"{len(set(outcome.failures) & exceptions)} of {len(exceptions)} written exceptions seen in these rows")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
