"""Counters with restarts, gauges of GPUs, and what becomes of them in the warehouse."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.base import Rows, Window
from connectors.prometheus import Prometheus, PrometheusOptions
from connectors.prometheus.parse import increase
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.conformance.world import FAST
from tests.connectors.in_warehouse import ingest, opened
from tests.servers.json_api import serve
from tests.servers.prometheus import TOKEN, PrometheusStub, Series

DAY = Window(date(2026, 1, 5), date(2026, 1, 6))
MIDNIGHT = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp())
HOUR = 3600


def hourly(labels: dict[str, str], *values: Any, first_hour: int = 0) -> Series:
    return labels, {MIDNIGHT + (first_hour + n) * HOUR: Decimal(str(value)) for n, value in enumerate(values)}


def connect(api: PrometheusStub, **options: Any) -> Prometheus:
    settings = {"base_url": api.url, "token": TOKEN, "step_seconds": HOUR, **options}
    return Prometheus(name="cluster", options=PrometheusOptions.model_validate(settings), retry=FAST)


def read(folder: Path, api: PrometheusStub, window: Window = DAY, **options: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"metered_usage": [], "gpu_utilization": []}
    with serve(api):
        for parsed in Ledger(folder).run(connect(api, **options), window):
            for part in parsed.parts:
                assert isinstance(part, Rows)
                found[part.layout] += part.table.to_pylist()
    return found


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([5, 7, 9], 4), ([5, 9, 2, 6], 10), ([9, 0, 0], 0), ([3], 0), ([], 0), ([5, 3, 1], 4)],
)
def test_a_counter_that_falls_was_restarted(samples: list[int], expected: int) -> None:
    assert increase([Decimal(value) for value in samples]) == expected


def test_tokens_of_pods_add_up_per_model_and_cached_ones_stand_apart(tmp_path: Path) -> None:
    pods = [{"model_name": "llama-3.1-70b", "pod": pod} for pod in "ab"]
    api = PrometheusStub(
        series={
            "vllm:prompt_tokens_total": [hourly(pods[0], 10**9, 10**9 + 500), hourly(pods[1], 0, 100, 30)],
            "vllm:prompt_tokens_cached_total": [hourly(pods[0], 0, 200)],
            "vllm:generation_tokens_total": [hourly(pods[0], 0, 70), hourly({"model_name": "qwen"}, 1, 2)],
            "vllm:request_success_total": [
                hourly({**pods[0], "finished_reason": reason}, 0, 4) for reason in ("stop", "length")
            ],
        }
    )
    rows = {row["model"]: row for row in read(tmp_path, api)["metered_usage"]}
    llama = rows["llama-3.1-70b"]
    assert (llama["input_tokens"], llama["cache_read_tokens"], llama["output_tokens"]) == (500 + 130 - 200, 200, 70)
    assert (llama["requests"], llama["cache_write_tokens"]) == (8, None)
    assert (rows["qwen"]["output_tokens"], rows["qwen"]["input_tokens"]) == (1, None)


def test_days_share_their_midnight_and_lose_nothing(tmp_path: Path) -> None:
    values = [n * 10 for n in range(49)]  # two days and the midnight after them
    api = PrometheusStub(series={"vllm:prompt_tokens_total": [hourly({"model_name": "m"}, *values)]})
    rows = read(tmp_path, api, Window(date(2026, 1, 5), date(2026, 1, 7)))["metered_usage"]
    assert sorted((row["usage_date"], row["input_tokens"]) for row in rows) == [
        (date(2026, 1, 5), 240),
        (date(2026, 1, 6), 240),
    ]


def test_the_engines_activity_goes_before_the_older_gauge(tmp_path: Path) -> None:
    gpus = [{"Hostname": "n1", "UUID": f"GPU-{n}", "modelName": "H100"} for n in range(3)]
    whole_day = [50] * 24 + [100]
    api = PrometheusStub(
        series={
            "DCGM_FI_DEV_GPU_UTIL": [hourly(gpu, *whole_day) for gpu in gpus[:2]],
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": [hourly(gpus[0], *[0.25] * 25), hourly(gpus[2], *[9e18] * 25)],
        }
    )
    rows = read(tmp_path, api)["gpu_utilization"]
    assert [(row["gpu"], row["utilization"], row["samples"], row["step_seconds"]) for row in rows] == [
        ("GPU-0", Decimal("0.250000"), 24, HOUR),
        ("GPU-1", Decimal("0.500000"), 24, HOUR),
    ]


def test_what_two_jobs_or_servers_scrape_counts_once(tmp_path: Path) -> None:
    # Pod a by two jobs, one of which began an hour later; pod b by one, which is renamed: both names
    # have one moment.
    pods = [{"model_name": "m", "instance": pod, "job": job} for pod, job in ("ax", "ay", "bx", "by")]
    # A GPU by both servers of a pair.
    # The exporter was started anew at 3 o'clock, under another name; half of another GPU (MIG) is busy.
    gpus = [{"Hostname": host, "UUID": "GPU-0", "prometheus_replica": replica} for host, replica in ("a0", "a1", "b0")]
    parts = [{"Hostname": "a", "UUID": "GPU-1", "GPU_I_ID": part, "job": job} for part, job in ("1x", "2x", "1y")]
    api = PrometheusStub(
        series={
            "vllm:generation_tokens_total": [
                hourly(pods[0], 0, 70, 80, 90), hourly(pods[1], 70, 80, 90, first_hour=1),
                hourly(pods[3], 400, 600, first_hour=2), hourly(pods[2], 0, 300, 400),
            ],
            "DCGM_FI_DEV_GPU_UTIL": [
                hourly(gpus[0], 10, 20, 60), hourly(gpus[1], 20, 60, first_hour=1), hourly(gpus[2], 50, first_hour=3)
            ],
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": [hourly(parts[n], value, value) for n, value in enumerate((1, 0, 1))],
        }
    )  # fmt: skip
    rows = read(tmp_path, api)
    assert {row["model"]: row["output_tokens"] for row in rows["metered_usage"]} == {"m": 90 + 600}
    assert [(row["host"], row["gpu"], row["samples"], row["utilization"]) for row in rows["gpu_utilization"]] == [
        ("a", "GPU-0", 4, Decimal("0.350000")),
        ("a", "GPU-1", 2, Decimal("0.500000")),
    ]


def test_a_label_named_replica_is_a_server_of_a_pair_where_its_counters_run_together(tmp_path: Path) -> None:
    # a: by both servers of a pair, the second a little later in the hour; its process starts anew at noon. b: two
    # processes behind one address, each with a counter of its own. c: two pods, told apart by their addresses too.
    # d: a pair whose label is their owner's own. e and f: two processes that idle together for most of the day, from 0
    # and from what they did to warm up. g: a pair that tells of one burst.
    a, b, c, d, e, f, g = (
        [{"model_name": m, "instance": m, "ha" if m == "d" else "replica": one} for one in "01"] for m in "abcdefg"
    )
    c[1]["instance"] = "c2"
    first = [n * 100 for n in range(13)] + [n * 100 for n in range(12)]
    second = [value + 40 for value in first]
    own = [10**6 + n * 37 for n in range(25)]
    gpus = [{"Hostname": "a", "gpu": "0", "replica": one} for one in "01"]
    api = PrometheusStub(
        series={
            "vllm:generation_tokens_total": [
                hourly(a[0], *first), hourly(a[1], *second), hourly(b[0], *first), hourly(b[1], *own),
                hourly(c[0], *first), hourly(c[1], *second), hourly(d[0], *first), hourly(d[1], *second),
                hourly(e[0], *[0] * 23, 9 * 10**5, 10**6), hourly(e[1], *[0] * 23, 2 * 10**6, 2 * 10**6),
                hourly(f[0], 0, 0, *[12] * 21, 900, 900), hourly(f[1], 0, 0, *[12] * 21, 400, 400),
                hourly(g[0], *[7] * 9, *[900] * 16), hourly(g[1], *[7] * 10, *[900] * 15),
            ],
            "DCGM_FI_DEV_GPU_UTIL": [hourly(gpus[0], 10, 30), hourly(gpus[1], 20, 40, 50)],
        }
    )  # fmt: skip
    rows = read(tmp_path, api, replica_labels=["ha"])
    # By one server 1,200 up to noon and 1,100 after it; by the other the 40 more that it sees of the new process.
    assert {row["model"]: row["output_tokens"] for row in rows["metered_usage"]} == {
        "a": 2340, "b": 2300 + 24 * 37, "c": 2300 + 2340, "d": 2340, "e": 3 * 10**6, "f": 900 + 400, "g": 893
    }  # fmt: skip
    [gpu] = rows["gpu_utilization"]
    assert (gpu["samples"], gpu["utilization"]) == (3, Decimal("0.300000"))  # 10, 30 and, of the other, 50


@pytest.mark.parametrize("labels", [["not a label"], "ha"])
def test_a_label_that_cannot_be_is_refused(labels: Any) -> None:
    with pytest.raises(ValidationError, match="replica_labels"):
        PrometheusOptions.model_validate({"base_url": "http://p", "replica_labels": labels})


def test_a_selector_and_a_label_of_ones_own(tmp_path: Path) -> None:
    api = PrometheusStub(series={"vllm:prompt_tokens_total": [hourly({"served_model": "m"}, 0, "NaN", 5)]})
    [row] = read(tmp_path, api, select='cluster="prod"', model_label="served_model")["metered_usage"]
    assert (row["model"], row["input_tokens"]) == ("m", 5)
    assert api.requests[0].query["query"] == ['vllm:prompt_tokens_total{cluster="prod"}']


def test_it_is_loaded_as_our_own_servers_and_replaced(tmp_path: Path) -> None:
    series: dict[str, list[Series]] = {
        "vllm:generation_tokens_total": [hourly({"model_name": "llama-3.1-70b"}, 0, 70)],
        "DCGM_FI_DEV_GPU_UTIL": [hourly({"UUID": "GPU-0"}, 10, 20)],
    }
    api = PrometheusStub(series=series)
    with serve(api), opened(tmp_path) as wh:
        ingest(wh, tmp_path, connect(api), DAY)
        series["DCGM_FI_DEV_GPU_UTIL"] = [hourly({"UUID": "GPU-0"}, 30, 50)]
        ingest(wh, tmp_path, connect(api), DAY)
        assert wh.con.execute("SELECT provider, output_tokens FROM core.metered_usage").fetchall() == [
            ("self_hosted", 70)
        ]
        assert wh.con.execute(
            "SELECT gpu, utilization, samples, step_seconds FROM core.gpu_utilization"
        ).fetchall() == [("GPU-0", Decimal("0.400000"), 2, HOUR)]


@pytest.mark.parametrize("seconds", [7, 50_000, 1000])
def test_a_step_must_divide_a_day(seconds: int) -> None:
    with pytest.raises(ValidationError):
        PrometheusOptions.model_validate({"base_url": "http://p", "step_seconds": seconds})
