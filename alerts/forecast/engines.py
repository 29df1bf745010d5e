"""Which engine forecasts which row, and what short, stopped and eventful series get."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.forecast.ensemble import SPECIAL_DAYS_NEEDED, roll, tame_outliers
from alerts.forecast.intervals import bounds, measure
from alerts.forecast.panel import EngineUnfit, Floats, PanelForecast, PlannedEvent, RowForecast, is_month_end

ENSEMBLE: Final = "ensemble"
ENGINES: Final = (ENSEMBLE, "ets", "uc", "theta", "seasonal_naive")
OFF: Final = "off"
NONE: Final = "none"

OFF_DAYS: Final = 7  # a series is off after so many zero days, and more than 1.5 times its longest earlier run of them
PAUSE_BUSY_DAYS: Final = 28  # before a pause, of which half must have had cost
BACK_DAYS: Final = 7  # for so long after a pause a series may be back, or have had one more job
RESTART_DAYS: Final = 28  # for so long the 95% bound allows for its coming back
RESTART_LEVEL: Final = 0.9  # bounds of levels up to this one do not
KNOWN_EVENT_STRETCH: Final = 1.25
UNKNOWN_EVENT_STRETCH: Final = 1.75


def forecast_panel(
    y: Floats,
    *,
    start: date,
    horizon: int,
    levels: Sequence[float] = (0.8, 0.95),
    engine: str | Sequence[str] = ENSEMBLE,
    events: Sequence[PlannedEvent] | None = None,
) -> PanelForecast:
    """Forecast every row of y[n, T] for the `horizon` days after its last column.

    `start` is the date of column 0. NaN before a series' first day and on unknown days; zeros, negative values
    (credits), dead, constant and very short series are all legal; a row without any known day gets NaN. A series that
    was never negative has no negative bound. A row that ends before the panel does (its bill is late) is forecast from
    its own last day, across the unknown ones. `engine`: one name for all rows or one per row, of `ENGINES`; a row that
    an engine cannot be fitted to falls back to the ensemble, and says so in `model`. Deterministic.

    Raises ValueError for a panel that is not [series, days], a horizon below 1, a level outside (0, 1), an unknown
    engine, a number of engines other than that of the rows.
    """
    y = np.asarray(y, dtype=np.float64)
    wanted = _check(y, horizon, levels, engine)
    whole, y = y, tame_outliers(forget_pauses(y))
    n, days = y.shape
    begin = start + timedelta(days=days)
    finite = np.isfinite(y)
    observed = finite.sum(axis=1)
    filled = np.where(observed[:, None] > 0, y, 0.0)
    size = typical_size(y)
    events = tuple(events or ())
    kinds, recurring = _special_days(events, start, days, horizon)
    rolled = roll(filled, horizon, kinds)
    mean = rolled.mean.copy()
    spread = measure(rolled, y, size)
    days_off = np.array([_days_off(row) for row in whole], dtype=np.int64)
    low, high = bounds(rolled, spread, levels, size, observed, days_off > 0)
    lower = {level: mean + offset for level, offset in low.items()}
    upper = {level: mean + offset for level, offset in high.items()}

    model = list(wanted)
    learned: list[frozenset[str]] = [recurring] * n
    for row in range(n):
        if observed[row] == 0:
            model[row] = NONE
        elif (stopped := int(days_off[row])) > 0:
            model[row] = OFF
            mean[row] = 0.0
            before = _level_before(whole[row], stopped)
            for level in levels:
                restarts = stopped <= RESTART_DAYS and level > RESTART_LEVEL
                lower[level][row] = min(before, 0.0) if restarts else 0.0
                upper[level][row] = max(before, 0.0) if restarts else 0.0
        elif wanted[row] != ENSEMBLE:
            try:
                own = _run(wanted[row], y[row], start, horizon, levels, [e for e in events if e.touches(row)])
            except EngineUnfit:
                model[row] = ENSEMBLE
                continue
            mean[row], learned[row] = own.mean, own.learned
            for level in levels:
                lower[level][row], upper[level][row] = own.lower[level], own.upper[level]

    _doubt_returns(whole, y, mean, lower, upper)
    stretch = _apply_events(events, learned, begin, mean, lower, upper)
    gaps = _tail_gaps(y)
    for gap in sorted({int(days) for days in gaps if days}):
        late = np.flatnonzero(gaps == gap)
        earlier = forecast_panel(
            whole[:, :-gap], start=start, horizon=horizon + gap, levels=levels, engine=wanted, events=events
        )
        mean[late], stretch[late] = earlier.mean[late, gap:], earlier.stretch[late, gap:]
        for level in levels:
            lower[level][late] = earlier.lower[level][late, gap:]
            upper[level][late] = earlier.upper[level][late, gap:]
        for row in late.tolist():
            model[row] = earlier.model[row]
    never_negative = was_never_negative(y)[:, None]
    unknown = (observed == 0)[:, None]
    for part in (mean, *lower.values(), *upper.values()):
        np.copyto(part, np.maximum(part, 0.0), where=never_negative)
        np.copyto(part, np.nan, where=unknown)
    return PanelForecast(begin, mean, lower, upper, tuple(model), rolled, stretch)


def forget_pauses(y: Floats) -> Floats:
    """y[n, T] with the zeros before the first cost, and those of a pause that is over, as unknown days: how a series
    runs is learned from the days on which it ran. The same array when there are none.

    A pause is what makes a running series "off": a week or more of zeros, more than 1.5 times the longest run of them
    before, after four weeks of which half the days had cost. Jobs of every other week are none.
    """
    candidates = np.flatnonzero((y == 0).sum(axis=1) >= OFF_DAYS)
    forgotten: Floats | None = None
    for row in candidates:
        known = np.flatnonzero(np.isfinite(y[row]))
        values = y[row][known]
        busy = np.flatnonzero(values != 0)
        if not busy.size:
            continue
        pauses = [slice(0, int(busy[0]))] if busy[0] >= OFF_DAYS else []
        longest = 0
        for last, following in pairwise(busy.tolist()):
            run = following - last - 1
            if run >= OFF_DAYS and run > 1.5 * longest:
                before = values[max(0, last + 1 - PAUSE_BUSY_DAYS) : last + 1]
                if (before != 0).sum() >= PAUSE_BUSY_DAYS / 2:
                    pauses.append(slice(last + 1, following))
            longest = max(longest, run)
        if pauses:
            forgotten = y.copy() if forgotten is None else forgotten
            for pause in pauses:
                forgotten[row, known[pause]] = np.nan
    return y if forgotten is None else forgotten


def typical_size(y: Floats) -> Floats:
    """Mean absolute value of the known days of each row, [n]; 1 for a row of zeros or without any."""
    finite = np.isfinite(y)
    size = np.abs(np.where(finite, tame_outliers(y), 0.0)).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    return np.where(size > 0, size, 1.0)


def was_never_negative(y: Floats) -> NDArray[np.bool_]:
    return np.asarray(~(np.where(np.isfinite(y), y, 0.0) < 0).any(axis=1))


def _check(y: Floats, horizon: int, levels: Sequence[float], engine: str | Sequence[str]) -> tuple[str, ...]:
    if y.ndim != 2 or y.shape[1] == 0:
        raise ValueError(f"y must be [series, days] with at least one day, its shape is {y.shape}")
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1 day, got {horizon}")
    if not levels or any(not 0 < level < 1 for level in levels):
        raise ValueError(f"levels must lie between 0 and 1, got {tuple(levels)}")
    wanted = (engine,) * len(y) if isinstance(engine, str) else tuple(engine)
    if len(wanted) != len(y):
        raise ValueError(f"{len(wanted)} engines for {len(y)} series")
    if unknown := sorted(set(wanted) - set(ENGINES)):
        raise ValueError(f"unknown engine {unknown[0]!r}; there are {', '.join(ENGINES)}")
    return wanted


def _special_days(
    events: Sequence[PlannedEvent], start: date, days: int, horizon: int
) -> tuple[list[NDArray[np.bool_]], frozenset[str]]:
    """Kinds of days, each [days + horizon], that recur: month ends, and passing events of one name on all series with
    enough past days to learn from; and the names of those events."""
    calendar = [start + timedelta(days=k) for k in range(days + horizon)]
    kinds = [np.array([is_month_end(day) for day in calendar])]
    recurring: set[str] = set()
    for name in dict.fromkeys(event.name for event in events):
        same = [event for event in events if event.name == name]
        if any(event.end is None or event.series is not None for event in same):
            continue
        mask = np.array([any(event.covers(day) for event in same) for day in calendar])
        if mask[:days].sum() >= SPECIAL_DAYS_NEEDED:
            kinds.append(mask)
            recurring.add(name)
    return kinds, frozenset(recurring)


def _run(
    engine: str, values: Floats, start: date, horizon: int, levels: Sequence[float], events: Sequence[PlannedEvent]
) -> RowForecast:
    from alerts.forecast import explaining, reference

    first = int(np.argmax(np.isfinite(values)))
    values, start = values[first:], start + timedelta(days=first)
    match engine:
        case "ets":
            return explaining.ets(values, horizon, levels)
        case "uc":
            return explaining.unobserved_components(values, start, horizon, levels, events)
        case "theta":
            return reference.theta(explaining.fill_gaps(values), horizon, levels)
        case _:
            return reference.seasonal_naive(explaining.fill_gaps(values), horizon, levels)


def _tail_gaps(y: Floats) -> NDArray[np.int64]:
    """[n] unknown days that each row ends with; 0 for a row without any known day."""
    known = np.isfinite(y)
    return np.where(known.any(axis=1), known[:, ::-1].argmax(axis=1), 0)


def _days_off(values: Floats) -> int:
    """Length of the run of zero days a series ends with if it means that the series has stopped, else 0."""
    known = values[np.isfinite(values)]
    if known.size == 0 or known[-1] != 0:
        return 0
    busy = np.flatnonzero(known != 0)
    if busy.size == 0:
        return len(known)  # it never ran
    run = len(known) - 1 - int(busy[-1])
    earlier = int(np.max(np.diff(busy), initial=1)) - 1
    return run if run >= OFF_DAYS and run > 1.5 * earlier else 0


def _doubt_returns(
    whole: Floats, y: Floats, mean: Floats, lower: dict[float, Floats], upper: dict[float, Floats]
) -> None:
    """A series with cost again after zeros that were forgotten may be back, or have had one more job: in the first days
    its mean is no more than what it has cost since, by how many days that is; and nothing may come."""
    for row in np.flatnonzero((np.isnan(y) & np.isfinite(whole)).any(axis=1)):
        since = whole[row, int(np.flatnonzero(np.isfinite(whole[row]) & np.isnan(y[row]))[-1]) + 1 :]
        since = since[np.isfinite(since)]
        if not 0 < len(since) < BACK_DAYS:
            continue
        most = 1.25 * float(np.abs(since).max())
        for level in upper:
            upper[level][row] = np.maximum(np.minimum(upper[level][row], 4.0 * most), most)
            lower[level][row] = np.minimum(lower[level][row], 0.0)
        mean[row] = np.clip(mean[row], -most, most) * len(since) / (len(since) + 1)


def _level_before(values: Floats, run: int) -> float:
    known = values[np.isfinite(values)]
    before = known[: len(known) - run][-28:]
    return float(np.median(before)) if before.size else 0.0


def _apply_events(
    events: Sequence[PlannedEvent],
    learned: Sequence[frozenset[str]],
    begin: date,
    mean: Floats,
    lower: dict[float, Floats],
    upper: dict[float, Floats],
) -> Floats:
    """Move and widen the rows that planned events touch; what each day's errors are stretched by, [n, h].

    Only events that begin after the history act: the effect of the others is in the history already.
    """
    n, horizon = mean.shape
    stretch = np.ones((n, horizon))
    for event in events:
        if event.start < begin:
            continue
        acts = np.array([event.covers(begin + timedelta(days=k)) for k in range(horizon)])
        for row in range(n):
            if not acts.any() or not event.touches(row) or event.name in learned[row]:
                continue
            factor = 1.0 + (event.expected_change or 0.0)
            widen = UNKNOWN_EVENT_STRETCH if event.expected_change is None else KNOWN_EVENT_STRETCH
            moved = mean[row, acts] * factor
            for bound in (*lower.values(), *upper.values()):
                bound[row, acts] = moved + (bound[row, acts] - mean[row, acts]) * factor * widen
            mean[row, acts] = moved
            stretch[row, acts] *= factor * widen
    return stretch
