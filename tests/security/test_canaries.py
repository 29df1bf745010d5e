"""Secrets planted in every setting that holds one, then looked for in every byte that a run leaves behind."""

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.registry import CONNECTORS, connector_class
from tests.flows.command import trendbreak, trendbreak_process
from tests.flows.small_bill import write_small_home
from tests.servers import openai, slack
from tests.servers.json_api import serve


def canary(name: str) -> str:
    return f"cAnArY-{name.replace('_', '-')}-0123456789abcdef"


# One of each source that takes a secret, pointed at a server that refuses it and repeats it in its refusal.
SOURCES = """
  - {{name: oa, type: openai, admin_key: "${{OPENAI_SECRET}}", base_url: "{url}/v1"}}
  - {{name: oa2, type: openai, admin_key: {literal}, base_url: "{url}/v1"}}
  - {{name: an, type: anthropic, admin_key: "${{ANTHROPIC_SECRET}}", base_url: "{url}"}}
  - {{name: ro, type: openrouter, management_key: "${{OPENROUTER_SECRET}}", base_url: "{url}/api/v1"}}
  - {{name: ev, type: events, location: ./events, user_hash_key: "${{HASH_SECRET}}"}}
  - {{name: ce, type: aws_cost_explorer, endpoint_url: "{url}", region: us-east-1}}
  - {{name: gcp, type: gcp_billing, project: acme, dataset: billing, credentials_file: "./${{GCP_SECRET}}.json"}}
features: features.yml
"""
ENVIRONMENT = {
    name: canary(name)
    for name in (
        "OPENAI_SECRET", "ANTHROPIC_SECRET", "OPENROUTER_SECRET", "HASH_SECRET", "GCP_SECRET", "AWS_SECRET_ACCESS_KEY",
        "SLACK_SECRET",
    )
}  # fmt: skip
LITERAL = f"demo-{canary('literal')}"  # only the demo's may stand in the file


# They take the same options to the same projection as `events`, or need a server of their own kind: their own tests
# plant a secret (tests/connectors/conformance).
ELSEWHERE = frozenset({"bedrock_logs", "ga4", "langfuse", "litellm", "otel", "outcomes", "prometheus"})


def test_the_list_of_sources_with_secrets_is_whole() -> None:
    """A new source with a secret must be planted here too."""
    with_secrets = {
        source_type
        for source_type in CONNECTORS
        if any(
            "SecretStr" in str(field.annotation) for field in connector_class(source_type).Options.model_fields.values()
        )
    }
    assert with_secrets <= set(re.findall(r"type: (\w+)", SOURCES)) | ELSEWHERE


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A home after a run under Prefect with all of them, a check and a backup; and all that was said."""
    folder = tmp_path_factory.mktemp("canaries")
    with serve(openai.OpenAIStub(admin_key="another")) as provider, slack.serve() as chat:
        config = write_small_home(
            folder, extra=f'slack: {{token: "${{SLACK_SECRET}}", channel: "#ai-costs", base_url: "{chat.base_url}"}}\n'
        )
        sources = SOURCES.format(url=provider.url, literal=LITERAL)
        config.write_text(config.read_text().replace("features: features.yml\n", sources.lstrip("\n")))
        (folder / "events").mkdir()
        environment = ENVIRONMENT | {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_MAX_ATTEMPTS": "1"}
        said = ""
        for start, command in (
            (trendbreak_process, ("--log-format", "json", "run")),
            (trendbreak, ("check",)),
            (trendbreak, ("slack", "test")),
            (trendbreak, ("backup", folder / "backups", "--with-landing")),
        ):
            done = start(*command, cwd=folder, **environment)
            said += f"\n$ {command}\n{done.stdout}{done.stderr}"
        yield folder, said


def planted() -> list[str]:
    return [*ENVIRONMENT.values(), LITERAL]


def test_nothing_that_is_said_holds_a_secret(left: tuple[Path, str]) -> None:
    _, said = left
    for name in ("oa", "oa2", "an", "ro", "gcp"):
        assert f"{name}" in said
    assert "Traceback" not in said
    assert [secret for secret in planted() if secret in said] == []


def test_nothing_that_is_written_holds_a_secret(left: tuple[Path, str]) -> None:
    folder, _ = left
    own = {folder / "trendbreak.yml"}  # where the person has put one of them
    looked_at = [path for path in folder.rglob("*") if path.is_file() and path not in own]
    kinds = {
        path.relative_to(folder).parts[1]
        for path in looked_at
        if path.parts[-2:] and path.is_relative_to(folder / "data")
    }
    assert kinds >= {"landing", "published", "warehouse", "report", "metrics", "state.sqlite", "prefect"}
    found = [
        (path.relative_to(folder).as_posix(), secret)
        for path in looked_at
        for secret in planted()
        if secret.encode() in contents(path)
    ]
    assert found == []


def contents(path: Path) -> bytes:
    """The bytes of a file; of a packed one what it unpacks to, and of a DuckDB file all its texts too."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".duckdb":
        return data + texts(path)
    return data


def texts(path: Path) -> bytes:
    with duckdb.connect(str(path), read_only=True) as con:
        columns = con.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND data_type IN ('VARCHAR', 'JSON')"
        ).fetchall()
        found: list[Any] = []
        for schema, table, column in columns:
            found += con.execute(f'SELECT DISTINCT "{column}" FROM "{schema}"."{table}"').fetchall()
    return os.linesep.join(str(row[0]) for row in found).encode()
