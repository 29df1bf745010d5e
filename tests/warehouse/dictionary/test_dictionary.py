"""The pages that are written from the models and from the reader of features.yml say what these say now."""

from pathlib import Path

from flows.starter import write_starter
from warehouse.dictionary import render_dictionary, render_schema
from warehouse.model_runner import read_models

ROOT = Path(__file__).resolve().parents[3]


def test_the_dictionary_is_up_to_date_and_names_every_model() -> None:
    page = render_dictionary()
    assert (ROOT / "docs" / "dictionary.md").read_text() == page, "run `make dictionary`"
    for model in read_models(schemas=("marts", "focus")):
        assert f"## {model.table}\n" in page
        for column, text in model.column_comments.items():
            assert f"| `{column}` | " in page
            assert text.split()[0].replace("<", "&lt;") in page


def test_the_schema_is_up_to_date_and_starts_beside_the_starter(tmp_path: Path) -> None:
    assert (ROOT / "docs" / "features.schema.json").read_text() == render_schema(), "run `make dictionary`"
    write_starter(tmp_path)
    first = (tmp_path / "features.yml").read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert named != first
    assert (tmp_path / named).read_text() == render_schema()
