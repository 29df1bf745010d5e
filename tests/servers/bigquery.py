"""BigQuery on this machine: bqemulator in a process of its own, behind a proxy that can fail on demand.

The tables have Google's documented export schema; a test fills them with rows as Google writes them.
"""

from __future__ import annotations

import atexit
import http.client
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PROJECT = "acme-finops"
_MISSING = "install it with `make setup`: the tests of gcp_billing need an emulator of BigQuery"
# It ends when its standard input does: with this process, however this one ends.
_CHILD = """
import asyncio, os, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # its log would stand before the answer
from pathlib import Path
import duckdb, duckdb_extension_spatial
from bqemulator.config import Settings
from bqemulator.server import EmulatorServer

[wheel] = Path(duckdb_extension_spatial.__file__).parent.rglob("spatial.duckdb_extension")
duckdb.connect().execute(f"INSTALL '{wheel}'")

async def main():
    settings = Settings(rest_port=0, grpc_port=0, log_level="error", enable_format_extensions=False)
    server = EmulatorServer(settings)
    await server.start()
    print(server.rest_port, file=answer, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@cache
def emulator_port() -> int:
    """The port of the emulator that all tests of this process share; started when first asked for."""
    for module in ("bqemulator", "duckdb_extension_spatial"):
        if find_spec(module) is None:
            raise RuntimeError(f"{module} is missing; {_MISSING}")
    home = TemporaryDirectory(prefix="bigquery-")
    with (Path(home.name) / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={"HOME": home.name, "TMPDIR": home.name},
            cwd=home.name,
        )

    def stop() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        home.cleanup()

    atexit.register(stop)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.strip():
        said = (Path(home.name) / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the emulator of BigQuery did not start; {_MISSING}\n{said}")
    return int(line)


_numbers = count(1)


def F(name: str, kind: str = "STRING", *members: Any, repeated: bool = False) -> bigquery.SchemaField:  # noqa: N802
    return bigquery.SchemaField(name, kind, mode="REPEATED" if repeated else "NULLABLE", fields=members)


def pairs(name: str, key: str = "key", value: str = "value", *more: Any) -> bigquery.SchemaField:
    return F(name, "RECORD", F(key), F(value), *more, repeated=True)


# Google: "Structure of Standard data export", "Structure of Detailed data export".
STANDARD = [
    F("billing_account_id"),
    F("service", "RECORD", F("id"), F("description")),
    F("sku", "RECORD", F("id"), F("description")),
    F("usage_start_time", "TIMESTAMP"),
    F("usage_end_time", "TIMESTAMP"),
    F("project", "RECORD", F("id"), F("number"), F("name"), pairs("labels"), F("ancestry_numbers")),
    pairs("labels"),
    pairs("system_labels"),
    F("location", "RECORD", F("location"), F("country"), F("region"), F("zone")),
    pairs("tags", "key", "value", F("inherited", "BOOLEAN"), F("namespace")),
    F("cost", "FLOAT"),
    F("currency"),
    F("currency_conversion_rate", "FLOAT"),
    F("usage", "RECORD", F("amount", "FLOAT"), F("unit"), F("amount_in_pricing_units", "FLOAT"), F("pricing_unit")),
    F("credits", "RECORD", F("name"), F("amount", "FLOAT"), F("full_name"), F("id"), F("type"), repeated=True),
    F("invoice", "RECORD", F("month"), F("publisher_type")),
    F("cost_type"),
    F("adjustment_info", "RECORD", F("id"), F("description"), F("mode"), F("type")),
    F("export_time", "TIMESTAMP"),
    F("cost_at_list", "FLOAT"),
    F("transaction_type"),
    F("seller_name"),
]
DETAILED = [*STANDARD, F("resource", "RECORD", F("name"), F("global_name"))]
# Google: "Structure of FOCUS data export" (preview).
FOCUS = [
    F("BilledCost", "NUMERIC"),
    F("BillingAccountId"),
    F("BillingCurrency"),
    F("BillingPeriodStart", "TIMESTAMP"),
    F("BillingPeriodEnd", "TIMESTAMP"),
    F("ChargeCategory"),
    F("ChargeClass"),
    F("ChargeDescription"),
    F("ChargePeriodStart", "TIMESTAMP"),
    F("ChargePeriodEnd", "TIMESTAMP"),
    F("ConsumedQuantity", "NUMERIC"),
    F("ConsumedUnit"),
    F("ContractedCost", "NUMERIC"),
    F("EffectiveCost", "NUMERIC"),
    F("ListCost", "NUMERIC"),
    F("ProviderName"),
    F("PublisherName"),
    F("RegionId"),
    F("ResourceId"),
    F("ServiceName"),
    F("SkuId"),
    F("SubAccountId"),
    F("SubAccountName"),
    F("x_CostType"),
    F(
        "x_Credits",
        "RECORD",
        F("Name"),
        F("Amount", "NUMERIC"),
        F("FullName"),
        F("Id"),
        F("Type"),
        repeated=True,
    ),
    F("x_ExportTime", "TIMESTAMP"),
    pairs("x_Labels", "Key", "Value"),
    pairs("x_ProjectLabels", "Key", "Value"),
]


@dataclass(frozen=True)
class Dataset:
    """A dataset of its own on the shared emulator."""

    name: str

    @property
    def client(self) -> bigquery.Client:
        return _client()

    def options(self, **more: Any) -> dict[str, Any]:
        return {"project": PROJECT, "dataset": self.name, "api_endpoint": emulator_url(), **more}

    def path(self, table: str) -> str:
        return f"{PROJECT}.{self.name}.{table}"

    def create(
        self,
        table: str,
        schema: Sequence[bigquery.SchemaField] = STANDARD,
        *,
        partition: str | None = "export_time",
        unit: str = "DAY",
        expiration_days: int | None = None,
    ) -> None:
        """An empty table. `partition`: its column; "" is by ingestion, None is not partitioned."""
        made = bigquery.Table(self.path(table), schema=schema)
        if partition is not None:
            milliseconds = expiration_days and expiration_days * 86_400_000
            made.time_partitioning = bigquery.TimePartitioning(
                type_=unit, field=partition or None, expiration_ms=milliseconds
            )
        self.client.create_table(made)

    def load(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows."""
        lines = "\n".join(json.dumps(row, default=str, ensure_ascii=False) for row in rows)
        if lines:
            config = bigquery.LoadJobConfig(
                source_format="NEWLINE_DELIMITED_JSON",
                write_disposition="WRITE_APPEND",
                schema=self.client.get_table(self.path(table)).schema,
            )
            file = io.BytesIO(lines.encode())
            self.client.load_table_from_file(file, self.path(table), job_config=config).result()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.client.query(sql, retry=None, job_retry=None).result()]

    def delete(self, table: str, where: str = "TRUE") -> None:
        """Delete rows."""
        self.run(f"DELETE FROM `{self.path(table)}` WHERE {where}")

    def drop(self) -> None:
        self.client.delete_dataset(self.name, delete_contents=True)


def emulator_url() -> str:
    return f"http://127.0.0.1:{emulator_port()}"


@cache
def _client() -> bigquery.Client:
    """One for all tests: an open connection that is forgotten would be a warning, and so an error."""
    client = bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator_url()),
    )
    atexit.register(client.close)
    return client


def new_dataset() -> Dataset:
    made = Dataset(f"billing_{next(_numbers)}")
    made.client.create_dataset(made.name)
    return made


@dataclass
class Fault:
    """What requests to a path meet. `status` 0 breaks the connection, -1 is silence until the other side leaves."""

    path: str  # a part of "POST /bigquery/…"
    status: int = 503
    reason: str = "backendError"
    message: str = "synthetic"
    times: int = 10**9
    body: bytes | None = None


@dataclass
class Proxy:
    """The emulator's address with faults before it, and a list of what was asked."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)  # JSON bodies
    rewrite: Callable[[bytes], bytes] = lambda body: body  # of the emulator's answers

    def fault_for(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.path in request and fault.times > 0:
                fault.times -= 1
                return fault
        return None


def error_body(code: int, reason: str, message: str) -> bytes:
    """As documented in "BigQuery error messages"."""
    detail = {"message": message, "domain": "global", "reason": reason}
    return json.dumps({"error": {"code": code, "message": message, "errors": [detail], "status": "X"}}).encode()


@contextmanager
def proxy() -> Iterator[Proxy]:
    """A proxy before the shared emulator, on a free port."""
    state, port = Proxy(), emulator_port()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None: ...

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = f"{self.command} {self.path}"
            state.asked.append(request)
            if body[:1] == b"{":
                state.sent.append(json.loads(body))
            fault = state.fault_for(request)
            if fault is None:
                headers = {name: text for name, text in self.headers.items() if name.lower() != "host"}
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as upstream:
                    upstream.request(self.command, self.path, body, {**headers, "Accept-Encoding": "identity"})
                    answer = upstream.getresponse()
                    told, kind = state.rewrite(answer.read()), answer.getheader("Content-Type", "")
                self.answer(answer.status, told, kind)  # to one who may have left
            elif fault.status == -1:
                self.close_connection = True
                self.connection.recv(1)
            elif fault.status == 0:
                self.close_connection = True
                self.connection.close()
            else:
                data = error_body(fault.status, fault.reason, fault.message) if fault.body is None else fault.body
                self.answer(fault.status, data, "application/json")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
