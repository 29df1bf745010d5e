"""trendbreak.yml: strict, with errors that name the key and the nearest valid name."""

from decimal import Decimal
from pathlib import Path

import pytest

from flows.errors import SettingsError
from flows.settings import load_settings, slack_token
from flows.starter import write_starter

ISSUE_EXAMPLE = """
home: ./data
sources:
  - {name: drop, type: focus_files, location: ./inbox}
  - {name: aws, type: aws_data_exports, location: "s3://acme-billing/exports/focus", region: us-east-1}
  - {name: openai, type: openai, admin_key: "${OPENAI_ADMIN_KEY}"}
  - {name: calls, type: events, location: ./events}
features: features.yml
slack: {token: "${SLACK_BOT_TOKEN}", channel: "#ai-costs"}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "trendbreak.yml"
    path.write_text(text)
    return path


def test_the_documented_example_loads_without_its_secrets(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ISSUE_EXAMPLE))
    assert [source.type for source in settings.sources] == ["focus_files", "aws_data_exports", "openai", "events"]
    assert settings.home == tmp_path / "data"
    assert settings.source("drop").options["location"] == str(tmp_path / "inbox")
    assert settings.source("aws").options["location"] == "s3://acme-billing/exports/focus"


def test_a_missing_secret_is_named_with_its_source_when_it_is_needed(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ISSUE_EXAMPLE))
    with pytest.raises(SettingsError, match=r"'openai', admin_key.*OPENAI_ADMIN_KEY is not set"):
        settings.source("openai").resolved({})
    assert settings.source("openai").resolved({"OPENAI_ADMIN_KEY": "k"})["admin_key"] == "k"
    with pytest.raises(SettingsError, match="SLACK_BOT_TOKEN"):
        slack_token(settings, {})


def test_a_secret_is_never_in_a_repr(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "slack: {token: xoxb-canary-123}\n"))
    assert "canary" not in repr(settings)
    assert "canary" not in str(slack_token(settings, {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sorces: []\n", r"sorces: unknown key; did you mean 'sources'\?"),
        ("slack: {chanel: x}\n", r"slack\.chanel: unknown key; did you mean 'channel'\?"),
        ("sources: [{name: a, type: opnai}]\n", r"sources\[0\] \(a\): unknown type 'opnai'; did you mean 'openai'\?"),
        ("sources: [{name: a, type: openai}]\n", r"sources\[0\] \(a\)\.admin_key: this key is required"),
        (
            "sources: [{name: a, type: openai, admin_key: k, base_ur: x}]\n",
            r"sources\[0\] \(a\)\.base_ur: unknown key; did you mean 'base_url'\?",
        ),
        ("sources: [{name: A b, type: events, location: x}]\n", r"sources\[0\]\.name: .*lower-case"),
        ("home: [1\n", "not valid YAML"),
        ("- 1\n", "must be a mapping"),
        ("backfill_days: 0\n", "backfill_days: .*greater than or equal to 1"),
        (
            "currency_rates: [{currency: eur, valid_from: 2026-01-01, usd_per_unit: 1}]\n",
            r"currency_rates\[0\]\.currency",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        load_settings(write(tmp_path, text))


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    text = "sources: [{name: a, type: events, location: x}, {name: a, type: events, location: y}]\n"
    with pytest.raises(SettingsError, match="used twice"):
        load_settings(write(tmp_path, text))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="trendbreak init"):
        load_settings(tmp_path / "none.yml")


def test_a_rate_is_exact(tmp_path: Path) -> None:
    text = "currency_rates: [{currency: EUR, valid_from: 2026-01-01, usd_per_unit: 1.08}]\n"
    assert load_settings(write(tmp_path, text)).currency_rates[0].usd_per_unit == Decimal("1.08")


def test_the_starter_is_valid_and_never_overwrites(tmp_path: Path) -> None:
    write_starter(tmp_path)
    settings = load_settings(tmp_path / "trendbreak.yml")
    assert [source.name for source in settings.sources] == ["drop"]
    with pytest.raises(SettingsError, match="is there already"):
        write_starter(tmp_path)
