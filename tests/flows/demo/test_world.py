"""`prepare`: the same seed, the same bytes; files that the real readers take."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from flows.demo.company import DAYS, START
from flows.demo.world import DemoHomeError, DemoWorld, prepare
from flows.settings import load_settings
from tests.flows.demo.landed import SEED
from warehouse.features import load_features


def fingerprint(home: Path) -> dict[str, tuple[str, int]]:
    return {
        path.relative_to(home).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted((home / "demo").rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_times(world: DemoWorld, tmp_path: Path) -> None:
    again = prepare(tmp_path, SEED)
    assert fingerprint(again.home) == fingerprint(world.home)
    assert (again.home / "features.yml").read_bytes() == (world.home / "features.yml").read_bytes()
    # A second time in the same home: nothing that a source looks at has moved.
    prepare(tmp_path, SEED)
    assert fingerprint(tmp_path) == fingerprint(world.home)


def test_another_seed_is_another_company(world: DemoWorld, tmp_path: Path) -> None:
    other = prepare(tmp_path, SEED + 1)
    assert other.company_name != world.company_name
    assert fingerprint(tmp_path).keys() == fingerprint(world.home).keys()
    assert not set(fingerprint(tmp_path).values()) & set(fingerprint(world.home).values())


def test_the_volume_is_modest(world: DemoWorld) -> None:
    assert 130_000 < world.event_lines < 250_000
    assert 10_000 < world.aws_rows < 40_000
    assert world.openai_rows > 1_000


def test_the_configuration_is_valid(world: DemoWorld) -> None:
    settings = load_settings(world.config_path)
    assert [source.name for source in settings.sources] == ["aws", "openai", "calls"]
    assert settings.home.resolve() == world.home.resolve()
    assert settings.organization == world.company_name
    world.connect_openai("http://127.0.0.1:1234/v1")
    assert load_settings(world.config_path).source("openai").options["base_url"] == "http://127.0.0.1:1234/v1"


def test_features_yml_is_valid_and_complete(world: DemoWorld) -> None:
    features = load_features(world.features_path)
    assert tuple(features.features) == world.features
    for feature in features.features.values():
        assert feature.owner
        assert feature.channel
        assert feature.monthly_budget_usd
        assert feature.success is not None
    assert {rule.feature for rule in features.rules} == {*world.features, "shared: platform"}


def test_the_planted_breaks_are_not_in_what_the_pipeline_reads(world: DemoWorld) -> None:
    told = world.config_path.read_text() + world.features_path.read_text()
    for planted in world.planted:
        assert planted.story not in told
        assert str(planted.onset) not in told
    story = json.loads((world.home / "demo" / "world.json").read_text())
    assert [row["node"] for row in story["planted"]] == [planted.node for planted in world.planted]


def test_a_home_that_is_not_the_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trendbreak.yml").write_text("home: ./data\n")
    with pytest.raises(DemoHomeError, match="not written by the demo"):
        prepare(tmp_path, SEED)
    assert (tmp_path / "trendbreak.yml").read_text() == "home: ./data\n"
    assert not (tmp_path / "demo").exists()


def test_another_seed_in_the_same_home_is_refused(world: DemoWorld) -> None:
    before = fingerprint(world.home)
    with pytest.raises(DemoHomeError, match=f"seed {SEED}"):
        prepare(world.home, SEED + 1)
    assert fingerprint(world.home) == before


def test_an_interrupted_preparation_is_done_anew(world: DemoWorld, tmp_path: Path) -> None:
    (tmp_path / "demo" / "events").mkdir(parents=True)
    (tmp_path / "demo" / "events" / "2026-01-01.jsonl").write_text("{")
    (tmp_path / "demo" / ".written-by-trendbreak-demo").touch()
    prepare(tmp_path, SEED)
    assert fingerprint(tmp_path) == fingerprint(world.home)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").write_text("mine")
    with pytest.raises(DemoHomeError, match="was not written by the demo"):
        prepare(tmp_path, SEED)
    assert (tmp_path / "demo" / "mine.txt").read_text() == "mine"


def test_every_month_has_its_files(world: DemoWorld) -> None:
    names = fingerprint(world.home)
    months = ["2026-06", "2026-07", "2026-08", "2026-09", "2026-10"]
    assert sorted(name for name in names if "/events/" in name) == [
        f"demo/events/calls-{month}.jsonl" for month in months
    ]
    assert sum(name.endswith(".snappy.parquet") for name in names) == len(months)
    assert sum(name.endswith("-Manifest.json") for name in names) == len(months)
    assert (START.isoformat()[:7], DAYS) == ("2026-06", 120)
    assert yaml.safe_load(world.features_path.read_text())["version"] == 1
