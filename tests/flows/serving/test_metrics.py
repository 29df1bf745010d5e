"""Metrics that Prometheus' own parser reads, and logs that a machine reads."""

import json
import shutil
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows.errors import FlowError
from flows.serving.metrics import Family, render
from flows.serving.metrics_server import start_metrics_server
from flows.serving.serve import _free_port
from flows.settings import load_settings
from tests.flows.command import trendbreak
from tests.flows.small_bill import bill_lines, first_day

Samples = dict[tuple[str, str], float]


def read(text: str) -> Samples:
    """(sample name, its label's value or "") → value, by the official parser."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def ran(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    """A home after three runs: a restated bill with a break, then one with a source that fails; and the last's log."""
    folder = tmp_path_factory.mktemp("metrics")
    shutil.copytree(shared_home, folder, dirs_exist_ok=True)
    config = folder / "trendbreak.yml"
    lines = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=4)
    (folder / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    assert trendbreak("run", "--direct", cwd=folder).returncode == 0
    broken = "  - {name: aws, type: aws_data_exports, location: ./nowhere}\nfeatures: features.yml"
    config.write_text(config.read_text().replace("features: features.yml", broken))
    done = trendbreak("--log-format", "json", "run", "--direct", cwd=folder)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return folder, events


def test_every_run_leaves_metrics_that_agree_with_the_warehouse(ran: tuple[Path, list[dict[str, object]]]) -> None:
    folder, _ = ran
    found = read((folder / "data" / "metrics" / "trendbreak.prom").read_text())
    now, yesterday = datetime.now(UTC), first_day(1)
    midnight = datetime(yesterday.year, yesterday.month, yesterday.day, tzinfo=UTC).timestamp()
    assert found["trendbreak_source_data_through_timestamp_seconds", "drop"] == midnight
    assert found["trendbreak_source_rows", "drop"] == 120
    assert found["trendbreak_source_restated_days_total", "drop"] == 4
    assert found["trendbreak_source_failed", "drop"] == 0
    assert found["trendbreak_source_failed", "aws"] == 1
    assert found["trendbreak_last_success_timestamp_seconds", ""] < found["trendbreak_last_run_timestamp_seconds", ""]
    assert now.timestamp() - found["trendbreak_last_run_timestamp_seconds", ""] < timedelta(hours=1).total_seconds()
    lines = bill_lines(first_day(), 60, last_factor=Decimal("2.4"), last_days=4)[1:]
    total = sum(Decimal(line.split(",")[1]) for line in lines)
    assert found["trendbreak_source_cost_dollars", "drop"] == pytest.approx(float(total))
    month = [
        line
        for line in lines
        if "Bedrock" in line and f"T00:00:00Z,{yesterday:%Y-%m}" in f"T00:00:00Z,{line.split(',')[8]}"
    ]
    spent = sum(Decimal(line.split(",")[1]) for line in month)
    assert found["trendbreak_feature_month_to_date_dollars", "support_chat"] == pytest.approx(float(spent))
    assert found["trendbreak_messages", "sent"] == 1
    assert sum(value for (name, _), value in found.items() if name == "trendbreak_open_incidents") == 1
    assert found["trendbreak_send_failures_total", ""] == 0
    assert [path.name for path in (folder / "data" / "metrics").iterdir()] == ["trendbreak.prom"], "no partial file"


def test_names_keep_prometheus_conventions(ran: tuple[Path, list[dict[str, object]]]) -> None:
    text = (ran[0] / "data" / "metrics" / "trendbreak.prom").read_text()
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("trendbreak_")
        assert family.documentation.endswith(".")
        assert (family.type == "counter") == all(sample.name.endswith("_total") for sample in family.samples)


def test_the_log_is_one_object_a_line_with_every_step_and_failure(ran: tuple[Path, list[dict[str, object]]]) -> None:
    _, events = ran
    assert all({"time", "level", "logger", "event"} <= event.keys() for event in events)
    assert {event["step"] for event in events if event["event"] == "step done"} >= {"load drop", "build", "publish"}
    (failed,) = [event for event in events if event["event"] == "source failed"]
    assert (failed["source"], failed["level"]) == ("aws", "error")
    assert "nowhere" in str(failed["error"])
    assert events[-1]["event"] == "run done"
    assert events[-1]["status"] == "failed"
    assert len({event["run"] for event in events if "run" in event}) == 1


def test_a_label_from_outside_cannot_break_out_of_its_line() -> None:
    hostile = 'a"} 1\nevil_metric 2\\'
    family = Family("trendbreak_x", "Something.")
    family.add(3, source=hostile)
    family.add(None, source="unknown")
    assert read(render([family])) == {("trendbreak_x", hostile): 3.0}


def test_serve_answers_scrapes_and_says_whether_prefect_answers(ran: tuple[Path, list[dict[str, object]]]) -> None:
    folder, _ = ran
    port = _free_port()
    config = folder / "trendbreak.yml"
    config.write_text(config.read_text() + f"metrics: {{port: {port}}}\n")
    settings = load_settings(config)
    server = start_metrics_server(settings, prefect_url="http://127.0.0.1:9/api")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert ("trendbreak_source_rows", "drop") in read(answer.read().decode())
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10)
        refused.value.close()
        with pytest.raises(FlowError, match=f"metrics.port {port}"):
            start_metrics_server(settings, prefect_url="http://127.0.0.1:9/api")
    finally:
        server.shutdown()
        server.server_close()


def test_an_unknown_log_format_is_refused(tmp_path: Path) -> None:
    done = trendbreak("--log-format", "xml", "status", cwd=tmp_path)
    assert done.returncode == 2
    assert "text or json" in done.stderr
