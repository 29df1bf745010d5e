"""Prometheus's query_range, from its documentation: a matrix of series, values as text, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.servers.json_api import JsonApi, RefusalError, Request

TOKEN = "prometheus-token-canary"
Series = tuple[dict[str, str], dict[int, Decimal]]  # labels, and samples by Unix second


@dataclass
class PrometheusStub(JsonApi):
    series: dict[str, list[Series]] = field(default_factory=dict)  # by metric
    extra: dict[str, Any] = field(default_factory=dict)
    is_denied: bool = False

    def answer(self, request: Request) -> Any:
        if request.headers.get("authorization") != f"Bearer {TOKEN}" or self.is_denied:
            raise RefusalError(401, {"status": "error", "errorType": "unauthorized", "error": "unauthorized"})
        query = {name: values[0] for name, values in request.query.items()}
        if request.path == "/api/v1/query":
            return {"status": "success", "data": {"resultType": "vector", "result": []}}
        if request.path != "/api/v1/query_range":
            raise RefusalError(404, {"status": "error", "error": "not found"})
        start, end, step = (int(query[name]) for name in ("start", "end", "step"))
        if (end - start) // step > 11_000:
            raise RefusalError(400, {"status": "error", "error": "exceeded maximum resolution"})
        metric = query["query"].partition("{")[0]
        result = []
        for labels, samples in self.series.get(metric, []):
            wanted = range(start, end + 1, step)
            values = [[second, format(samples[second], "f")] for second in wanted if second in samples]
            if values:
                one = {"metric": {"__name__": metric, **labels}, "values": values, **self.extra}
                result.append(self.vary_record(one))
        self.rng.shuffle(result)
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}
