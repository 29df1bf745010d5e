"""The Prefect server of one run ends with the run, however that ends."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flows.errors import FlowError
from flows.serving.brief_server import check_named_server
from tests.servers.json_api import Fault, JsonApi, serve

SCRIPT = """
import sys, time
from pathlib import Path
from flows.serving import brief_server
server = brief_server.start(Path(sys.argv[1]))
server.wait_until_healthy()
print(server.url, flush=True)
time.sleep(600)
"""


@pytest.mark.faults
def test_a_killed_run_leaves_no_server(tmp_path: Path) -> None:
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert httpx.get(f"{url}/health", timeout=30).status_code == httpx.codes.OK
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/health", timeout=5)
        except httpx.HTTPError:
            return
        time.sleep(0.2)
    raise AssertionError(f"{url} still answers")


@pytest.mark.parametrize("host", ["127.0.0.1:9", "127.0.0.1:42x00", "127.0.0.1:4200/a b"])
def test_a_named_server_that_is_not_there_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://{host}/api")
    with pytest.raises(FlowError, match=rf"PREFECT_API_URL: no Prefect server answers at .*{host}/api .*--direct"):
        check_named_server()


def test_a_named_server_that_wants_to_know_who_asks_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(JsonApi()) as api:
        api.fault_for_ever = Fault(status=401)
        monkeypatch.setenv("PREFECT_API_URL", f"{api.url}/api/")
        check_named_server()


def test_a_named_server_of_an_own_authority_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")]), datetime.now(UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    (tmp_path / "own.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.sign(key, hashes.SHA256()).public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem")

    def greet(listening: socket.socket) -> None:
        with suppress(OSError), listening.accept()[0] as connection:
            context.wrap_socket(connection, server_side=True)  # ends as whoever asks does not know the authority

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=greet, args=(listening,), daemon=True)
        thread.start()
        monkeypatch.setenv("PREFECT_API_URL", f"https://127.0.0.1:{listening.getsockname()[1]}/api")
        check_named_server()
        thread.join(timeout=10)
