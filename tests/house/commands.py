"""Every mention of a `trendbreak` command in the tree: messages, cures, docs, starters, comments' docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "connectors", "warehouse", "alerts")
TEXTS = ("*.md", "*.yml", "*.yaml", "*.j2", "*.sql", "*.sh", "*.tf", "*.json", "*.toml", "Dockerfile*", "*.service")
# `trendbreak word …` up to what ends a command in prose, in Markdown or in a shell.
MENTION = re.compile(r"(?<![\w./-])(?:\.venv/bin/)?trendbreak((?: +(?:--?[a-z][\w-]*|[a-z][a-z-]*))+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def mentions() -> Iterator[tuple[str, list[str]]]:
    """(place, the words after `trendbreak`) of every mention."""
    for place, text in texts():
        for match in MENTION.finditer(text):
            yield f"{place}: trendbreak{match[1]}", match[1].split()


def messages() -> Iterator[tuple[str, str]]:
    """(place, text) of every string of the four packages that is a sentence; docstrings are."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for number, text in strings(path):
                if " " in text.strip():
                    yield f"{path.relative_to(ROOT)}:{number}", text


def texts() -> Iterator[tuple[str, str]]:
    yield from messages()
    folders = [*(ROOT / package for package in (*PACKAGES, "infra", "docs", "benchmarks", ".ci")), ROOT]
    for folder in folders:
        for pattern in TEXTS:
            for path in sorted(folder.glob(pattern) if folder == ROOT else folder.rglob(pattern)):
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                    yield f"{path.relative_to(ROOT)}:{number}", line


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Each string of a module; an f-string with `…` for what is filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in ast.walk(node) if part is not node)
            parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value
