"""trendbreak.yml: strict, with errors that name the key and the nearest valid name."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from flows.errors import SettingsError
from flows.serving.catch_up import first_due
from flows.settings import connect_source, load_settings, slack_token
from flows.settings.cron import check_cron
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
    settings = load_settings(write(tmp_path, "slack: {token: demo-canary-123}\n"))
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
        ("home: [1\n", "line 2: not valid YAML"),
        ("home: a\nhome: b\n", "line 2: 'home' is written twice"),
        ("sources: [{name: a, name: b, type: events, location: x}]\n", "line 1: 'name' is written twice"),
        ("a: &x [1]\nhome: *x\n", r"line 2: aliases \(\*x\) are not read"),
        ("home: " + "[" * 20_000, "nested too deeply"),
        ("currency_rates: [{currency: EUR, valid_from: 2026-02-30, usd_per_unit: 1}]\n", "line 1: day is out of range"),
        ("backfill_days: " + "9" * 5000 + "\n", "line 1: .*digits"),
        ("? [a]\n: b\n", "a key must be a plain text"),
        ("home: 12\n", "home: must be a path"),
        ("organization: 12\n", "organization: must be a text; quote it"),
        ("sources: {name: x}\n", "sources: must be a list"),
        ("sources: [x]\n", r"sources\[0\]: must be a mapping"),
        ("slack: yes\n", "slack: must be a mapping"),
        ("backfill_days: x\n", "backfill_days: must be a whole number"),
        ("backfill_days: 1.5\n", "backfill_days: must be a whole number"),
        ("backfill_days: 999999999999999999999\n", "backfill_days: must be 1200 or less"),
        ("alerts: {min_percent: .inf}\n", "min_percent: must be a"),
        ("alerts: {min_percent: .nan}\n", "min_percent: must be a"),
        ("alerts: {min_percent: true}\n", "min_percent: must be a number"),
        ("alerts: {min_percent: -1}\n", "min_percent: must be more than 0"),
        ("alerts: {min_usd_per_day: 1e+999}\n", "min_usd_per_day: must be"),
        ('alerts: {min_usd_per_day: "1e999999999"}\n', "min_usd_per_day: "),
        ("schedule: {cron: 30 9 * *}\n", r"schedule\.cron: .*has 4 fields; cron has five"),
        ("schedule: {cron: 30 25 * * *}\n", r"schedule\.cron: hour 25 is not between 0 and 23"),
        ('schedule: {digest: "0 9 31 2 *"}\n', r"schedule\.digest: '0 9 31 2 \*' never comes: month 2 has no day 31"),
        ("schedule: {timezone: Europe/Berln}\n", r"schedule\.timezone: .*did you mean 'Europe/Berlin'"),
        ("schedule: {timezone: CEST}\n", r"schedule\.timezone: 'CEST' is no time zone; write a place such as"),
        ("schedule: {timezone: ../../etc/passwd}\n", r"schedule\.timezone: .*no time zone"),
        ('report_url: "http://x/<@U1>"\n', r"report_url: must be an https address"),
        ("home: ${HOME\n", r"home: `\$\{` is not closed"),
        ("sources: [{name: a, type: openai, admin_key: '${1KEY}'}]\n", r"sources\[0\]\.admin_key: `\$\{1KEY\}` is no"),
        ("state: '${}'\n", "state: .* is no reference"),
        ("home: ${NOT_SET_ANYWHERE}/x\n", "home: the environment variable NOT_SET_ANYWHERE is not set"),
        ("home: ~nobody-of-this-name/x\n", "no such user's home"),
        ("features: .\n", "features: .* is a folder"),
        ("home: ./trendbreak.yml\n", "home: .* is a file"),
        ("- 1\n", "must be a mapping"),
        ("backfill_days: 0\n", "backfill_days: must be 1 or more"),
        (
            "currency_rates: [{currency: eur, valid_from: 2026-01-01, usd_per_unit: 1}]\n",
            r"currency_rates\[0\]\.currency: must be three capital letters",
        ),
        (
            "currency_rates: [{currency: EUR, valid_from: 2026-01-01, usd_per_unit: 1.08},"
            " {currency: EUR, valid_from: 2026-01-01, usd_per_unit: 1.09}]\n",
            r"currency_rates\[1\] \(EUR\): 1.09 and 1.08 are both valid from 2026-01-01 — keep one",
        ),
        (
            "currency_rates: [{currency: USD, valid_from: 2026-01-01, usd_per_unit: 2}]\n",
            r"currency_rates\[0\] \(USD\): a US dollar is one US dollar",
        ),
        (
            "commitments: [{name: c, source: opnai, kind: prepaid_credits, granted_usd: 5, valid_from: 2026-01-01}]\n",
            r"commitments\[0\] \(c\): no source is named 'opnai'",
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
    with pytest.raises(SettingsError, match="are there already"):
        write_starter(tmp_path)
    (tmp_path / "trendbreak.yml").write_text("# mine\n")
    (tmp_path / "features.yml").unlink()
    assert write_starter(tmp_path) == [tmp_path / "features.yml"]
    assert (tmp_path / "trendbreak.yml").read_text() == "# mine\n"


def test_a_mistyped_key_that_every_source_takes_is_known(tmp_path: Path) -> None:
    text = "sources: [{name: drop, type: focus_files, location: ./inbox, rol: shadow}]\n"
    with pytest.raises(SettingsError, match=r"rol: unknown key; did you mean 'role'\?.*since.*until"):
        load_settings(write(tmp_path, text))


def test_an_impossible_date_is_named_with_its_line(tmp_path: Path) -> None:
    text = "home: data\ncurrency_rates: [{currency: EUR, valid_from: 2026-13-01, usd_per_unit: 1.08}]\n"
    with pytest.raises(SettingsError, match=r"line 2: month must be in 1\.\.12"):
        load_settings(write(tmp_path, text))


def test_everything_that_the_starter_has_commented_out_is_valid_too(tmp_path: Path) -> None:
    write_starter(tmp_path)
    config = tmp_path / "trendbreak.yml"
    lines = config.read_text().splitlines()
    keys = r"^( *)# (- \{|slack:|alerts:|schedule:|currency_rates:|  - \{currency)"
    config.write_text("\n".join(re.sub(keys, r"\1\2", line) for line in lines) + "\n")
    settings = load_settings(config)
    assert {"aws_cost_explorer", "gcp_billing", "anthropic", "litellm", "events"} <= {s.type for s in settings.sources}
    assert settings.slack.token is not None
    assert settings.currency_rates[0].usd_per_unit == Decimal("1.08")


def test_a_person_reads_plain_words_only(tmp_path: Path) -> None:
    text = (
        "home: 1\nsources: [{name: 1, type: [x]}]\nslack: {channel: {}, token: [k]}\nalerts: {min_percent: []}\n"
        "schedule: {cron: 1}\ncurrency_rates: [{currency: 1, valid_from: x, usd_per_unit: x}, 3]\nbackfill_days: []\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text))
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    for jargon in ("Input should", "valid string", "pydantic", "instance of", "Value error", "SettingsError"):
        assert jargon not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "where", "variable"),
    [
        ("slack: {token: xoxb-canary}", "slack.token", "SLACK_BOT_TOKEN"),
        ("slack: {app_token: xapp-canary}", "slack.app_token", "SLACK_APP_TOKEN"),
        ("slack: {webhook_url: 'https://hooks/canary'}", "slack.webhook_url", "SLACK_WEBHOOK_URL"),
        ("webhook: {url: 'https://x', secret: canary}", "webhook.secret", "WEBHOOK_SECRET"),
        (
            "sources: [{name: my-ai, type: openai, admin_key: canary}]",
            "sources[0] (my-ai).admin_key",
            "MY_AI_ADMIN_KEY",
        ),
        (
            "sources: [{name: a, type: events, location: x, user_hash_key: canary}]",
            "sources[0] (a).user_hash_key",
            "A_USER_HASH_KEY",
        ),
    ],
)
def test_a_secret_that_stands_in_the_file_is_refused(tmp_path: Path, text: str, where: str, variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text + "\n"))
    said = str(caught.value)
    assert f"{where}: a secret does not stand in this file" in said
    assert f'"${{{variable}}}"' in said
    assert "canary" not in said


def test_a_file_with_credentials_is_named_by_its_path(tmp_path: Path) -> None:
    text = "sources: [{name: g, type: gcp_billing, project: acme, dataset: d, credentials_file: ./key.json}]\n"
    assert load_settings(write(tmp_path, text)).sources[0].options["credentials_file"] == "./key.json"


def test_a_literal_secret_of_a_source_and_the_state_url_are_in_no_repr(tmp_path: Path) -> None:
    text = (
        "state: postgresql://u:canary-1@h/d\n"
        "sources: [{name: a, type: openai, admin_key: demo-canary-2, base_url: 'https://x/canary-3'}]\n"
    )
    settings = load_settings(write(tmp_path, text))
    assert "canary" not in repr(settings) + str(settings) + repr(settings.sources[0])
    assert "admin_key" in repr(settings)


def test_a_reference_may_stand_where_an_address_or_a_number_must_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "home: ${DATA}/trend\nstate: '${STATE}'\nslack: {channel: '${ROOM}'}\n"
        "sources:\n  - {name: a, type: openai, admin_key: '${KEY}', base_url: '${GATEWAY}/v1'}\n"
        "  - {name: b, type: aws_data_exports, location: '${DROP}', endpoint_url: '${S3}', role_arn: '${ROLE}'}\n"
    )
    monkeypatch.setenv("DATA", "/srv/data")
    monkeypatch.setenv("ROOM", "#money")
    settings = load_settings(write(tmp_path, text))
    assert settings.home == Path("/srv/data/trend")
    assert settings.slack.channel == "#money"
    with pytest.raises(SettingsError, match="state: the environment variable STATE is not set"):
        _ = settings.state_url
    monkeypatch.setenv("STATE", "sqlite:////srv/state.sqlite")
    assert settings.state_url == "sqlite:////srv/state.sqlite"
    found = connect_source(settings.source("a"), {"KEY": "k", "GATEWAY": "http://127.0.0.1:9"})
    assert found.options.base_url == "http://127.0.0.1:9/v1"  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="base_url") as caught:
        connect_source(settings.source("a"), {"KEY": "k", "GATEWAY": "canary-no-address"})
    assert "canary" not in str(caught.value)
    with pytest.raises(SettingsError, match="role_arn: has not the expected form"):
        connect_source(settings.source("b"), {"DROP": "bills", "S3": "http://127.0.0.1:9", "ROLE": "me"})
    resolved = settings.source("b").resolved({"DROP": "bills", "S3": "x", "ROLE": "y"})
    assert resolved["location"] == str(tmp_path / "bills")


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/maya")
    text = "home: ~/data\nfeatures: ~/f.yml\nsources: [{name: a, type: focus_files, location: ~/inbox}]\n"
    settings = load_settings(write(tmp_path, text))
    assert (settings.home, settings.features) == (Path("/home/maya/data"), Path("/home/maya/f.yml"))
    assert settings.source("a").options["location"] == "/home/maya/inbox"


def test_an_unclosed_reference_never_shows_the_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, "slack: {token: '${xoxb-canary'}\n"))
    assert "canary" not in str(caught.value)


def test_a_file_that_is_no_utf8_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes(b"organization: Caf\xe9\n")
    with pytest.raises(SettingsError, match="is not UTF-8"):
        load_settings(tmp_path / "latin.yml")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


CRONS = (
    "* * * * *", "*/5 * * * *", "0 9 * * mon-fri", "0,30 8-18/2 1,15 jan-mar,dec sun", "59 23 31 12 7", "0 0 1-7 * 1",
    "1-59/2 * * * *", "0 9 29 2 *", "0 9 31 */2 *", "5/10 5/2 28-31 feb,apr 5/1",
)  # fmt: skip
NO_CRONS = (
    "", "* * * *", "60 * * * *", "* * 0 * *", "* * * foo *", "5-1 * * * *", "*/0 * * * *", "*-5 * * * *", "@x",
    "0 9 31 2 *", "0 9 30-31 feb mon", "0 9 31 4,6,9,11 *", "0 9-9 * * *", "0 9 * * 6/1", "0 9 31/2 * *",
)  # fmt: skip


@pytest.mark.parametrize("expression", CRONS)
def test_what_is_taken_as_cron_prefect_takes_too(expression: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    assert check_cron(expression) == expression
    assert CronSchedule(cron=expression).cron == expression
    assert first_due(expression, "UTC", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("expression", NO_CRONS)
def test_what_is_no_cron_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"cron|minute|hour|day|month"):
        check_cron(expression)
