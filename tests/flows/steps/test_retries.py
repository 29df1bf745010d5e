"""Under Prefect, fetch is tried again for what can pass, and only for that."""

import subprocess
import sys
from pathlib import Path

from tests.flows.small_bill import write_small_home

# The source is a web server that answers with one status; short waits keep the test short.
SCRIPT = """
import sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

status, config = int(sys.argv[1]), Path(sys.argv[2])
asked = []

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments): pass
    def do_GET(self):
        asked.append(self.path)
        self.send_response(status)
        self.send_header("Retry-After", "60")  # longer than a connector waits by itself
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
text = config.read_text().replace("BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
config.write_text(text)

from flows.serving import prefect_home
from flows.errors import SourcesFailed
from flows.settings import load_settings
prefect_home.prepare(load_settings(config).home / "prefect")
import dataclasses
import flows.daily, flows.steps.order
flows.steps.order.FETCH = dataclasses.replace(flows.steps.order.FETCH, retry_delays_seconds=(0.01, 0.01, 0.01))
try:
    flows.daily.daily(config=str(config))
except SourcesFailed as error:
    print(len(asked), sorted(error.failures))
"""


def ask(folder: Path, status: int) -> tuple[int, str]:
    config = write_small_home(folder)
    config.write_text(
        config.read_text().replace(
            "features: features.yml",
            "  - {name: api, type: openrouter, management_key: demo-key, base_url: BASE_URL}\nfeatures: features.yml",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(status), str(config)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, _, names = done.stdout.strip().splitlines()[-1].partition(" ")
    return int(count), names


def test_a_refused_key_is_not_tried_again(tmp_path: Path) -> None:
    count, names = ask(tmp_path, 401)
    assert names == "['api']"
    assert count == 1


def test_a_busy_source_is_asked_again_three_times(tmp_path: Path) -> None:
    count, names = ask(tmp_path, 429)
    assert names == "['api']"
    assert count == 4
