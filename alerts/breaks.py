"""What is worth posting now: breaks of features, from scores, gates and looking back.

1. Cost and unit cost of every feature are scored by alerts.detect, causally, each day from its past.
2. A day is an alarm when its score survives a false-discovery control over all series of that day
   (alerts.significance): what is posted in error stays within the team's budget per month however many
   series there are.
3. Each alarm is read back once more (alerts.onset): onset, size, and the expectation without the break; of a
   feature that has cost on some days only, on those days.
   It must pass the gates on dollars and percent as it stood on the alarm's own day, so that a break does
   not come and go from run to run.
4. Cost and unit cost of one feature in one direction are one break; the one with more dollars gives the
   kind (alerts.describe). Drivers and label come from alerts.explain.

Read upstream, not here: `cost_usd` is effective cost before promotional credits under the current
rules, without tax and support (shared pools), and up-front purchases are amortised: so a credit, a tax
line, a purchase, or a change of features.yml makes no step in these series.

A series younger than 28 days is judged by a gross rule only: two days running above three times its
median and 1.5 times its maximum so far (three times its maximum before it has two whole weeks: launches
ramp up, and their first Monday stands above their first weekend). A key, account, service or model that
no rule takes and that was never seen before is a break of what is unallocated by itself, from 28 days of
the panel on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from alerts.describe import MOST_PERCENT, Found, describe_break, describe_common_cause
from alerts.detect import POINT_LIMIT, PanelScores, score_panel
from alerts.expectations import AcceptedLevel, DetectionSettings, ExpectedChange
from alerts.explain import compare_days, compare_rows
from alerts.model import ALL_FEATURES, UNALLOCATED, Break, BreakKind, FeaturePanel, Floats, MemberSeries
from alerts.onset import Shift, find_last_day, fit_shift, soft_shift
from alerts.significance import find_episodes, flag_days
from alerts.unit_costs import NO_FLOOR, UnitCosts, measure_unit_costs, steady_unit_costs

__all__ = ["ALL_FEATURES", "AcceptedLevel", "DetectionSettings", "ExpectedChange", "find_breaks"]

Bools = NDArray[np.bool_]
Signs = NDArray[np.int8]

_COST_FLOOR_USD = Decimal("0.50")
_MIN_T = 3.5  # of the shift, on the alarm's own day
_MIN_T_NOW = 2.0  # of today's reading, to take its onset and figures
_LEAST_DAYS_DOWN = 4  # a fall is no emergency, and holidays are short
_GAP_DAYS = 7
_PAUSE_DAYS = 2  # what begins so soon after the last one goes on with it; later it is another burst
_LEVEL_CHANGE_DAYS = 3  # alarm days of an older episode from which it counts as a change of level
_LEVEL_ALARM_DAYS = 42  # so long at most a new level goes on to alarm
_NEW_MEMBER_DIMENSIONS = ("api_key_id", "sub_account_id", "service_name", "model")
_NEW_MEMBER_DAYS = 7  # so long what is new is new
_EXCEEDANCE = 3.0  # deviations, for the common-cause guard
_PARENT_DAYS = 1
_WEEK, _TWO_WEEKS = 7, 14
_SPORADIC_DAYS = 56  # as far back as alerts.detect looks


@dataclass(frozen=True)
class _Metric:
    """One scored series and how its excess becomes dollars."""

    kind: BreakKind
    series: Floats
    precision: Floats | None
    floor: float
    alarms: Bools
    score: Floats
    direction: Signs
    idle: Bools  # days without cost of a series that has cost on some days only
    excess_of: Callable[[Floats], Floats]  # expected [T] → dollars [T]
    signs: tuple[int, ...]
    taught: tuple[int, ...] = ()  # columns on which levels begin that people called expected

    @property
    def newest(self) -> int:
        return _find_newest(self.series)

    def find_pauses(self, alarm: int) -> Bools:
        """[T] days without cost that count as unknown on the day `alarm`: all, where some were idle lately."""
        is_sporadic = self.idle[max(0, alarm - _SPORADIC_DAYS) : alarm + 1].any()
        return np.asarray((self.series <= 0) & is_sporadic)

    def drop_pauses(self, alarm: int) -> Floats:
        return np.where(self.find_pauses(alarm), np.nan, self.series)


def find_breaks(
    panel: FeaturePanel, members: Sequence[MemberSeries], settings: DetectionSettings | None = None
) -> list[Break]:
    """Breaks that were over their limit within the last `settings.recent_days` of the panel.

    `panel`: settled days; features may end on different ones, and each is judged up to its own. `members`: on the
    panel's days, of any features of it; without them breaks have no drivers. Returns one break per (node, direction),
    or several with two days or more between them, the largest excess first. Pure: the clock is the feature's last day.
    """
    settings = settings or DetectionSettings()
    n, days = panel.cost_usd.shape
    if n == 0 or days == 0:
        return []
    scored = _score(panel, settings)
    by_feature: dict[str, list[MemberSeries]] = {}
    for member in members:
        by_feature.setdefault(member.feature, []).append(member)

    breaks: list[Break] = []
    for row, name in enumerate(panel.features):
        own = by_feature.get(name, [])
        found = _find_in_row(row, panel, scored, settings)
        if name == UNALLOCATED:
            found += _find_new_members(scored.cost[row], own, settings)
        for group in _merge(found, _PAUSE_DAYS):
            made = describe_break(
                group, panel, row, scored.cost[row], scored.units, own, chart_days=settings.chart_days
            )
            if name == UNALLOCATED:
                made = _recall_members(made, members, panel.start)
            if not is_expected(made, settings):
                breaks.append(made)
    if n >= settings.common_cause_series:
        breaks = _fold_common_cause(breaks, panel, scored, settings)
    return sorted(breaks, key=lambda b: (-abs(b.excess_usd_per_day), b.node, b.onset))


@dataclass(frozen=True)
class Replayed:
    """A break as a daily run would have told it: `alarm` is the first settled day on which it was found."""

    node: str
    direction: int
    onset: date
    alarm: date


def replay_breaks(panel: FeaturePanel, settings: DetectionSettings, *, days_back: int) -> list[Replayed]:
    """Every break that daily runs over the last `days_back` days would have told, oldest first.

    One pass: scores and alarms depend on earlier days only. Without members, and without the parent of breaks that
    many features share.
    """
    settings = replace(settings, remember_days=days_back, recent_days=days_back)
    scored = _score(panel, settings)
    out = []
    for row, name in enumerate(panel.features):
        for group in _merge(_find_in_row(row, panel, scored, settings), _GAP_DAYS):
            first = min(group, key=lambda found: found.alarm)
            onset, alarm = (panel.start + timedelta(days=place) for place in (first.onset, first.alarm))
            out.append(Replayed(name, first.direction, onset, alarm))
    return sorted(out, key=lambda found: (found.alarm, found.node))


@dataclass(frozen=True)
class _Scored:
    """What is scored [n, T], and the result for every series: features, their unit costs, the total."""

    cost: Floats
    units: UnitCosts
    total: Floats
    scores: PanelScores
    alarms: Bools


def _score(panel: FeaturePanel, settings: DetectionSettings) -> _Scored:
    cost = _fill_unallocated(panel)
    units = measure_unit_costs(panel)
    total = _add_up(cost)
    scores = _stack(
        score_panel(cost, start=panel.start, unit_floor=float(_COST_FLOOR_USD)),
        score_panel(steady_unit_costs(units, panel.start), start=panel.start, unit_floor=NO_FLOOR),
        score_panel(total[None, :], start=panel.start, unit_floor=float(_COST_FLOOR_USD)),
    )
    alarms = flag_days(
        scores,
        _raise_limits(panel.features, scores, settings),
        _measure_ages(np.vstack([cost, units.usd, total])) >= settings.min_history_days,
        false_alerts_per_month=float(settings.false_alerts_per_month),
        days_back=settings.remember_days,
        explained=_mark_accepted(panel, scores.score.shape, settings),
    )
    return _Scored(cost, units, total, scores, alarms)


def _find_in_row(row: int, panel: FeaturePanel, scored: _Scored, settings: DetectionSettings) -> list[Found]:
    cost, name = scored.cost[row], panel.features[row]
    found: list[Found] = []
    taught = _list_taught(name, panel.start, settings)
    for metric in _list_metrics(row, cost, scored.units, scored.alarms, scored.scores, taught):
        found += _read_back(metric, panel.start, settings)
    found += _find_zero_success(scored.units, row, settings)
    found += _find_gross_breaks(cost, settings)
    return found


def _raise_limits(features: Sequence[str], scores: PanelScores, settings: DetectionSettings) -> Floats:
    """[m, T] factors on the limits of single days, by node, metric and direction."""
    rows = [*((name, "cost") for name in features), *((name, "unit_cost") for name in features), (ALL_FEATURES, "cost")]
    out = np.ones(scores.score.shape)
    for row, (name, metric) in enumerate(rows):
        for sign, direction in ((1, "up"), (-1, "down")):
            factor = settings.limit_factors.get((name, metric, direction), 1.0)
            out[row, scores.direction[row] == sign] = max(1.0, factor)
    return out


def _mark_accepted(panel: FeaturePanel, shape: tuple[int, ...], settings: DetectionSettings) -> Bools:
    """[m, T] the days on which an accepted level alarms: from its onset until the scores have followed it."""
    out = np.zeros(shape, np.bool_)
    for row, name in enumerate(panel.features):
        for level in settings.accepted_levels.get(name, ()):
            first = max((level.onset - panel.start).days, 0)
            at = row if level.metric == "cost" else len(panel.features) + row
            out[at, first : first + _LEVEL_ALARM_DAYS] = True
    return out


def _fill_unallocated(panel: FeaturePanel) -> Floats:
    """The costs to score. Nothing unallocated before the first unallocated cost is a known zero; a feature
    that does not exist yet is unknown."""
    cost = np.array(panel.cost_usd, dtype=np.float64)
    for row, name in enumerate(panel.features):
        if name == UNALLOCATED and np.isfinite(cost[row]).any():
            cost[row, : int(np.argmax(np.isfinite(cost[row])))] = 0.0
    return cost


def _add_up(cost: Floats) -> Floats:
    """[T] the total; unknown on days that some feature which had begun is not known for.

    A feature that ends more than a week before the panel is left out of all days: one late source must not hide
    what the others share.
    """
    newest = np.array([_find_newest(row) for row in cost])
    cost = cost[newest >= newest.max() - _GAP_DAYS]
    begun = np.maximum.accumulate(np.isfinite(cost), axis=1)
    is_open = (begun & ~np.isfinite(cost)).any(axis=0) | ~begun.any(axis=0)
    return np.where(is_open, np.nan, np.where(np.isfinite(cost), cost, 0.0).sum(axis=0))


def _stack(*parts: PanelScores) -> PanelScores:
    return PanelScores(*(np.vstack([getattr(part, f.name) for part in parts]) for f in fields(PanelScores)))


def _measure_ages(rows: Floats) -> NDArray[np.int64]:
    """[m, T] days since the first known one."""
    known = np.isfinite(rows)
    first = np.where(known.any(axis=1), known.argmax(axis=1), rows.shape[1])
    return np.asarray(np.arange(rows.shape[1])[None, :] - first[:, None], dtype=np.int64)


def _find_newest(series: Floats) -> int:
    known = np.flatnonzero(np.isfinite(series))
    return int(known[-1]) if known.size else -1


def _list_taught(name: str, start: date, settings: DetectionSettings) -> dict[str, tuple[int, ...]]:
    """Metric → columns on which a level to expect begins."""
    taught: dict[str, tuple[int, ...]] = {}
    for level in settings.accepted_levels.get(name, ()):
        taught[level.metric] = (*taught.get(level.metric, ()), (level.onset - start).days)
    return taught


def _list_metrics(
    row: int,
    cost: Floats,
    units: UnitCosts,
    alarms: Bools,
    scores: PanelScores,
    taught: dict[str, tuple[int, ...]],
) -> list[_Metric]:
    """Cost in both directions, and unit cost upward: a unit cost that falls is good news, and no incident."""
    at = len(units.units) + row

    def excess_of_unit(expected: Floats) -> Floats:
        return np.asarray(units.serving_usd[row] - units.done[row] * expected)

    out = [_make_cost_metric(cost, alarms[row], scores, row, taught.get("cost", ()))]
    if np.isfinite(units.usd[row]).any():
        out.append(
            _Metric(
                "unit_cost",
                units.usd[row],
                units.precision[row],
                NO_FLOOR,
                alarms[at],
                scores.score[at],
                scores.direction[at],
                scores.idle[at],
                excess_of_unit,
                (1,),
                taught.get("unit_cost", ()),
            )
        )
    return out


def _make_cost_metric(
    cost: Floats, alarms: Bools, scores: PanelScores, row: int, taught: tuple[int, ...] = ()
) -> _Metric:
    def excess_of(expected: Floats) -> Floats:
        return np.asarray(cost - expected)

    score, direction = scores.score[row], scores.direction[row]
    floor = float(_COST_FLOOR_USD)
    idle = scores.idle[row]
    return _Metric("cost", cost, None, floor, alarms, score, direction, idle, excess_of, (1, -1), taught)


def _read_back(metric: _Metric, start: date, settings: DetectionSettings) -> list[Found]:
    """The breaks behind the alarms of one series, those that are recent and pass the gates.

    Each alarm is judged by what was known on its day, and how far its break reaches by the expectation of
    that day: a later run finds the same break with the same days, however it went on. Onset and figures
    come from today's reading.
    """
    out: list[Found] = []
    for sign in metric.signs:
        covered = -1
        for alarm in (int(t) for t in np.flatnonzero(metric.alarms & (metric.direction == sign))):
            if alarm <= covered:
                continue
            if metric.idle[alarm]:
                found = _note_silence(metric, alarm)
                covered = found.last
                if metric.newest - covered <= settings.recent_days and passes_gates(found, settings):
                    out.append(found)
                continue
            worked = metric.drop_pauses(alarm)
            floor = max(soft_shift(worked, alarm), metric.floor)
            then = _read(metric, alarm, alarm, sign, floor, start)
            is_another, over = True, np.zeros(len(worked), np.bool_)
            if then is not None and then.onset <= covered:
                if then.surprise(worked, floor)[alarm] * sign < then.reach_of_day:
                    continue  # a window that still holds days of the break before
                # One step over two bursts? Then the days of the one that ended say nothing of the other.
                over[then.onset : covered + 1] = True
                other = _read(metric, alarm, alarm, sign, floor, start, without=over)
                if other is None or other.t_statistic < _MIN_T:
                    continue
                is_another = other.is_calm(worked, floor, since=covered + 1)
                then = other if is_another else then
                over &= is_another
            if then is None or then.t_statistic < _MIN_T:
                continue
            if sign < 0 and alarm - then.onset + 1 < _LEAST_DAYS_DOWN:
                continue
            if not passes_gates(_note(metric, then, alarm, sign, alarm), settings):
                continue
            ended, covered = (
                covered,
                find_last_day(
                    then,
                    then.surprise(worked, floor),
                    alarm=alarm,
                    through=metric.newest,
                    direction=sign,
                ),
            )
            if metric.newest - covered > settings.recent_days:
                continue
            now = _read(metric, metric.newest, alarm, sign, floor, start, without=over)
            if now is not None and is_another and now.onset <= ended:
                over[now.onset : ended + 1] = True
                now = _read(metric, metric.newest, alarm, sign, floor, start, without=over)
            chosen = now if now is not None and now.t_statistic >= _MIN_T_NOW else then
            out.append(_note(metric, chosen, covered, sign, alarm))
    return out


def _read(
    metric: _Metric, through: int, alarm: int, sign: int, floor: float, start: date, *, without: Bools | None = None
) -> Shift | None:
    """The shift behind an alarm; None when there is none, or it only goes back to what was before. `without` [T]: days
    that say nothing."""
    series = metric.drop_pauses(alarm)
    earlier = [
        (int(run[0]), side)
        for side in (1, -1)
        for run in find_episodes((metric.score >= 1.0) & (metric.direction == side), gap_days=_GAP_DAYS)
        if len(run) >= _LEVEL_CHANGE_DAYS and run[0] < alarm
    ]
    # What began before a level that was accepted is accepted with it: both sides end the search there.
    earlier += [(t, side) for t in metric.taught if 0 < t <= alarm for side in (1, -1)]
    shift = fit_shift(
        series if without is None else np.where(without, np.nan, series),
        start=start,
        through=through,
        first_alarm=alarm,
        direction=sign,
        shift=floor,
        precision=metric.precision,
        earlier=sorted(earlier),
    )
    return None if shift is None or shift.is_return else shift


def _note_silence(metric: _Metric, alarm: int) -> Found:
    """A series with cost on some days only that has none any more: its mean so far is missing."""
    paid = np.flatnonzero(metric.series[: alarm + 1] > 0)
    onset = int(paid[-1]) + 1
    again = np.flatnonzero(metric.series[alarm:] > 0)
    last = alarm + int(again[0]) - 1 if again.size else metric.newest
    past = metric.series[max(0, onset - _SPORADIC_DAYS) : onset]
    usual = np.full(len(metric.series), float(past[np.isfinite(past)].mean()))
    score = float(metric.score[onset : last + 1].max())
    excess = metric.excess_of(usual)
    reach = np.full(len(usual), float(past[np.isfinite(past)].max()))
    return Found("cost", -1, onset, last, metric.newest, score, excess, usual, 0 * usual, reach, -100.0, alarm=alarm)


def _note(metric: _Metric, shift: Shift, last: int, sign: int, alarm: int) -> Found:
    pauses = metric.find_pauses(alarm)
    expected, lower, upper = (np.where(pauses, 0.0, side) for side in (shift.expected, shift.lower, shift.upper))
    days_after = metric.newest - last
    if days_after < _WEEK:
        days_after = int(np.isfinite(metric.drop_pauses(alarm)[last + 1 : metric.newest + 1]).sum())
    return Found(
        kind=metric.kind,
        direction=sign,
        onset=shift.onset,
        last=last,
        newest=metric.newest,
        score=float(metric.score[shift.onset : last + 1].max(initial=1.0)),
        excess=metric.excess_of(expected),
        expected=expected,
        lower=lower,
        upper=upper,
        percent=_measure_percent(metric.series, expected, shift.onset, last),
        alarm=alarm,
        days_after=days_after,
    )


def _measure_percent(series: Floats, expected: Floats, onset: int, last: int) -> float:
    window = slice(onset, last + 1)
    known = np.isfinite(series[window]) & np.isfinite(expected[window])
    actual, usual = float(series[window][known].sum()), float(expected[window][known].sum())
    if usual <= 1e-12:
        return MOST_PERCENT
    return min(100.0 * (actual - usual) / usual, MOST_PERCENT)


def passes_gates(found: Found, settings: DetectionSettings) -> bool:
    """Dollars a day, or half of that once the total is three days' worth; and percent.

    Of a drift, what it costs by now counts, not its mean since it began.
    """
    least = float(settings.min_usd_per_day)
    mean, total = max(abs(found.mean_excess), abs(found.newest_excess)), abs(found.total_excess)
    has_sign = found.mean_excess * found.direction > 0
    is_dear = mean >= least or (mean >= 0.5 * least and total >= 3 * least)
    return has_sign and is_dear and abs(found.percent) >= float(settings.min_percent)


def _find_zero_success(units: UnitCosts, row: int, settings: DetectionSettings) -> list[Found]:
    """Days on which work was paid and nothing succeeded: all that it cost is excess."""
    newest = _find_newest(units.done[row])
    out: list[Found] = []
    for run in find_episodes(units.is_zero[row], gap_days=_GAP_DAYS):
        onset, last = int(run[0]), int(run[-1])
        usual = units.usd[row, max(0, onset - 28) : onset]
        usual = usual[np.isfinite(usual)]
        flat = np.full(units.usd.shape[1], float(np.median(usual)) if usual.size else 0.0)
        excess = np.where(units.is_zero[row], units.serving_usd[row], np.nan)
        found = Found("zero_success", 1, onset, last, newest, 2.0, excess, flat, flat, flat, MOST_PERCENT, alarm=onset)
        if newest - last <= settings.recent_days and passes_gates(found, settings):
            out.append(found)
    return out


def _find_gross_breaks(cost: Floats, settings: DetectionSettings) -> list[Found]:
    """The only rule for a series younger than `min_history_days`: see the module's header. Twice the gate."""
    known = np.flatnonzero(np.isfinite(cost))
    if known.size < 5:
        return []
    first, newest = int(known[0]), int(known[-1])
    values = np.where(np.isfinite(cost), cost, 0.0)
    for t in range(max(first + 4, newest - settings.recent_days), min(newest + 1, first + settings.min_history_days)):
        past = values[first : t - 1]
        usual = float(np.median(past))
        over_the_highest = 1.5 if past.size >= _TWO_WEEKS else 3.0
        high = max(3.0 * usual, over_the_highest * float(past.max()))
        if min(values[t], values[t - 1]) <= high:
            continue
        onset = t - 1
        last = int(np.flatnonzero(values > 2.0 * usual)[-1])
        flat = np.full(len(cost), usual)
        percent = _measure_percent(cost, flat, onset, last)
        found = Found(
            "cost", 1, onset, last, newest, 1.0, cost - usual, flat, np.zeros(len(cost)), flat * 0 + high, percent,
            alarm=t,
        )  # fmt: skip
        return [found] if abs(found.mean_excess) >= 2 * settings.min_usd_per_day else []
    return []


def _find_new_members(cost: Floats, members: Sequence[MemberSeries], settings: DetectionSettings) -> list[Found]:
    """Spend of a key, account, service or model never seen before that no rule takes.

    A rotated key is no news: the whole of what is unallocated must have risen by half of the new spend. A
    single try-out is none either: two days, or one that is five times the gate.
    """
    newest = _find_newest(cost)
    out: list[Found] = []
    for member in members:
        paid = np.where(np.isfinite(cost), np.nan_to_num(member.cost_usd), 0.0)
        spends = np.flatnonzero(paid > 0)
        if member.dimension not in _NEW_MEMBER_DIMENSIONS or spends.size == 0:
            continue
        onset, last = int(spends[0]), int(spends[-1])
        until = min(last, onset + _NEW_MEMBER_DAYS - 1)
        if onset < settings.min_history_days or newest - until > settings.recent_days:
            continue
        change = compare_days(cost, onset=onset, last=until)
        before = change.before if np.isfinite(change.before) else 0.0
        spent = float(paid[onset : until + 1].mean())
        past = cost[max(0, onset - 28) : onset]
        reach = 1.96 * float(past[np.isfinite(past)].std()) if np.isfinite(past).any() else 0.0
        flat = np.full(len(cost), before)
        found = Found(
            kind="cost",
            direction=1,
            onset=onset,
            last=last,
            newest=newest,
            score=1.5,
            excess=np.where(np.isfinite(cost), member.cost_usd, np.nan),
            expected=flat,
            lower=np.maximum(flat - reach, 0.0),
            upper=flat + reach,
            percent=_measure_percent(cost, flat, onset, last),
            alarm=onset,
        )
        is_settled_in = spends.size >= 2 or spent >= 5 * settings.min_usd_per_day
        if is_settled_in and change.after - before >= 0.5 * spent and passes_gates(found, settings):
            out.append(found)
    return out


def _recall_members(found: Break, members: Iterable[MemberSeries], start: date) -> Break:
    """Of what is unallocated: an account or a provider that features had before is no new one."""
    onset = (found.onset - start).days
    elsewhere = {
        (member.dimension, member.member)
        for member in members
        if member.feature != UNALLOCATED and (member.cost_usd[:onset] > 0).any()
    }
    known = (replace(one, is_new=one.is_new and (one.dimension, one.member) not in elsewhere) for one in found.drivers)
    return replace(found, drivers=tuple(known))


def _merge(found: Sequence[Found], gap_days: int) -> list[list[Found]]:
    """Findings of one feature that point the same way and are at most `gap_days` apart, together."""
    groups: list[list[Found]] = []
    for item in sorted(found, key=lambda f: (f.direction, f.onset)):
        group = groups[-1] if groups else None
        if (
            group is not None
            and group[0].direction == item.direction
            and item.onset <= max(f.last for f in group) + gap_days
        ):
            group.append(item)
        else:
            groups.append([item])
    return groups


def _moved_most(cost: Floats, found: Found, settings: DetectionSettings) -> bool:
    """Whether at least half of the features moved by the gate's percent in the break's direction while it lasted.

    Those that are younger than the comparison do not count: they grow by themselves.
    """
    cost = cost[np.isfinite(cost[:, max(found.onset - settings.min_history_days, 0)])]
    before, after = compare_rows(cost, onset=found.onset, last=found.last)
    least = float(settings.min_percent) / 100.0 * np.maximum(before, 0.0)
    moved = (after != before) & (found.direction * (after - before) >= least)
    return len(cost) >= settings.common_cause_series and 2 * int(moved.sum()) >= len(cost)


def is_expected(found: Break, settings: DetectionSettings) -> bool:
    """Announced in advance, or a recurrence of what somebody called expected."""
    announced = settings.expected_changes.get(found.node, ())
    accepted = settings.accepted_levels.get(found.node, ())
    return any(change.explains(found) for change in announced) or any(level.explains(found) for level in accepted)


def _fold_common_cause(
    breaks: list[Break],
    panel: FeaturePanel,
    scored: _Scored,
    settings: DetectionSettings,
) -> list[Break]:
    """One parent break in place of many features that move together.

    Guard: at least 20 series, and on one day at least 5 of them (and a twentieth) beyond 3 deviations in one
    direction; or half of them moved by the gate's percent since, as the total did. Then a break of the total that
    begins within a day of it is the parent, and the features' breaks that begin with it are told by it. A break of
    the total without either is some feature's own. What most features share is in no feature's score, so that
    without the second rule a drift of all would be nobody's.
    """
    cost, total, scores = scored.cost, scored.total, scored.scores
    n = len(cost)
    # The bounds of a day lie POINT_LIMIT deviations away.
    share = _EXCEEDANCE / POINT_LIMIT
    expected, known = scores.expected[:n], np.isfinite(cost) & (_measure_ages(cost) >= settings.min_history_days)
    high = known & (cost > expected + share * (scores.upper[:n] - expected))
    low = known & (cost < expected - share * (expected - scores.lower[:n]))
    least = max(settings.common_cause_exceedances, int(np.ceil(0.05 * n)))
    out = list(breaks)
    # The percent of a total that half of the features moved is half of theirs.
    gates = replace(settings, min_percent=settings.min_percent / 2)
    for found in _read_back(_make_cost_metric(total, scored.alarms[-1], scores, -1), panel.start, gates):
        counts = (high if found.direction > 0 else low).sum(axis=0)
        has_day = counts[max(0, found.onset - _PARENT_DAYS) : found.onset + _PARENT_DAYS + 1].max() >= least
        if not (has_day and passes_gates(found, settings)) and not _moved_most(cost, found, settings):
            continue
        parent = describe_common_cause(found, total, cost, panel, chart_days=settings.chart_days)
        if is_expected(parent, settings):
            continue
        told = [
            b for b in out if b.direction == parent.direction and abs((b.onset - parent.onset).days) <= _PARENT_DAYS
        ]
        out = [b for b in out if b not in told] + [parent]
    return out
