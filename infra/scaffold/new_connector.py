"""Writes a connector that works, with its tests, for an invented API: then make it your provider's.

    make new-connector NAME=acme [TITLE="Acme Cloud"]

    connectors/acme/                  __init__.py, fetch.py, parse.py, README.md
    tests/servers/acme.py             the provider, as a stub
    tests/connectors/acme/            its world for the conformance suite, and its own tests
    one line in connectors/registry.py, tests/connectors/conformance/worlds.py, and the suite's lists

Nothing is written unless everything can be. See CONTRIBUTING.md, "A connector in an hour".
"""

from __future__ import annotations

import argparse
import keyword
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
FILES = {
    "connector_init.py.tmpl": "connectors/{slug}/__init__.py",
    "connector_fetch.py.tmpl": "connectors/{slug}/fetch.py",
    "connector_parse.py.tmpl": "connectors/{slug}/parse.py",
    "connector_README.md.tmpl": "connectors/{slug}/README.md",
    "server.py.tmpl": "tests/servers/{slug}.py",
    "world.py.tmpl": "tests/connectors/{slug}/world.py",
    "test.py.tmpl": "tests/connectors/{slug}/test_{slug}.py",
}
REGISTRY = "connectors/registry.py"
WORLDS = "tests/connectors/conformance/worlds.py"
SUITE = "tests/connectors/conformance/test_conformance.py"
# The suite's lists that a paged HTTP API with a key in its header belongs to.
LISTS = ("HTTP_TYPES", "PAGED_TYPES", "HAS_MORE_TYPES", "BEARER_TYPES")


class ScaffoldError(Exception):
    """The connector cannot be written; the text says why."""


def plan(root: Path, slug: str, title: str) -> dict[Path, str]:
    """Every file to be written, with its text. Raises ScaffoldError; writes nothing."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,40}", slug) or slug.endswith("_") or keyword.iskeyword(slug):
        raise ScaffoldError(
            f"NAME={slug!r}: lower-case letters, digits and '_' (it becomes a package and a source type)"
        )
    if re.search(r'["\\\n]', title):
        raise ScaffoldError(f"TITLE={title!r}: no quotes, backslashes or line breaks (it becomes a text in the code)")
    for pattern in ("connectors/{}", "connectors/{}.py", "tests/servers/{}.py", "tests/connectors/{}"):
        path = root / pattern.format(slug)
        if path.exists():
            raise ScaffoldError(f"{path.relative_to(root)} exists already: choose another NAME, or remove it")
    words = {
        "__slug__": slug,
        "__Class__": "".join(part.capitalize() for part in slug.split("_")),
        "__ENV__": slug.upper(),
        "__Title__": title,
    }
    planned = {}
    for template, target in FILES.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for word, replacement in words.items():
            text = text.replace(word, replacement)
        planned[root / target.format(slug=slug)] = text
    name = words["__Class__"]
    planned[root / REGISTRY] = _with_entry(root / REGISTRY, "CONNECTORS", slug, f'"connectors.{slug}:{name}"')
    worlds = _with_entry(root / WORLDS, "WORLDS", slug, f"lambda seed, folder: {name}World(seed)")
    imported = f"from tests.connectors.{slug}.world import {name}World\n"
    planned[root / WORLDS] = worlds.replace("from tests.connectors.", f"{imported}from tests.connectors.", 1)
    suite = (root / SUITE).read_text(encoding="utf-8")
    for listed in LISTS:
        suite = _with_member(suite, listed, slug)
    planned[root / SUITE] = suite
    return planned


def write(root: Path, planned: dict[Path, str]) -> None:
    """Write the files, in the house's style."""
    for path, text in planned.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    code = [str(path) for path in planned if path.suffix == ".py"]
    for arguments in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *arguments, *code], cwd=root, check=True)


def _with_entry(path: Path, table: str, slug: str, value: str) -> str:
    """The file with one line more in the dictionary `table`, which is kept in order."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^{table}\b[^\n]*= {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ScaffoldError(f"{path.name}: no dictionary {table} is found to add a line to")
    # Entries begin at four spaces; one may take several lines.
    following = next(
        (entry for entry in re.finditer(r'^    "(\w+)":', found[1], re.MULTILINE) if entry[1] > slug), None
    )
    at = found.start(1) + (following.start() if following else len(found[1]))
    return f'{text[:at]}    "{slug}": {value},\n{text[at:]}'


def _with_member(text: str, listed: str, slug: str) -> str:
    found = re.search(rf"^{listed} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ScaffoldError(f"{SUITE}: no list {listed} is found to add a name to")
    members = sorted([*re.findall(r'"[^"]+"', found[1]), f'"{slug}"'])
    return text[: found.start(1)] + ", ".join(members) + text[found.end(1) :]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a new connector with its tests.")
    parser.add_argument("name", help="the source type: lower-case letters, digits and '_'")
    parser.add_argument("--title", help="the provider's name as it writes it; default: the name, capitalised")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the checkout to write into")
    given = parser.parse_args(arguments)
    try:
        planned = plan(given.root, given.name, given.title or given.name.replace("_", " ").title())
    except ScaffoldError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    write(given.root, planned)
    for path in planned:
        sys.stdout.write(f"{path.relative_to(given.root)}\n")
    sys.stdout.write(
        f"Its tests pass as they stand: .venv/bin/pytest tests/connectors/{given.name} tests/connectors/conformance "
        f"-k {given.name}\nNow make the stub your provider's (CONTRIBUTING.md, 'A connector in an hour').\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
