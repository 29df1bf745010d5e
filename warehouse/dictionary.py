"""docs/dictionary.md and docs/features.schema.json, written from what they describe: `make dictionary`."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from warehouse.statements import render

INTRODUCTION = """# Data dictionary

Every table that the published snapshot promises, from the comments of its models (`warehouse/models/`); the same texts
stand in the file itself: `trendbreak query "SELECT comment FROM duckdb_tables()"`. Written by `make dictionary`.
"""


def render_dictionary() -> str:
    """The page: each table of marts, focus and the models of core, with its columns, types and comments."""
    with duckdb.connect(":memory:") as con:
        _build_empty(con)
        tables = con.execute(render("dictionary/tables.sql")).fetchall()
        parts = [INTRODUCTION]
        for schema, table, comment in tables:
            columns = con.execute(render("dictionary/columns.sql"), [schema, table]).fetchall()
            lines = [f"## {schema}.{table}\n", *_paragraphs(comment or ""), "| column | type | |", "|---|---|---|"]
            lines += [f"| `{name}` | {kind} | {_cell(text or '')} |" for name, kind, text in columns]
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def render_schema() -> str:
    """The JSON schema of features.yml, for editors."""
    from warehouse.features import features_json_schema

    return json.dumps(features_json_schema(), indent=1, ensure_ascii=False) + "\n"


def write_docs(folder: Path) -> list[Path]:
    """Write both files into `folder`."""
    written = []
    for name, text in (("dictionary.md", render_dictionary()), ("features.schema.json", render_schema())):
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def _build_empty(con: duckdb.DuckDBPyConnection) -> None:
    """A warehouse without a charge, built as any other: the types are those of the real tables."""
    from datetime import UTC, date, datetime

    from warehouse.build import build
    from warehouse.features import parse_features
    from warehouse.store import MIGRATIONS, Warehouse

    con.execute("SET TimeZone = 'UTC'")
    con.execute("ATTACH ':memory:' AS staging")
    con.execute(render("store/staging_tables.sql"))
    for path in sorted(MIGRATIONS.glob("*.sql")):
        con.execute(path.read_text(encoding="utf-8"))
    build(
        Warehouse(con, Path("empty")),
        features=parse_features("version: 1"),
        run_id="dictionary",
        now=datetime(2026, 1, 1, tzinfo=UTC),
        as_of=date(2026, 1, 1),
        settled_through={},
    )


def _paragraphs(comment: str) -> list[str]:
    """The header as Markdown: what begins a line of its own in the model stays one."""
    lines: list[str] = []
    for line in comment.splitlines():
        goes_on = line.startswith(" ") or (lines and not lines[-1].endswith((".", ":")))
        if goes_on and lines and line.strip():
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line.strip())
    return [f"{_escape(line)}\n" for line in lines]


def _cell(text: str) -> str:
    return _escape(" ".join(text.split())).replace("|", "\\|")


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    for path in write_docs(Path(__file__).parents[1] / "docs"):
        print(path)  # noqa: T201
