"""Landed range answers → metered tokens per model and utilisation per GPU, of one day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import Parsed, Rows
from connectors.documents import UnknownFields, read_day, read_document, read_list
from connectors.errors import PayloadError
from connectors.prometheus.fetch import METRICS
from connectors.rows import Table, add_counts
from connectors.schema import GPU_UTILIZATION, METERED_USAGE

COUNTERS = ("prompt", "cached", "generation", "requests")
GAUGES = {"gpu_util": Decimal("0.01"), "engine_active": Decimal(1)}  # percent, and a fraction
# Labels that tell who scraped a process, not which it is: those of Prometheus' operator and of Mimir.
# https://grafana.com/docs/mimir/latest/configure/configure-high-availability-deduplication/
SCRAPED_BY = frozenset({"job", "prometheus", "prometheus_replica", "__replica__"})
# Thanos' name for a server of a pair, which may as well be that of a process (a pod's label, a gateway's own counters).
# https://thanos.io/tip/components/query.md/#deduplication
PERHAPS_SCRAPED_BY = "replica"
TOGETHER_SECONDS = 60  # Prometheus' usual time between scrapes: so far apart two servers may see a counter
LEAST_TOGETHER = 0.9  # of the moments: where a process starts anew, one server sees more of its end
LEAST_MOMENTS = 10  # since the first move: any two counters that have just begun are close
MEASURES = ("requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
# How long Prometheus answers with the last sample of a series that is scraped no more.
# https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness
LOOKBACK_SECONDS = 300
SIX_PLACES = Decimal("0.000001")
_Labels = frozenset[tuple[str, str]]
_Samples = dict[float, Decimal]  # moment in Unix seconds → value
_Device = tuple[str | None, str]  # its host, where its name is not its own; its name
_Names = tuple[str | None, str | None]  # host and kind of GPU


def parse_files(files: Mapping[str, Path], *, model_label: str, replica_labels: frozenset[str] = frozenset()) -> Parsed:
    """Rows of `metered_usage` and `gpu_utilization`. Raises PayloadError naming the answer.

    `replica_labels`: beside SCRAPED_BY, labels that tell who scraped a process.
    """
    scraped_by = SCRAPED_BY | replica_labels
    unknown = UnknownFields()
    asked = read_document(_of(files, "day"), name="day.json")
    day = read_day(asked, "day", where="day.json")
    step_seconds = asked.get("step_seconds")  # deliveries of older versions do not say it
    step = step_seconds if isinstance(step_seconds, int) else 0
    overlap_seconds, reach_seconds = max(LOOKBACK_SECONDS, step), max(TOGETHER_SECONDS, step)
    found: dict[str, dict[str | None, int]] = {}
    for name in COUNTERS:
        found[name] = defaultdict(int)
        scrapes: dict[tuple[str | None, _Labels], dict[str | None, list[_Samples]]] = defaultdict(dict)
        for labels, samples in _series(files, name, unknown):
            target, replica = _target(labels, scraped_by)
            scrapes[_text(labels, model_label), target].setdefault(replica, []).append(samples)
        for (model, _), replicas in scrapes.items():
            for told in merge_copies(replicas.values(), reach_seconds=reach_seconds):
                joined = follow(told, overlap_seconds=overlap_seconds)
                found[name][model] += max((round(increase(list(one.values()))) for one in joined), default=0)
    usage = Table(METERED_USAGE, measures=MEASURES, add=add_counts)
    for model in {model for counts in found.values() for model, count in counts.items() if count}:
        prompt, cached = found["prompt"].get(model), found["cached"].get(model)
        usage.add(
            {
                "usage_date": day,
                "model": model,
                "requests": found["requests"].get(model),
                # prompt tokens include those that the prefix cache gave
                "input_tokens": None if prompt is None else max(0, prompt - (cached or 0)),
                "cache_read_tokens": cached,
                "output_tokens": found["generation"].get(model),
            }
        )
    gpus = _utilization(files, day, step_seconds, scraped_by | {PERHAPS_SCRAPED_BY}, unknown)
    parts = (Rows("metered_usage", usage.to_arrow()), Rows("gpu_utilization", gpus))
    return Parsed(parts=parts, notes=tuple(unknown.notes()))


def increase(samples: list[Decimal]) -> Decimal:
    """What a counter counted between its first and its last sample. One that falls was restarted, at 0."""
    pairs = pairwise(samples)
    return sum((after - before if after >= before else after for before, after in pairs), Decimal(0))


def merge_copies(replicas: Iterable[list[_Samples]], *, reach_seconds: int) -> list[list[_Samples]]:
    """The scrapes of each process, of those of each replica: replicas whose counters run together are servers that
    scrape one process, others are processes of their own."""
    processes: list[list[_Samples]] = []
    for scrapes in replicas:
        same = next((one for one in processes if _run_together(one[0], scrapes[0], reach_seconds)), None)
        if same is None:
            processes.append(list(scrapes))
        else:
            same.extend(scrapes)
    return processes


def _run_together(one: _Samples, other: _Samples, reach_seconds: int) -> bool:
    """Whether `other` is, at nearly every moment that both have, what `one` was or would be within `reach_seconds`.
    Idle counters are alike: moments before the first move say nothing, and of a stay only its ends count."""
    moments = sorted(one.keys() & other.keys())
    values = [(one[at], other[at]) for at in moments]
    moves = [n for n in range(1, len(values)) if values[n] != values[n - 1]]
    if not moves or len(moments) - moves[0] < LEAST_MOMENTS:
        return False
    told = sorted({*moves, *(n - 1 for n in moves), len(moments) - 1})
    first = last = within = 0
    for at in (moments[n] for n in told):
        while moments[first] < at - reach_seconds:
            first += 1
        while last < len(moments) and moments[last] <= at + reach_seconds:
            last += 1
        near = [one[moment] for moment in moments[first:last]]
        within += min(near) <= other[at] <= max(near)
    return within >= LEAST_TOGETHER * len(told)


def follow(scrapes: Iterable[_Samples], *, overlap_seconds: int) -> list[_Samples]:
    """Scrapes of one counter (moment → value), those one after another as one: a job that was renamed goes on, and the
    old name may last for up to `overlap_seconds` of the new one. What is left was told at the same time, each of the
    whole."""
    joined: list[_Samples] = []
    for samples in sorted(filter(None, scrapes), key=min):
        before = next((one for one in joined if max(one) - min(samples) <= overlap_seconds), None)
        if before is None:
            joined.append(dict(samples))
        else:
            last = max(before)
            before.update({at: value for at, value in samples.items() if at > last})
    return joined


def _target(labels: Mapping[str, Any], scraped_by: frozenset[str]) -> tuple[_Labels, str | None]:
    """What tells a counter of one process from another's, and the replica that perhaps does. Two scrapes of a process,
    by two jobs or two servers of a pair, differ in who scraped it; a counter that names no process is one by all of its
    labels."""
    if "instance" not in labels and "pod" not in labels:
        return _without(frozenset(), labels), None
    return _without(scraped_by | {PERHAPS_SCRAPED_BY}, labels), _text(labels, PERHAPS_SCRAPED_BY)


def _without(names: frozenset[str], labels: Mapping[str, Any]) -> _Labels:
    return frozenset((name, str(text)) for name, text in labels.items() if name not in names)


def _utilization(
    files: Mapping[str, Path], day: date, step_seconds: Any, scraped_by: frozenset[str], unknown: UnknownFields
) -> pa.Table:
    """The mean of each GPU's samples. The engine's activity counts where it is exported, else the older gauge."""
    midnight = datetime.combine(day, time(), UTC).timestamp() + 86_400
    # A device may have several samples of a moment: scraped twice, the first counts; where it is parted (MIG)
    # or known by two names the mean.
    told: dict[str, dict[_Device, dict[float, dict[_Labels, Decimal]]]] = {}
    names: dict[_Device, Counter[_Names]] = defaultdict(Counter)
    for gauge, unit in GAUGES.items():
        told[gauge] = defaultdict(lambda: defaultdict(dict))
        for labels, samples in _series(files, gauge, unknown):
            host = _text(labels, "Hostname") or _text(labels, "instance")
            gpu = _text(labels, "UUID") or _text(labels, "gpu") or _text(labels, "device") or ""
            # A UUID is the device's wherever it is; a number is one of its host's.
            device = (None if gpu.startswith(("GPU-", "MIG-")) else host, gpu)
            part = _without(scraped_by, labels)
            for at, value in samples.items():
                # Midnight's sample is the next day's; values outside 0 to 1 mean that the driver cannot tell.
                if 0 <= value * unit <= 1 and at < midnight:
                    told[gauge][device][at].setdefault(part, value * unit)
                    names[device][host, _text(labels, "modelName")] += 1
    rows = []
    for device in sorted(names, key=str):
        moments = told["engine_active"].get(device) or told["gpu_util"][device]
        means = [sum(parts.values(), Decimal(0)) / len(parts) for parts in moments.values()]
        (host, gpu_model), _ = max(names[device].items(), key=lambda counted: (counted[1], str(counted[0])))
        rows.append(
            {
                "usage_date": day,
                "host": host,
                "gpu": device[1],
                "gpu_model": gpu_model,
                "samples": len(means),
                "step_seconds": step_seconds,
                "utilization": (sum(means, Decimal(0)) / len(means)).quantize(SIX_PLACES),
            }
        )
    return pa.Table.from_pylist(rows, schema=GPU_UTILIZATION)


def _series(files: Mapping[str, Path], name: str, unknown: UnknownFields) -> list[tuple[Mapping[str, Any], _Samples]]:
    """(labels, moment in Unix seconds → value) of each series, by its labels; the samples oldest first."""
    found = []
    document = read_document(_of(files, name), name=f"{name}.json")
    unknown.look(document, frozenset({"status", "data", "warnings", "infos", "isPartial", "stats"}), f"{name} answer")
    data = document.get("data")
    if not isinstance(data, dict):
        raise PayloadError("field 'data': expected an object", where=f"{name}.json", cure="is it a Prometheus server?")
    for index, series in enumerate(read_list(data, "result", where=f"{name}.json")):
        where = f"{name}.json result[{index}]"
        unknown.look(series, frozenset({"metric", "values", "histograms"}), f"{METRICS[name]} series")
        labels, values = series.get("metric"), series.get("values")
        if not isinstance(labels, dict) or not isinstance(values, list):
            raise PayloadError("fields 'metric' and 'values' are expected", where=where, cure="report it")
        found.append((labels, dict(told for pair in values if (told := _sample(pair, where)) is not None)))
    return sorted(found, key=lambda series: str(sorted(series[0].items())))


def _sample(pair: Any, where: str) -> tuple[float, Decimal] | None:
    """(moment, value); None for NaN and infinity, which are no counts."""
    try:
        at, value = float(pair[0]), Decimal(pair[1])
    except (TypeError, ValueError, IndexError, KeyError, InvalidOperation):
        raise PayloadError("a sample is a time and a number's text", where=where, cure="report it") from None
    return (at, value) if value.is_finite() else None


def _of(files: Mapping[str, Path], name: str) -> Path:
    if f"{name}.json" not in files:
        raise PayloadError("the delivery lacks this file", where=f"{name}.json", cure="fetch the day again")
    return files[f"{name}.json"]


def _text(labels: Mapping[str, Any], name: str) -> str | None:
    value = labels.get(name)
    return value if isinstance(value, str) and value else None
