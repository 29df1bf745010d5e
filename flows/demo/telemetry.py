"""The company's own request log: one JSON line per call, a file per month.

As in life, a few lines are written twice (the log is delivered at least once), and outcomes of the
newest tasks are not known yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.demo.company import DAYS, START, Company, GpuFeature, LlmFeature, Release
from flows.demo.traffic import Calls, Ints, Traffic

_PLANS = ("free", "pro", "enterprise")
_WRITTEN_TWICE = 0.0006  # of the lines

Lines = NDArray[np.object_]


def write_events(folder: Path, company: Company, traffic: Traffic) -> int:
    """Writes `<folder>/calls-<month>.jsonl`, in order of time; returns the number of lines."""
    lines: list[Lines] = []
    moments: list[Ints] = []
    everyone: tuple[LlmFeature | GpuFeature, ...] = (*company.llm, company.gpu)
    for feature in everyone:
        calls = traffic.calls[feature.slug]
        lines.append(_lines(company, feature, calls))
        moments.append(calls.second * 1000 + calls.millisecond)
    everything, moment = np.concatenate(lines), np.concatenate(moments)
    rng = np.random.default_rng([company.seed, 4])
    again = rng.integers(0, len(everything), int(len(everything) * _WRITTEN_TWICE))
    everything, moment = np.concatenate((everything, everything[again])), np.concatenate((moment, moment[again]))
    order = np.argsort(moment, kind="stable")
    days = np.arange(DAYS) + np.datetime64(START)
    months, first_days = np.unique(days.astype("datetime64[M]"), return_index=True)
    begins = np.searchsorted(moment[order], first_days * 86_400_000).tolist()
    in_order = everything[order].tolist()
    folder.mkdir(parents=True)
    for month, begin, end in zip(months.astype(str).tolist(), begins, [*begins[1:], len(in_order)], strict=True):
        (folder / f"calls-{month}.jsonl").write_text("".join(in_order[begin:end]), encoding="utf-8")
    return len(in_order)


def _lines(company: Company, feature: LlmFeature | GpuFeature, calls: Calls) -> Lines:
    """JSON lines of one feature. Formatted by template: every value is a number or a plain word."""
    count = len(calls)
    times = np.datetime64(START).astype("datetime64[ms]") + (calls.second * 1000 + calls.millisecond)
    rng = np.random.default_rng([company.seed, len(feature.slug), count])
    identifiers = rng.integers(0, 2**62, count)
    plan_of_user = rng.choice(len(_PLANS), feature.users, p=(0.5, 0.38, 0.12))
    provider: str = "self_hosted"
    if isinstance(feature, LlmFeature):
        names, provider = _words((feature.large.name, feature.small.name), calls.is_small), feature.large.provider
        outcomes, key_id = feature.archetype.outcomes, feature.api_key_id
        response_prefix = "resp_" if provider == "openai" else "msg_bdrk_"
    else:
        names = _words((feature.model,), np.zeros(count, dtype=np.int64))
        outcomes, key_id = feature.outcomes, None
        response_prefix = "req_"
    constant = f'"provider":"{provider}","feature":"{feature.slug}"'
    if key_id is not None:
        constant += f',"api_key_id":"{key_id}"'
    template = (
        '{"time":"%sZ",'
        + constant
        + ',"model":"%s","task_id":"'
        + _initials(feature.slug)
        + '-%d","attempt":%d,"status":"%s"%s,"response_id":"'
        + response_prefix
        + '%x","user_id":"u%d","plan":"%s","release":"%s","prompt_version":"%s","input_tokens":%d'
        + ',"cache_read_tokens":%d,"cache_write_tokens":%d,"output_tokens":%d,"latency_ms":%d%s}\n'
    )
    outcome_texts = np.array([*(f',"outcome":"{outcome}"' for outcome in outcomes), ""], dtype=object)
    gpu_texts: Sequence[str] = [""] * count
    if isinstance(feature, GpuFeature):
        gpu_texts = [f',"gpu_seconds":{seconds}' for seconds in calls.gpu_seconds.tolist()]
    releases: tuple[Release, ...] = feature.releases
    rows: Iterator[tuple[object, ...]] = zip(
        np.datetime_as_string(times, unit="ms").tolist(),
        names,
        calls.task.tolist(),
        calls.attempt.tolist(),
        _words(("ok", "error"), calls.is_error),
        outcome_texts[calls.outcome].tolist(),
        identifiers.tolist(),
        calls.user.tolist(),
        _words(_PLANS, plan_of_user[calls.user]),
        _words([release.release for release in releases], calls.release),
        _words([release.prompt_version for release in releases], calls.release),
        calls.input_tokens.tolist(),
        calls.cache_read_tokens.tolist(),
        calls.cache_write_tokens.tolist(),
        calls.output_tokens.tolist(),
        calls.latency_ms.tolist(),
        gpu_texts,
        strict=True,
    )
    lines = np.empty(count, dtype=object)
    lines[:] = [template % row for row in rows]
    return lines


def _words(words: Sequence[str], index: NDArray[np.int64] | NDArray[np.bool_]) -> list[str]:
    return list(np.array(words, dtype=object)[index.astype(np.int64)])


def _initials(slug: str) -> str:
    return "".join(word[0] for word in slug.split("_"))
