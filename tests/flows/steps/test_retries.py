"""Under Prefect, fetch is tried again for what can pass, and only for that."""

import subprocess
import sys
from pathlib import Path

from tests.flows.small_bill import write_small_home

# Two sources at a web server that refuses the one's key and has no time for the other; short waits keep it short.
SCRIPT = """
import sys, threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

config = Path(sys.argv[1])
asked = Counter()

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments): pass
    def do_GET(self):
        name = self.path.split("/")[1]
        asked[name] += 1
        self.send_response({"refused": 401, "busy": 429}[name])
        self.send_header("Retry-After", "60")  # longer than a connector waits by itself
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
text = config.read_text().replace("BASE_URL", f"http://127.0.0.1:{server.server_port}")
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
    print(asked["refused"], asked["busy"], sorted(error.failures))
"""


def test_a_refused_key_is_not_tried_again_and_a_busy_source_three_times(tmp_path: Path) -> None:
    config = write_small_home(tmp_path)
    sources = "".join(
        f"  - {{name: {name}, type: openrouter, management_key: demo-key, base_url: BASE_URL/{name}/v1}}\n"
        for name in ("refused", "busy")
    )
    config.write_text(config.read_text().replace("features: features.yml", f"{sources}features: features.yml"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(config)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "1 4 ['busy', 'refused']"
