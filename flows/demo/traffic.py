"""What the company's features did: every call, every GPU node's hours, as numpy columns.

Bills and telemetry are both written from these arrays, so tokens × price is the bill. All times are
UTC; a day is an index from company.START.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.demo.company import (
    DAYS,
    START,
    Company,
    GpuFeature,
    LlmFeature,
    Model,
    Release,
    day_index,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Share of a day's calls per hour of the day, UTC: an office in one time zone, and customers in several.
_OFFICE = np.array([1, 1, 1, 1, 2, 4, 9, 16, 22, 24, 23, 19, 18, 22, 22, 19, 14, 8, 5, 4, 3, 2, 2, 1], dtype=np.float64)
_ALL_DAY = np.array(
    [8, 6, 5, 5, 5, 7, 10, 14, 17, 19, 20, 19, 18, 19, 20, 20, 19, 18, 18, 17, 16, 14, 12, 10], dtype=np.float64
)
_UNKNOWN_SHARE = 0.025  # of tasks whose outcome never comes
_LATE_SHARE = 0.6  # of the tasks that are younger than their outcome's settle time
_CONTEXT_LIMIT = 265_000  # tokens; longer prompts cost more per token at some providers
_USUAL_UTILISATION = 0.7  # of the GPU hours that a usual weekday pays for
_ORDINARY_RETRY = 0.02  # of calls: refused with a 429, not billed, tried again


@dataclass(frozen=True)
class Calls:
    """One feature's calls, in order of time. All arrays have one row per attempt."""

    second: Ints  # since START 00:00 UTC
    millisecond: Ints
    task: Ints
    attempt: Ints
    outcome: Ints  # index into the feature's outcomes; -1: this row carries none
    is_error: Flags
    is_small: Flags  # the small model
    release: Ints  # index into the feature's releases
    user: Ints
    input_tokens: Ints  # uncached, without what is written to the cache
    cache_read_tokens: Ints
    cache_write_tokens: Ints
    output_tokens: Ints
    latency_ms: Ints
    gpu_seconds: Floats  # all 0 for hosted models

    @property
    def day(self) -> Ints:
        return self.second // 86_400

    def __len__(self) -> int:
        return len(self.second)


@dataclass(frozen=True)
class Traffic:
    """`calls` per feature; node hours are [DAYS, 24]: how many nodes (or instances) ran in that hour."""

    calls: dict[str, Calls]
    gpu_node_hours: Floats
    reranker_hours: Floats
    training_hours: Floats  # [DAYS], one job a night
    untagged_usd: Floats  # [DAYS], spend of the key that no rule takes
    strays_usd: Floats  # [DAYS], the few dollars that were never tagged


def simulate(company: Company) -> Traffic:
    """The whole story of a company. The same seed gives the same arrays."""
    calls = {feature.slug: _llm_calls(company, feature) for feature in company.llm}
    calls[company.gpu.slug] = _gpu_calls(company, company.gpu)
    return Traffic(
        calls=calls,
        gpu_node_hours=_gpu_nodes(company),
        reranker_hours=_reranker(company),
        training_hours=_stream(company, "training").normal(2.6, 0.12, DAYS).clip(2.0, 3.4),
        untagged_usd=_untagged(company),
        strays_usd=_strays(company),
    )


def expected_usd(model: Model, calls: Calls) -> Floats:
    """List price of each call on `model`, in dollars, unrounded; for sizing, not for bills."""
    millionths = (
        calls.input_tokens * float(model.input_usd)
        + calls.cache_read_tokens * float(model.cache_read_usd)
        + calls.cache_write_tokens * float(model.cache_write_usd)
        + calls.output_tokens * float(model.output_usd)
    )
    return np.asarray(millionths / 1e6, dtype=np.float64)


def _stream(company: Company, name: str) -> np.random.Generator:
    """A generator of its own per part, so that a change in one part leaves the others as they were."""
    return np.random.default_rng([company.seed, zlib.crc32(name.encode())])


def weekdays() -> Ints:
    return (START.weekday() + np.arange(DAYS)) % 7


def _tasks_per_day(
    rng: np.random.Generator, per_weekday: int, shape: tuple[float, ...], growth: float, noise: float
) -> Ints:
    expected = per_weekday * np.array(shape)[weekdays()] * (1 + growth) ** np.arange(DAYS)
    return np.asarray(np.maximum(1, np.round(expected * np.exp(rng.normal(0, noise, DAYS)))), dtype=np.int64)


def _start_seconds(rng: np.random.Generator, day_of_task: Ints, hours: Floats) -> Ints:
    edges = np.cumsum(hours) / hours.sum()
    hour = np.searchsorted(edges, rng.random(len(day_of_task)), side="right")
    return np.asarray(day_of_task * 86_400 + hour * 3_600 + rng.integers(0, 3_600, len(day_of_task)), dtype=np.int64)


def _users(rng: np.random.Generator, users: int, count: int) -> Ints:
    """A few people do most of the work: user k with weight 1/(k+3)."""
    weights = 1 / (np.arange(users) + 3.0)
    return np.asarray(np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(count)), dtype=np.int64)


def _release_at(releases: tuple[Release, ...], second: Ints) -> Ints:
    starts = np.array([release.day * 86_400 + release.second for release in releases], dtype=np.int64)
    return np.searchsorted(starts, second, side="right") - 1


def _within(starts: Ints, counts: Ints) -> Ints:
    """0, 1, … within each group of `counts` rows; `starts` are the groups' first rows."""
    return np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(starts, counts)


def _first_rows(counts: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)


def _lognormal(rng: np.random.Generator, sigma: float, count: int) -> Floats:
    """Mean 1."""
    return np.exp(rng.normal(-sigma * sigma / 2, sigma, count))


def _outcomes(rng: np.random.Generator, success: Floats, kinds: int, day_of_task: Ints, settles_days: int) -> Ints:
    """Per task: 0 with probability `success`, else one of the others; -1 where it is not known (yet)."""
    count = len(success)
    outcome = np.where(rng.random(count) < success, 0, rng.integers(1, kinds, count))
    unknown = rng.random(count) < np.where(day_of_task >= DAYS - settles_days, _LATE_SHARE, _UNKNOWN_SHARE)
    return np.where(unknown, -1, outcome).astype(np.int64)


def _llm_calls(company: Company, feature: LlmFeature) -> Calls:
    rng = _stream(company, feature.slug)
    kind = feature.archetype
    tasks_per_day = _tasks_per_day(
        rng, feature.tasks_per_weekday, feature.weekday_shape, feature.growth_per_day, feature.volume_noise
    )
    day_of_task = np.repeat(np.arange(DAYS), tasks_per_day)
    tasks = len(day_of_task)
    task_second = _start_seconds(rng, day_of_task, _OFFICE if kind.office_hours else _ALL_DAY)
    task_user = _users(rng, feature.users, tasks)
    task_size = _lognormal(rng, 0.22, tasks)

    success = np.full(tasks, feature.success_rate)
    if feature.role == "success_drop":
        success[_release_at(feature.releases, task_second) == len(feature.releases) - 1] *= company.success_drop_factor
    task_outcome = _outcomes(rng, success, len(kind.outcomes), day_of_task, kind.outcome_settles_days)

    # Calls of a task: about the archetype's number, now and then an agent that takes several steps more.
    whole = int(kind.calls_per_task)
    calls_of_task = whole + (rng.random(tasks) < kind.calls_per_task - whole).astype(np.int64)
    calls_of_task += np.where(rng.random(tasks) < 0.008, rng.integers(2, 6, tasks), 0)
    task_of_call = np.repeat(np.arange(tasks), calls_of_task)
    step = _within(_first_rows(calls_of_task), calls_of_task)
    calls = len(task_of_call)
    second = task_second[task_of_call] + step * rng.integers(6, 40, calls)
    day = np.minimum(second // 86_400, DAYS - 1)

    is_small = rng.random(calls) < feature.small_share
    day_size = np.exp(rng.normal(0, feature.size_noise, DAYS))
    size = task_size[task_of_call] * _lognormal(rng, 0.25, calls) * day_size[day] * np.where(is_small, 0.4, 1.0)
    total_input = feature.input_tokens * size
    output = feature.output_tokens * size
    # The first call of a task finds less in the prompt cache than those that follow it.
    cached_share = np.clip(kind.cached_share * np.where(step == 0, 0.8, 1.15) * rng.uniform(0.85, 1.1, calls), 0, 0.9)
    if feature.role == "slow_drift":
        total_input = total_input * _drift(company, feature, is_small, total_input, cached_share, output)[day]
    total_input = np.minimum(total_input, _CONTEXT_LIMIT)
    cache_read = total_input * cached_share
    uncached = total_input - cache_read
    cache_write = uncached * (0.18 if feature.large.provider == "aws" else 0.0)
    latency_ms = 600 + output * rng.uniform(5.5, 8.5, calls)

    # An ordinary retry follows a refusal, which is not billed. In the storm the client gives up too
    # early: the provider finishes the answer and bills it, and the client asks again.
    storm = np.zeros(calls, dtype=np.bool_)
    if feature.role == "retry_storm":
        storm = _release_at(feature.releases, second) == len(feature.releases) - 1
    extra = (rng.random(calls) < _ORDINARY_RETRY).astype(np.int64)
    extra = np.where(storm, np.minimum(rng.poisson(company.storm_factor - 1, calls), 5), extra)
    attempts = 1 + extra
    call = np.repeat(np.arange(calls), attempts)
    attempt = 1 + _within(_first_rows(attempts), attempts)
    is_error = attempt < attempts[call]
    billed = ~is_error | storm[call]
    last_of_task = np.zeros(calls, dtype=np.bool_)
    last_of_task[np.cumsum(calls_of_task) - 1] = True
    carries_outcome = last_of_task[call] & ~is_error
    waits = np.where(storm, 25, 2)[call] * (attempt - 1)
    rows = Calls(
        second=np.minimum(second[call] + waits, DAYS * 86_400 - 1),
        millisecond=rng.integers(0, 1000, len(call)),
        task=task_of_call[call],
        attempt=attempt,
        outcome=np.where(carries_outcome, task_outcome[task_of_call[call]], -1),
        is_error=is_error,
        is_small=is_small[call],
        release=_release_at(feature.releases, second)[call],
        user=task_user[task_of_call[call]],
        input_tokens=_tokens((uncached - cache_write)[call], billed),
        cache_read_tokens=_tokens(cache_read[call], billed),
        cache_write_tokens=_tokens(cache_write[call], billed),
        output_tokens=_tokens(output[call], billed),
        latency_ms=np.where(is_error, np.where(storm[call], 20_000, 180), latency_ms[call]).astype(np.int64),
        gpu_seconds=np.zeros(len(call)),
    )
    return _in_order_of_time(rows)


def _tokens(tokens: Floats, billed: Flags) -> Ints:
    return np.where(billed, np.round(tokens), 0).astype(np.int64)


def _drift(
    company: Company, feature: LlmFeature, is_small: Flags, total_input: Floats, cached_share: Floats, output: Floats
) -> Floats:
    """Per day: the factor on input tokens that makes the *spend* grow by `drift_per_day` a day."""
    large, small = feature.large, feature.small
    output_usd = output * np.where(is_small, float(small.output_usd), float(large.output_usd))
    input_usd = total_input * (
        (1 - cached_share) * np.where(is_small, float(small.input_usd), float(large.input_usd))
        + cached_share * np.where(is_small, float(small.cache_read_usd), float(large.cache_read_usd))
    )
    output_share = output_usd.sum() / (output_usd.sum() + input_usd.sum())
    since = np.clip(np.arange(DAYS) - day_index(company.planted_as("slow_drift").onset) + 1, 0, None)
    spend = (1 + company.drift_per_day) ** since
    return np.asarray((spend - output_share) / (1 - output_share), dtype=np.float64)


def _in_order_of_time(rows: Calls) -> Calls:
    order = np.lexsort((rows.attempt, rows.second))
    return Calls(**{name: column[order] for name, column in vars(rows).items()})


def _gpu_calls(company: Company, feature: GpuFeature) -> Calls:
    rng = _stream(company, feature.slug)
    tasks_per_day = _tasks_per_day(
        rng, feature.tasks_per_weekday, feature.weekday_shape, feature.growth_per_day, feature.volume_noise
    )
    day_of_task = np.repeat(np.arange(DAYS), tasks_per_day)
    tasks = len(day_of_task)
    second = _start_seconds(rng, day_of_task, _OFFICE)
    size = _lognormal(rng, 0.5, tasks)
    outcome = _outcomes(rng, np.full(tasks, feature.success_rate), len(feature.outcomes), day_of_task, 1)
    gpu_seconds = np.round(_device_seconds_per_task(company, tasks_per_day) * size / size.mean(), 3)
    zeros = np.zeros(tasks, dtype=np.int64)
    rows = Calls(
        second=second,
        millisecond=rng.integers(0, 1000, tasks),
        task=np.arange(tasks),
        attempt=np.ones(tasks, dtype=np.int64),
        outcome=outcome,
        is_error=np.zeros(tasks, dtype=np.bool_),
        is_small=np.zeros(tasks, dtype=np.bool_),
        release=_release_at(feature.releases, second),
        user=_users(rng, feature.users, tasks),
        input_tokens=np.round(1_800_000 * size).astype(np.int64),
        cache_read_tokens=zeros,
        cache_write_tokens=zeros,
        output_tokens=np.round(240_000 * size).astype(np.int64),
        latency_ms=np.round(46_000 * size).astype(np.int64),  # many devices serve one task
        gpu_seconds=gpu_seconds,
    )
    return _in_order_of_time(rows)


def _device_seconds_per_task(company: Company, tasks_per_day: Ints) -> float:
    """So many that the devices are busy for `_USUAL_UTILISATION` of what a usual weekday pays for."""
    is_weekday = weekdays() < 5
    paid_hours = float(np.median(_gpu_nodes(company).sum(axis=1)[is_weekday])) * company.gpu.devices_per_node
    return _USUAL_UTILISATION * paid_hours * 3600 / float(np.median(tasks_per_day[is_weekday]))


def _gpu_nodes(company: Company) -> Floats:
    """Node hours per day and hour: peak on weekday hours, few at night, on weekends a job now and then."""
    feature, rng = company.gpu, _stream(company, "gpu nodes")
    hours = np.full((DAYS, 24), float(feature.night_nodes))
    is_weekday = weekdays() < 5
    for day in range(DAYS):
        opens = feature.opens_hour + int(rng.integers(-1, 2))
        closes = feature.closes_hour + int(rng.integers(-1, 2))
        if is_weekday[day]:
            hours[day, opens:closes] = feature.peak_nodes
            # The node that joins or leaves runs part of that hour.
            hours[day, opens - 1] += (feature.peak_nodes - feature.night_nodes) * float(rng.uniform(0.05, 0.9))
            if rng.random() < 0.3:
                burst = int(rng.integers(9, 16))
                hours[day, burst : burst + int(rng.integers(1, 4))] += 1
        else:
            starts, length = int(rng.integers(3, 14)), float(rng.uniform(0.5, 8))
            hours[day, starts : starts + int(length)] += 1
            hours[day, starts + int(length)] += length % 1
    friday = day_index(company.planted_as("idle_gpu").onset) - 1
    hours[friday, feature.closes_hour - 1 :] = feature.peak_nodes
    hours[friday + 1 : friday + 3, :] = feature.peak_nodes
    hours[friday + 3, : feature.opens_hour] = feature.peak_nodes
    return hours


def _reranker(company: Company) -> Floats:
    """A SageMaker endpoint that scales between one and three instances with the hour."""
    rng = _stream(company, "reranker")
    busy = np.where(weekdays() < 5, 1.0, 0.35)[:, None] * (_OFFICE / _OFFICE.max())[None, :]
    instances = np.round(1 + 2 * busy * np.exp(rng.normal(0, 0.12, (DAYS, 24))) - 0.3)
    return np.asarray(np.clip(instances, 1, 4), dtype=np.float64)


def _untagged(company: Company) -> Floats:
    rng = _stream(company, "untagged")
    onset = day_index(company.planted_as("untagged_key").onset)
    spend = float(company.untagged.usd_per_day) * _lognormal(rng, 0.08, DAYS)
    spend *= np.where(weekdays() < 5, 1.0, 0.88)
    spend[:onset] = 0
    spend[onset] *= float(rng.uniform(0.6, 0.9))  # it began in the morning
    return spend


def _strays(company: Company) -> Floats:
    """Playground calls on weekdays, less on weekends: small and noisy, and there from the first day."""
    rng = _stream(company, "strays")
    return float(rng.uniform(6, 11)) * np.where(weekdays() < 5, 1.0, 0.4) * _lognormal(rng, 0.22, DAYS)
