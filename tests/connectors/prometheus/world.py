"""A Prometheus that has scraped two vLLM pods and three GPUs for some days, for the conformance suite."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tests.connectors.conformance.world import World
from tests.servers.prometheus import TOKEN, PrometheusStub

STEP = 3600


class PrometheusWorld(World):
    source_type = "prometheus"
    secrets = (TOKEN,)
    api: PrometheusStub

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.api = PrometheusStub(rng=random.Random(seed))
        start = int(datetime.combine(self.window.start, time(), UTC).timestamp()) + 86_400
        seconds = range(start, start + 5 * 86_400, STEP)
        for pod in ("a", "b"):
            for metric in ("vllm:prompt_tokens_total", "vllm:generation_tokens_total"):
                total, samples = Decimal(rng.randrange(10**6)), {}
                for second in seconds:
                    total = Decimal(0) if rng.random() < 0.05 else total + rng.randrange(1000)
                    samples[second] = total
                self.api.series.setdefault(metric, []).append(({"model_name": "llama-3.1-70b", "pod": pod}, samples))
        self._days: Counter[date] = Counter()
        for gpu in range(3):
            samples = {second: Decimal(rng.randrange(101)) for second in seconds}
            labels = {"Hostname": "node-1", "gpu": str(gpu), "UUID": f"GPU-{gpu}", "modelName": "NVIDIA H100 80GB HBM3"}
            self.api.series.setdefault("DCGM_FI_DEV_GPU_UTIL", []).append((labels, samples))
            # The sample of midnight that ends a range is the next day's.
            for second in seconds:
                self._days[(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).date()] += 1

    @property
    def options(self) -> dict[str, Any]:
        return {"base_url": self.api.url, "token": TOKEN, "step_seconds": STEP}

    @property
    def truth(self) -> dict[date, Decimal]:
        return {day: Decimal(count) for day, count in self._days.items() if self.api.series}

    def empty(self) -> None:
        self.api.series = {}

    def add_unknown_field(self, name: str) -> None:
        self.api.extra[name] = "new"

    def deny(self) -> None:
        self.api.is_denied = True
