"""One run under Prefect, and what only such a run shows: its summary, the steps that failed, what is tried again.

Secrets are planted in every setting that holds one, then looked for in every byte that the run leaves behind.
"""

import gzip
import os
import re
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest

from connectors.registry import CONNECTORS, connector_class
from tests.flows.command import python, trendbreak
from tests.flows.small_bill import bill_lines, first_day, write_small_home
from tests.servers import openai, slack
from tests.servers.json_api import serve


def canary(name: str) -> str:
    return f"cAnArY-{name.replace('_', '-')}-0123456789abcdef"


# One of each source that takes a secret, pointed at a server that refuses it and repeats it in its refusal; and of
# two at another server one whose key is refused, and one that it has no time for.
SOURCES = """
  - {{name: refused, type: openrouter, management_key: demo-key, base_url: "{busy_url}/refused/v1"}}
  - {{name: busy, type: openrouter, management_key: demo-key, base_url: "{busy_url}/busy/v1"}}
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


# The command as it is typed, but with short waits before a source is tried again.
RUN = """
import dataclasses, sys
from flows.steps import order
order.FETCH = dataclasses.replace(order.FETCH, retry_delays_seconds=(0.01, 0.01, 0.01))
sys.argv = ["trendbreak", "--log-format", "json", "run"]
from flows.cli import main
main()
"""
BILL = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=4)


class Refusing(BaseHTTPRequestHandler):
    """Refuses one key, has no time for the other, and counts by the first word of the path."""

    asked: ClassVar[Counter[str]] = Counter()

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.split("/")[1]
        self.asked[name] += 1
        self.send_response({"refused": 401, "busy": 429}[name])
        self.send_header("Retry-After", "120")  # longer than a connector waits by itself
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


@dataclass(frozen=True)
class Left:
    """A home after a run under Prefect with all these sources, a check and a backup."""

    folder: Path
    run: subprocess.CompletedProcess[str]
    asked: dict[str, int]  # how often the run asked, by source
    said: str  # by all the commands


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("canaries")
    with ExitStack() as stack:
        provider = stack.enter_context(serve(openai.OpenAIStub(admin_key="another")))
        chat = stack.enter_context(slack.serve())
        refusing = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Refusing))
        threading.Thread(target=refusing.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        stack.callback(refusing.shutdown)
        config = write_small_home(
            folder, extra=f'slack: {{token: "${{SLACK_SECRET}}", channel: "#ai-costs", base_url: "{chat.base_url}"}}\n'
        )
        (folder / "inbox" / "bill.csv").write_text("\n".join(BILL) + "\n")
        busy_url = f"http://127.0.0.1:{refusing.server_port}"
        sources = SOURCES.format(url=provider.url, busy_url=busy_url, literal=LITERAL)
        config.write_text(config.read_text().replace("features: features.yml\n", sources.lstrip("\n")))
        (folder / "events").mkdir()
        environment = ENVIRONMENT | {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_MAX_ATTEMPTS": "1"}
        Refusing.asked.clear()
        run = python(RUN, cwd=folder, **environment)
        asked = dict(Refusing.asked)
        done = [run]
        for command in (("check",), ("slack", "test"), ("backup", folder / "backups", "--with-landing")):
            done.append(trendbreak(*command, cwd=folder, **environment))
        yield Left(folder, run, asked, "".join(f"\n$ {one.args}\n{one.stdout}{one.stderr}" for one in done))


def test_the_flow_loads_what_there_is_marks_the_steps_that_failed_and_leaves_its_summary(left: Left) -> None:
    assert left.run.returncode == 1, left.run.stderr + left.run.stdout
    assert sorted(line.split()[1:3] for line in left.run.stdout.splitlines() if "✗" in line) == [
        ["fetch", name] for name in ("an", "busy", "ce", "gcp", "oa", "oa2", "refused", "ro")
    ]
    with duckdb.connect(str(left.folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        charged = con.execute("SELECT sum(billed_cost) FROM core.charges").fetchall()
    assert charged == [(sum((Decimal(line.split(",")[0]) for line in BILL[1:]), Decimal(0)),)]
    with closing(sqlite3.connect(left.folder / "data" / "prefect" / "prefect.db")) as prefect:
        artifacts = dict(prefect.execute("SELECT key, data FROM artifact WHERE key IS NOT NULL").fetchall())
    assert set(artifacts) == {"daily-summary", "daily-sources", "daily-incidents", "daily-chart"}
    assert "support_chat" in artifacts["daily-incidents"]
    assert "data:image/png;base64," in artifacts["daily-chart"]


def test_a_refused_key_is_not_tried_again_and_a_busy_source_three_times(left: Left) -> None:
    assert left.asked == {"refused": 1, "busy": 4}


def planted() -> list[str]:
    return [*ENVIRONMENT.values(), LITERAL]


def test_nothing_that_is_said_holds_a_secret(left: Left) -> None:
    for name in ("oa", "oa2", "an", "ro", "gcp"):
        assert name in left.said
    assert "Traceback" not in left.said
    assert [secret for secret in planted() if secret in left.said] == []


def test_nothing_that_is_written_holds_a_secret(left: Left) -> None:
    folder = left.folder
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
        for data in [contents(path)]
        for secret in planted()
        if secret.encode() in data
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
