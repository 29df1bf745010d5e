"""What a break is made of: the members that carry the excess, and a word for its cause.

Members are compared with themselves: their mean since the onset against the mean of the same weekdays
of the four weeks before it. The label compares the two periods of the whole feature:

    ln(cost after / before) = ln(tasks after / before) + ln(unit cost after / before)

`growth` when the volume carries most of it; else, of the unit cost: `idle` when machines that are paid
by the hour ran without work, `efficiency` when more calls, retries, failures or tokens are paid for the
same work, `mix` when the work moved to another model, `price` when every part of it rose alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from alerts.model import Driver, FeaturePanel, Floats, Label, MemberSeries

_BEFORE_DAYS = 28
_NEW_SLACK_DAYS = 1  # an onset is an estimate
_LEAST_SHARE = 0.10  # of the excess: a smaller member is no driver
_MOST_DRIVERS = 6
_MOST_OF_IT = 0.5  # of the excess: from here on one new member among many is named
_ALL_OF_IT = 0.95
_CROWD = 3
# Of members that carry the same excess, the one to name first: where somebody can act.
_SPECIFIC = (
    "api_key_id",
    "resource_id",
    "model",
    "gpu_type",
    "sku_meter",
    "token_type",
    "service_name",
    "sub_account_id",
    "region_id",
    "provider",
)
_MACHINE = re.compile(
    r"gpu|ec2|elastic compute|compute engine|kubernetes|sagemaker|vertex|instance|boxusage|virtual machine"
    r"|\b[pg]\d\w*\.\d*\w*large|a100|h100|h200|b200|l4\b|l40|t4\b|\bnodes?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Change:
    """Means per day of one quantity over the break, and of the same weekdays before it. NaN: unknown."""

    before: float
    after: float

    @property
    def log_ratio(self) -> float:
        """NaN when either side is unknown or not positive."""
        if not (self.before > 0 and self.after > 0):
            return float("nan")
        return float(np.log(self.after / self.before))


def compare_days(series: Floats, *, onset: int, last: int) -> Change:
    """`series` [T], NaN unknown: mean over onset..last, and over the same weekdays of the 28 days before."""
    before, after = compare_rows(series[None, :], onset=onset, last=last)
    return Change(float(before[0]), float(after[0]))


def compare_rows(rows: Floats, *, onset: int, last: int) -> tuple[Floats, Floats]:
    """The same for [n, T] at once: (before [n], after [n])."""
    days = np.arange(onset, last + 1)
    past = rows[:, max(0, onset - _BEFORE_DAYS) : onset]
    if past.shape[1] == 0:
        return np.full(len(rows), np.nan), _mean(rows[:, days])
    offset = (np.arange(max(0, onset - _BEFORE_DAYS), onset) - onset) % 7
    of_weekday = np.column_stack([_mean(past[:, offset == k]) for k in range(7)])
    overall = _mean(past)
    of_weekday = np.where(np.isfinite(of_weekday), of_weekday, overall[:, None])
    current = rows[:, days]
    # Only days that are known on both sides count on either.
    expected = np.where(np.isfinite(current), of_weekday[:, (days - onset) % 7], np.nan)
    return _mean(expected), _mean(current)


def _mean(rows: Floats) -> Floats:
    known = np.isfinite(rows)
    count = known.sum(axis=1)
    total = np.where(known, rows, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def rank_drivers(
    members: Sequence[MemberSeries], *, start: date, onset: int, last: int, excess_usd_per_day: float
) -> tuple[Driver, ...]:
    """The members (of one feature) that carry at least a tenth of the excess, the largest first.

    `start`: day of column 0 of the members' series. At most six, two of a dimension, in the direction of
    the excess; a dimension whose one member is all of the feature, before and after, tells nothing and is left
    out; several new members of a dimension that carry no real part each are one driver together.
    `is_new`: without any cost before the onset (a day of tolerance: an onset is an estimate).
    """
    if not members or excess_usd_per_day == 0:
        return ()
    costs = np.stack([member.cost_usd for member in members])
    before, after = compare_rows(costs, onset=onset, last=last)
    excess = np.nan_to_num(after) - np.nan_to_num(before)
    spends = costs > 0
    first_seen = np.where(spends.any(axis=1), spends.argmax(axis=1), costs.shape[1])
    share = excess / excess_usd_per_day
    telling = _find_telling(members, np.nan_to_num(before), np.nan_to_num(after))
    crowds, crowded = _gather_newcomers(members, before, after, first_seen, start, onset, excess_usd_per_day)
    found = [
        i
        for i in range(len(members))
        if share[i] >= (_MOST_OF_IT if i in crowded else _LEAST_SHARE) and members[i].dimension in telling
    ]

    def rank(i: int) -> tuple[int, int, float]:
        dimension = members[i].dimension
        order = _SPECIFIC.index(dimension) if dimension in _SPECIFIC else len(_SPECIFIC)
        # Shares within about a tenth of each other are the same story told in several dimensions.
        return (-int(min(share[i], 1.2) * 10 + 0.5), order, -abs(float(excess[i])))

    drivers = [crowd for crowd in crowds if crowd.dimension in telling]
    per_dimension: dict[str, int] = {}
    for i in sorted(found, key=rank):
        member = members[i]
        if per_dimension.get(member.dimension, 0) >= 2 or len(drivers) >= _MOST_DRIVERS:
            continue
        per_dimension[member.dimension] = per_dimension.get(member.dimension, 0) + 1
        seen = int(first_seen[i])
        drivers.append(
            Driver(
                dimension=member.dimension,
                member=member.member,
                excess_usd_per_day=Decimal(f"{float(excess[i]):.2f}"),
                is_new=seen >= max(onset - _NEW_SLACK_DAYS, 1),
                first_seen=start + timedelta(days=seen) if seen < costs.shape[1] else None,
            )
        )
    return tuple(sorted(drivers, key=lambda driver: -abs(driver.excess_usd_per_day)))


def _find_telling(members: Sequence[MemberSeries], before: Floats, after: Floats) -> set[str]:
    """The dimensions that tell members apart; the most specific one where none does."""
    dimensions = list(dict.fromkeys(member.dimension for member in members))
    telling: set[str] = set()
    for dimension in dimensions:
        rows = [i for i, member in enumerate(members) if member.dimension == dimension]
        was, now = before[rows].clip(min=0), after[rows].clip(min=0)
        largest = int(now.argmax())
        is_all = was[largest] >= _ALL_OF_IT * was.sum() and now[largest] >= _ALL_OF_IT * now.sum() and was.sum() > 0
        if not is_all:
            telling.add(dimension)
    known = [dimension for dimension in _SPECIFIC if dimension in dimensions] or dimensions
    return telling or set(known[:1])


def _gather_newcomers(
    members: Sequence[MemberSeries],
    before: Floats,
    after: Floats,
    first_seen: np.ndarray[tuple[int], np.dtype[np.int64]],
    start: date,
    onset: int,
    excess_usd_per_day: float,
) -> tuple[list[Driver], set[int]]:
    """Dimensions in which three or more members are new: one driver each, what they cost less what those cost that
    are gone (machines that come and go by the day are no news by their names). And the members so gathered."""
    gathered: list[Driver] = []
    rows_gathered: set[int] = set()
    for dimension in dict.fromkeys(member.dimension for member in members):
        rows = [i for i, member in enumerate(members) if member.dimension == dimension]
        new = [i for i in rows if first_seen[i] >= max(onset - _NEW_SLACK_DAYS, 1) and np.nan_to_num(after[i]) > 0]
        if len(new) < _CROWD:
            continue
        gone = [i for i in rows if np.nan_to_num(before[i]) > 0 and np.nan_to_num(after[i]) <= 0.05 * before[i]]
        excess = float(np.nansum(after[new]) - np.nansum(before[gone]))
        rows_gathered.update(new)
        if excess / excess_usd_per_day >= _LEAST_SHARE:
            first = min(int(first_seen[i]) for i in new)
            gathered.append(
                Driver(
                    dimension=dimension,
                    member="",
                    excess_usd_per_day=Decimal(f"{excess:.2f}"),
                    is_new=True,
                    first_seen=start + timedelta(days=first),
                    members=len(new),
                    replaced=len(gone),
                )
            )
    return gathered, rows_gathered


def choose_label(panel: FeaturePanel, row: int, members: Sequence[MemberSeries], *, onset: int, last: int) -> Label:
    """A word for the cause of the change of feature `row` since `onset`; "unknown" when nothing tells, and for
    training: no work grew by it, nothing got dearer, and no machine is idle."""

    def change(series: Floats) -> Change:
        return compare_days(series[row], onset=onset, last=last)

    cost, tasks, calls = change(panel.cost_usd), change(panel.tasks), change(panel.calls)
    work = tasks if np.isfinite(tasks.log_ratio) else calls
    total = cost.log_ratio
    training, rise = change(panel.training_cost_usd), cost.after - cost.before
    if rise and (training.after - training.before) / rise >= 0.6:
        return "unknown"
    machine = _machine_share(members, onset=onset, last=last, cost=cost)
    if not np.isfinite(work.log_ratio):
        is_machine_on_quiet_days = machine >= 0.6 and _is_on_quiet_days(panel.cost_usd[row], onset=onset, last=last)
        return "idle" if is_machine_on_quiet_days else "unknown"

    volume = work.log_ratio
    good, told = change(panel.successful_tasks), change(panel.tasks_with_outcome)
    # The share of successes among tasks with an outcome: outcomes that are not reported are no failures.
    succeeded = (
        _log_of(good.after, good.before) - _log_of(told.after, told.before) if good.before * told.before > 0 else 0.0
    )
    unit = (total if np.isfinite(total) else 0.0) - volume - (succeeded if np.isfinite(succeeded) else 0.0)
    if abs(volume) >= 0.6 * abs(total) and volume * total > 0 and abs(unit) < max(abs(volume), 0.1):
        return "growth"
    # What is paid beside the work: more calls a task, calls again, calls in vain, answers that do not count.
    per_task = calls.log_ratio - tasks.log_ratio if np.isfinite(calls.log_ratio + tasks.log_ratio) else 0.0
    wasted = max(_rise(change(panel.retries), calls), _rise(change(panel.failed_calls), calls))
    if max(per_task, wasted, -succeeded if np.isfinite(succeeded) else 0.0) >= 0.35 * abs(unit):
        return "efficiency"
    if machine >= 0.6 and total > 0:
        return "idle"
    if _moved_between_models(members, onset=onset, last=last):
        return "mix"
    if _all_parts_alike(members, onset=onset, last=last, total=total):
        return "price"
    return "efficiency" if abs(unit) > 0.05 else "unknown"


def _log_of(after: float, before: float) -> float:
    return float(np.log(after / before)) if after > 0 and before > 0 else float("nan")


def _rise(part: Change, calls: Change) -> float:
    """Log factor on the calls that a rise of their wasted part explains."""
    if not (np.isfinite(part.before + part.after) and calls.before > 0 and calls.after > 0):
        return 0.0
    share_before, share_after = min(part.before / calls.before, 0.95), min(part.after / calls.after, 0.95)
    return float(np.log((1 - share_before) / (1 - share_after)))


def _machine_share(members: Sequence[MemberSeries], *, onset: int, last: int, cost: Change) -> float:
    """Share of the excess carried by things paid by the hour: a GPU type, or a name that says so."""
    excess = cost.after - (cost.before if np.isfinite(cost.before) else 0.0)
    if not excess > 0:
        return 0.0
    best = 0.0
    for dimension in ("gpu_type", "sku_meter", "service_name", "resource_id"):
        rows = [
            member.cost_usd
            for member in members
            if member.dimension == dimension and (dimension == "gpu_type" or _MACHINE.search(member.member))
        ]
        if rows:
            before, after = compare_rows(np.stack(rows), onset=onset, last=last)
            best = max(best, float((np.nan_to_num(after) - np.nan_to_num(before)).sum()) / excess)
    return best


def _is_on_quiet_days(cost: Floats, *, onset: int, last: int) -> bool:
    """Are the days of the break ones on which this feature is usually below two thirds of its mean?"""
    usual = compare_days(cost, onset=onset, last=last).before
    past = cost[max(0, onset - _BEFORE_DAYS) : onset]
    past = past[np.isfinite(past)]
    return bool(past.size and usual < float(past.mean()) * 2 / 3)


def _changes_of(members: Sequence[MemberSeries], dimension: str, onset: int, last: int) -> list[Change]:
    rows = [member.cost_usd for member in members if member.dimension == dimension]
    if not rows:
        return []
    before, after = compare_rows(np.stack(rows), onset=onset, last=last)
    return [Change(float(b), float(a)) for b, a in zip(before, after, strict=True)]


def _moved_between_models(members: Sequence[MemberSeries], *, onset: int, last: int) -> bool:
    """Did some model's share of the cost change by a fifth or more?"""
    changes = _changes_of(members, "model", onset, last)
    before, after = sum(max(c.before, 0.0) for c in changes), sum(max(c.after, 0.0) for c in changes)
    if len(changes) < 2 or not (before > 0 and after > 0):
        return False
    return max(abs(c.after / after - c.before / before) for c in changes) >= 0.2


def _all_parts_alike(members: Sequence[MemberSeries], *, onset: int, last: int, total: float) -> bool:
    """Did every token type (or SKU) of weight rise by the same factor? Longer prompts raise input alone."""
    for dimension in ("token_type", "sku_meter"):
        changes = [c for c in _changes_of(members, dimension, onset, last) if c.before > 0]
        whole = sum(c.before for c in changes)
        heavy = [c.log_ratio for c in changes if c.before >= 0.05 * whole]
        if len(heavy) >= 2 and all(np.isfinite(heavy)):
            return bool(abs(total) > 0.05 and max(heavy) - min(heavy) < 0.15 * abs(total) + 0.02)
    return False
