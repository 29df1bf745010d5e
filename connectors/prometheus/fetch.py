"""Asks Prometheus for the samples of each day and hands over the answers as sent: they hold numbers and labels only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from connectors.base import CheckResult, DeliveryRef, Payload, Window
from connectors.bucketed_reports import check_requests, split_days
from connectors.errors import PayloadError
from connectors.http_api import Cures, HttpApi, RetryPolicy

if TYPE_CHECKING:
    from connectors.prometheus import PrometheusOptions

RANGE = "/api/v1/query_range"
# Counters of vLLM, and gauges of NVIDIA's DCGM exporter. The second gauge is the truer one, where it is exported.
METRICS = {
    "prompt": "vllm:prompt_tokens_total",
    "cached": "vllm:prompt_tokens_cached_total",
    "generation": "vllm:generation_tokens_total",
    "requests": "vllm:request_success_total",
    "gpu_util": "DCGM_FI_DEV_GPU_UTIL",
    "engine_active": "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
}
CURES = Cures(
    credential="set token to one that the server (or the proxy before it) accepts",
    permission="let this token read /api/v1/query_range",
    address="check base_url: the server's address without /api/v1",
)


class Fetcher:
    """The I/O of one configured server."""

    def __init__(self, source_name: str, options: PrometheusOptions, retry: RetryPolicy | None) -> None:
        self._source_name = source_name
        self._options = options
        self._api = HttpApi(
            source_name=source_name,
            base_url=options.base_url,
            secret_headers={"Authorization": ("Bearer ", options.token)} if options.token else {},
            cures=CURES,
            retry=retry,
        )

    def check(self) -> list[CheckResult]:
        return check_requests(self._api, [("query", "/api/v1/query", [("query", "vector(1)")], True)])

    def discover(self, window: Window) -> Iterator[DeliveryRef]:
        for day in split_days(window, 1):
            yield DeliveryRef(source_name=self._source_name, scope="", window=day, replaces="window")

    def fetch(self, ref: DeliveryRef) -> Iterator[Payload]:
        """One answer per metric, `<metric>.json`. Raises as `Session.get` does, PayloadError for a failed query."""
        start = datetime.combine(ref.window.start, time(), UTC)
        # Both midnights: the last sample of a day is the first of the next, so that no increase falls between days.
        end = start + timedelta(days=1)
        with self._api.session() as session:
            for name, metric in METRICS.items():
                query = [
                    ("query", f"{metric}{{{self._options.select}}}" if self._options.select else metric),
                    ("start", str(int(start.timestamp()))),
                    ("end", str(int(end.timestamp()))),
                    ("step", str(self._options.step_seconds)),
                ]
                where = f"{self._source_name}: GET {RANGE} {metric} of {ref.window.start}"
                page = session.get(RANGE, query, where=where)
                if page.document.get("status") != "success":
                    raise PayloadError("the query did not succeed", where=where, cure="try it in Prometheus's own page")
                yield Payload(f"{name}.json", [page.body])
        asked = {"day": f"{ref.window.start}T00:00:00Z", "step_seconds": self._options.step_seconds}
        yield Payload("day.json", [json.dumps(asked).encode()])
