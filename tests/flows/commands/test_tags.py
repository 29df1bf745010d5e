"""`trendbreak tags`, through the command line, over a published home."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import duckdb
import pytest

from tests.flows.command import trendbreak

BROKEN = "version: 1\nrules: [{when: {}, feature: nobody}]\n"


@pytest.fixture(scope="module")
def home(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tags")
    shutil.copytree(shared_home, folder, dirs_exist_ok=True)
    (folder / "new.yml").write_text(
        (folder / "features.yml")
        .read_text()
        .replace("rules:", "  storage: {}\nrules:\n  - {name: disks, when: {service_name: S3}, feature: storage}")
    )
    (folder / "broken.yml").write_text(BROKEN)
    return folder


def files(home: Path) -> dict[str, str]:
    """Every file of the home with its content's hash; SQLite's own work files apart."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_check_shows_what_nobody_owns_with_a_rule_to_paste(home: Path) -> None:
    done = trendbreak("tags", "check", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "tagged" in done.stdout
    assert '"service_name": "S3"' in done.stdout
    assert "no rule takes $" in done.stdout


def test_check_fails_where_a_rule_takes_nothing(home: Path) -> None:
    rules = home / "features.yml"
    kept = rules.read_text()
    rules.write_text(kept + "  - {name: late, when: {tag.feature: support_chat}, feature: support_chat}\n")
    try:
        done = trendbreak("tags", "check", cwd=home)
    finally:
        rules.write_text(kept)
    assert done.returncode == 1
    assert "1 rule of 2 takes nothing" in done.stdout


def test_diff_shows_both_sides_and_changes_nothing(home: Path) -> None:
    before = files(home)
    done = trendbreak("tags", "diff", "new.yml", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "storage" in done.stdout
    assert "unallocated" in done.stdout
    assert files(home) == before
    assert "features.yml is the file in force itself" in trendbreak("tags", "diff", "features.yml", cwd=home).stdout
    (home / "same.yml").write_bytes((home / "features.yml").read_bytes())
    assert "no feature's cost changes" in trendbreak("tags", "diff", "same.yml", cwd=home).stdout


def test_apply_refuses_a_wrong_file_and_changes_nothing(home: Path) -> None:
    before = files(home)
    done = trendbreak("tags", "apply", "broken.yml", cwd=home)
    assert done.returncode == 2
    assert "broken.yml:2: rules[0].feature: unknown feature 'nobody'" in done.stderr
    assert files(home) == before


def test_apply_swaps_the_file_allocates_history_and_records_the_change(home: Path) -> None:
    done = trendbreak("tags", "apply", "new.yml", cwd=home)
    assert done.returncode == 0, done.stderr
    assert (home / "features.yml").read_text() == (home / "new.yml").read_text()
    with duckdb.connect(str(home / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        cost = con.execute("SELECT sum(effective_cost_usd) FROM core.charges WHERE service_name = 'S3'").fetchone()
        mart = "SELECT sum(effective_cost_usd) FROM marts.feature_cost_daily WHERE feature = 'storage'"
        assert con.execute(mart).fetchone() == cost
        moved = con.execute(
            "SELECT sum(new_effective_cost_before_credits_usd) FROM ops.rule_changes WHERE feature = 'storage'"
        ).fetchone()
        assert moved == cost
    again = trendbreak("tags", "apply", "new.yml", cwd=home)
    assert "no feature's cost changes" in again.stdout


def test_a_build_that_fails_puts_the_file_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from flows.commands.tags import apply_features
    from flows.settings import load_settings
    from warehouse import model_runner
    from warehouse.errors import ModelError

    models = home / "models"
    (models / "marts").mkdir(parents=True)
    (models / "marts" / "wrong.sql").write_text("-- A model that does not run.\nSELECT no_such_column\n")
    monkeypatch.setattr(model_runner, "MODELS", models)
    monkeypatch.setattr("warehouse.build.read_models", lambda: model_runner.read_models(models))
    kept = (home / "features.yml").read_bytes()
    (home / "third.yml").write_text("version: 1\n")
    with pytest.raises(ModelError):
        apply_features(load_settings(home / "trendbreak.yml"), home / "third.yml", Console())
    assert (home / "features.yml").read_bytes() == kept
