"""S3 in a thread: moto's server for how S3 behaves, and a small one of our own for how it fails.

`FaultyS3` answers ListObjectsV2 and GetObject with the XML, headers and error codes of AWS's S3 API
reference; a test queues faults in front of its answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import boto3
import pytest

CREDENTIALS = {"aws_access_key_id": "test-key", "aws_secret_access_key": "test-secret"}


class FolderSite:
    """A folder with the interface of a bucket."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, key: str) -> None:
        (self.root / key).unlink()

    def options(self, prefix: str = "") -> dict[str, Any]:
        return {"location": str(self.root / prefix)}


class BucketSite:
    """A bucket of its own on a moto server."""

    def __init__(self, moto: Moto) -> None:
        self.moto = moto
        self.bucket = f"bucket-{secrets.token_hex(6)}"
        moto.client("s3").create_bucket(Bucket=self.bucket)

    def put(self, key: str, data: bytes) -> None:
        self.moto.client("s3").put_object(Bucket=self.bucket, Key=key, Body=data)

    def remove(self, key: str) -> None:
        self.moto.client("s3").delete_object(Bucket=self.bucket, Key=key)

    def options(self, prefix: str = "") -> dict[str, Any]:
        location = f"s3://{self.bucket}/{prefix}" if prefix else f"s3://{self.bucket}"
        return {"location": location, "endpoint_url": self.moto.url, "region": "us-east-1"}


@dataclass
class Moto:
    url: str
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service, endpoint_url=self.url, region_name="us-east-1", **CREDENTIALS
            )
        return self._clients[service]

    @contextmanager
    def policies_enforced(self) -> Iterator[None]:
        """From here on every request needs a policy that allows it; the test's own clients are refused too."""
        self._free_requests("0")
        try:
            yield
        finally:
            self._free_requests("inf")

    def _free_requests(self, count: str) -> None:
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", count.encode(), {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request).close()

    def user(self, policy: dict[str, Any]) -> dict[str, str]:
        """A new user's credentials, as environment variables."""
        iam, name = self.client("iam"), f"user-{secrets.token_hex(4)}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@contextmanager
def moto_server() -> Iterator[Moto]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Moto(f"http://{host}:{port}")
    finally:
        server.stop()


def use_test_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 finds these credentials and nothing of the person's own: no profile, no instance role."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-in-an-error")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def allow(*actions: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


@dataclass(frozen=True)
class Fault:
    """What one request meets. `on`: "list", "get" or "sts". `cut_after`: the body breaks off after so many bytes."""

    on: str
    code: str = ""
    status: int = 500
    message: str = "synthetic"
    cut_after: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


MODIFIED = "2026-02-01T06:00:00.000Z"


class FaultyS3:
    """One bucket of objects, and a queue of faults, each met once (`always`: each time)."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.always: list[Fault] = []
        self.requests: list[tuple[str, str, str]] = []  # (kind, key, Range)
        self.modified: dict[str, str] = {}  # key → when it was written, where that is not MODIFIED
        self.signed_by: list[str] = []  # access key of each request
        self.role_requests: list[dict[str, str]] = []
        self.before_get: Callable[[str], None] = lambda key: None
        self.page_size = 1000
        self.repeat_token = False
        self.url = ""

    def options(self, prefix: str = "") -> dict[str, Any]:
        return {"location": f"s3://acme-billing/{prefix}", "endpoint_url": self.url, "region": "us-east-1"}

    def next_fault(self, kind: str) -> Fault | None:
        for fault in self.always:
            if fault.on == kind:
                return fault
        for fault in self.faults:
            if fault.on == kind:
                self.faults.remove(fault)
                return fault
        return None

    @contextmanager
    def running(self) -> Iterator[FaultyS3]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                stub.role_requests.append({name: given[0] for name, given in parse_qs(body).items()})
                fault = stub.next_fault("sts")
                if fault is not None:
                    answer = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
                    return self._send(fault.status, f"<ErrorResponse>{answer}</ErrorResponse>".encode(), {})
                given = (
                    "<AccessKeyId>ASIAROLEROLEROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>"
                    "<SessionToken>role-token</SessionToken><Expiration>2036-01-01T00:00:00Z</Expiration>"
                )
                answer = f"<AssumeRoleResult><Credentials>{given}</Credentials></AssumeRoleResult>"
                return self._send(200, f"<AssumeRoleResponse>{answer}</AssumeRoleResponse>".encode(), {})

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                key = unquote(parts.path).partition("/")[2].partition("/")[2]
                query = parse_qs(parts.query)
                kind = "get" if key else "list"
                stub.requests.append((kind, key, self.headers.get("Range", "")))
                stub.signed_by.append(
                    self.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
                )
                fault = stub.next_fault(kind)
                if fault is not None and fault.cut_after is None:
                    if fault.body is not None:
                        return self._send(fault.status, fault.body, dict(fault.headers))
                    return self._error(fault.status, fault.code, fault.message, dict(fault.headers))
                if not key:
                    return self._list(query)
                stub.before_get(key)
                return self._get(key, fault)

            def _get(self, key: str, fault: Fault | None) -> None:
                if key not in stub.objects:
                    return self._error(404, "NoSuchKey")
                data = stub.objects[key]
                tag = etag(data)
                if self.headers.get("If-Match", tag) != tag:
                    return self._error(412, "PreconditionFailed")
                start = 0
                match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                headers = {"ETag": tag}
                if match:
                    start = int(match.group(1))
                    headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                body = data[start:]
                cut = fault.cut_after if fault else None
                return self._send(206 if match else 200, body, headers, cut_after=cut)

            def _list(self, query: dict[str, list[str]]) -> None:
                prefix = query.get("prefix", [""])[0]
                keys = sorted(key for key in stub.objects if key.startswith(prefix))
                folders: set[str] = set()
                if "delimiter" in query:
                    folders = {
                        prefix + key.removeprefix(prefix).partition("/")[0] + "/"
                        for key in keys
                        if "/" in key.removeprefix(prefix)
                    }
                    keys = [key for key in keys if "/" not in key.removeprefix(prefix)]
                start = int(query.get("continuation-token", ["0"])[0])
                following = start if stub.repeat_token else start + stub.page_size
                truncated = following < len(keys)
                keys = keys[start : start + stub.page_size]
                contents = "".join(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>{stub.modified.get(key, MODIFIED)}</LastModified>"
                    f"<ETag>{escape(etag(stub.objects[key]))}</ETag><Size>{len(stub.objects[key])}</Size></Contents>"
                    for key in keys
                )
                prefixes = "".join(
                    f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)
                )
                more = f"<NextContinuationToken>{following}</NextContinuationToken>" if truncated else ""
                body = (
                    f"<ListBucketResult><Name>acme-billing</Name><IsTruncated>{str(truncated).lower()}</IsTruncated>{more}"
                    f"{contents}{prefixes}</ListBucketResult>"
                )
                self._send(200, body.encode(), {"Content-Type": "application/xml"})

            def _error(self, status: int, code: str, message: str = "", headers: dict[str, str] | None = None) -> None:
                body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
                self._send(status, body.encode(), {"Content-Type": "application/xml", **(headers or {})})

            def _send(self, status: int, body: bytes, headers: dict[str, str], cut_after: int | None = None) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body if cut_after is None else body[:cut_after])
                self.wfile.flush()
                self.close_connection = True
                if cut_after == 0:  # a reset rather than an early end
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'
