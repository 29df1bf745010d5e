"""What docs/ says works: links lead somewhere, configurations load, queries run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from connectors.registry import CONNECTORS
from flows.settings import load_settings
from flows.settings.planned_events import load_events
from flows.settings.strict_yaml import load_strict_yaml
from warehouse.features import parse_features
from warehouse.query import canned, run_query

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(page, text) of each fenced block of a language, its indentation removed."""
    for page in PAGES:
        for indent, name, text in FENCE.findall(page.read_text()):
            if name == language:
                yield page.name, "\n".join(line.removeprefix(indent) for line in text.splitlines()) + "\n"


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    wrong = []
    for page in PAGES:
        text = page.read_text()
        links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
        for link in links:
            if link.startswith(("http://", "https://")):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                wrong.append(f"{page.name}: {link}")
    assert not wrong


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[2:] if f"(docs/{page.name})" not in readme] == []


def test_every_configuration_loads(tmp_path: Path) -> None:
    found = [(page, text) for page, text in blocks("yaml") if not text.startswith("version:")]
    assert len(found) >= 10
    for number, (page, text) in enumerate(found):
        raw = load_strict_yaml(text)
        path = tmp_path / f"{number}.yml"
        path.write_text(text if isinstance(raw, dict) else yaml.safe_dump({"sources": raw}))
        load_settings(path), page


def test_every_source_type_is_documented() -> None:
    text = (ROOT / "docs" / "sources.md").read_text()
    assert [name for name in CONNECTORS if f"type: {name}" not in text] == []
    assert [name for name in CONNECTORS if not (ROOT / "connectors" / name / "README.md").is_file()] == []


def test_every_events_file_is_valid(tmp_path: Path) -> None:
    found = [text for _, text in blocks("yaml") if re.search(r"^version:", text) and re.search(r"^events:", text, re.M)]
    assert found
    for text in found:
        (tmp_path / "events.yml").write_text(text)
        assert load_events(tmp_path / "events.yml", ["support_chat"]).events


def test_every_features_file_is_valid() -> None:
    found = [
        text for _, text in blocks("yaml") if re.search(r"^version:", text) and re.search(r"^features:", text, re.M)
    ]
    assert len(found) >= 2
    for text in found:
        assert parse_features(text).features


def test_every_json_block_is_json() -> None:
    for page, text in blocks("json"):
        assert json.loads(text), page


@pytest.fixture
def published(shared_home: Path) -> Path:
    return shared_home / "data" / "published" / "trendbreak.duckdb"


def test_every_query_of_the_cookbook_runs(published: Path) -> None:
    found = [text for _, text in blocks("sql")]
    found += [sql for _, text in blocks("sh") for sql in re.findall(r'^trendbreak query "([^"]+)"', text, re.MULTILINE)]
    found += re.findall(r'duckdb -readonly \S+ "([^"]+)"', (ROOT / "docs" / "queries.md").read_text())
    assert len(found) > 8
    for sql in found:
        assert run_query(published, sql).num_columns >= 1, sql


def test_every_canned_query_that_is_named_exists() -> None:
    named = {name for page in PAGES for name in re.findall(r"trendbreak query ([a-z][a-z-]+)", page.read_text())}
    assert len(named) > 4
    assert named <= set(canned())
