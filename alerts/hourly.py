"""The estimated lane: breaks within hours, from telemetry that is scaled to the bill; the bill has the last word.

Two weeks of hours are too few for the daily detector's channels, so this one knows only gross rises. The last 3, 6,
12 or 24 hours are compared with the same hours of earlier days (of the same kind, weekday or weekend, where there are
two): a rise must be half as much again, beyond six robust deviations of the logarithm, 40% beyond the highest of the
past days, more than one hour's, and must have cost a day's worth of the team's gate already. Falls are left to the
bill. On 240 generated feature-days of noise as in the tests none is told falsely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np

from alerts.breaks import is_expected
from alerts.expectations import DetectionSettings
from alerts.explain import compare_days
from alerts.incidents import IncidentPolicy, break_from_json, is_due, is_estimated
from alerts.model import CONDITION_KINDS, LIVE, Break, ChartSeries, Evidence, FeaturePanel, Floats, Incident

WINDOW_HOURS = (3, 6, 12, 24)
_PAST_DAYS = 12
_LEAST_PAST_DAYS = 7
_LEAST_RISE = np.log(1.5)
_DEVIATIONS = 6.0
_LEAST_SPREAD = 0.15
_OVER_THE_HIGHEST = 1.4
_BESIDE_ONE_HOUR = 0.4  # of the excess must remain without the dearest hour: one hour is soon one job
_LEAST_PERCENT = Decimal(50)
_QUIET_DAYS = 7  # after an incident of the same feature the bill speaks first
_CONFIRMED_SHARE = 0.5
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class _Rise:
    hours: int
    actual: float
    expected: float

    @property
    def excess(self) -> float:
        return self.actual - self.expected


def find_hourly_breaks(
    features: Sequence[str], spend_usd: Floats, *, end: datetime, settings: DetectionSettings
) -> list[Break]:
    """Rises of the last hours before `end` (UTC, a full hour); `spend_usd` [n, H] per hour, H a few days at least."""
    out = []
    for name, hours in zip(features, np.asarray(spend_usd, dtype=np.float64), strict=True):
        rises = [rise for length in WINDOW_HOURS if (rise := _measure(hours, length, end, settings)) is not None]
        if rises:
            found = _describe(name, hours, max(rises, key=lambda rise: rise.excess), end)
            if not is_expected(found, settings):
                out.append(found)
    return sorted(out, key=lambda found: (-found.excess_usd_total, found.node))


def choose_hourly_breaks(breaks: Sequence[Break], ledger: Sequence[Incident], *, as_of: date) -> list[Break]:
    """Those that the bill has not spoken about: a feature with an incident of the last week that the bill knows of, or
    that it withdrew, is left to the daily lane. A budget, a late source or lost coverage says nothing of hours."""
    settled = {
        incident.node
        for incident in ledger
        if incident.direction == "up"
        and incident.kind not in CONDITION_KINDS
        and (as_of - incident.last_day).days <= _QUIET_DAYS
        and not (is_estimated(incident) and incident.status in LIVE)
    }
    return [found for found in breaks if found.node not in settled]


def confirm_estimates(
    ledger: Sequence[Incident], panel: FeaturePanel, *, through: Mapping[str, date], found: Sequence[Break]
) -> list[Break]:
    """What the bill shows of incidents that were estimated, where the daily detector has no break of its own (`found`).

    `through`: how far the bill of each feature reaches. An estimate that was confirmed is confirmed in every run for as
    long as the ledger would miss it: withdrawn is only what the bill shows no more.
    """
    confirmed = []
    for incident in ledger:
        reaches = through.get(incident.node)
        if reaches is not None and _is_held_to_the_bill(incident, reaches):
            on_bill = confirm_from_bill(incident, panel, through=reaches, found=found)
            confirmed += [] if on_bill is None else [on_bill]
    return confirmed


def _is_held_to_the_bill(incident: Incident, through: date) -> bool:
    if (estimate := incident.details.get("estimate")) is None:
        return is_estimated(incident) and incident.status in LIVE
    is_in_sight = (through - date.fromisoformat(estimate["last_day"])).days <= IncidentPolicy.sight_days
    return is_in_sight and (incident.status in LIVE or incident.status == "resolved")


def confirm_from_bill(
    incident: Incident, panel: FeaturePanel, *, through: date, found: Sequence[Break]
) -> Break | None:
    """The break of an estimated incident as the bill shows it, where the daily detector has none of its own.

    Some hours may be little of a day: what counts is whether the bill's excess over the same weekdays of the four
    weeks before is at least half of the estimated one. None: the bill has not come so far, or shows no such excess.
    """
    estimate: Mapping[str, str] = incident.details.get("estimate", {})
    onset = date.fromisoformat(estimate.get("onset", incident.onset.isoformat()))
    last_day = min(date.fromisoformat(estimate.get("last_day", incident.last_day.isoformat())), through)
    estimated_usd = float(estimate.get("excess_usd_total", incident.excess_usd_total))
    is_told = any(b.node == incident.node and b.direction == "up" and b.last_day >= onset for b in found)
    if is_told or incident.node not in panel.features or not is_due(incident, through):
        return None
    row = panel.features.index(incident.node)
    first, last = (onset - panel.start).days, (last_day - panel.start).days
    if first < 7 or last >= panel.cost_usd.shape[1]:
        return None
    change = compare_days(panel.cost_usd[row], onset=first, last=last)
    days = last - first + 1
    excess = (change.after - change.before) * days
    if not excess >= _CONFIRMED_SHARE * estimated_usd:
        return None
    told = break_from_json(incident.details["break"])
    expected = _cents(change.before)
    return replace(
        told,
        kind="cost",
        basis="reported",
        is_active=False,
        onset=onset,
        last_day=last_day,
        data_through=through,
        actual_usd_per_day=_cents(change.after),
        expected_usd_per_day=expected,
        expected_lower_usd_per_day=expected,
        expected_upper_usd_per_day=expected,
        excess_usd_per_day=_cents(change.after - change.before),
        excess_usd_total=_cents(excess),
        excess_percent=Decimal(f"{100 * (change.after / change.before - 1):.1f}") if change.before > 0 else Decimal(0),
        evidence=(Evidence("cost", "usd_per_day", _cents(change.after), expected),),
        history_days=int(np.isfinite(panel.cost_usd[row]).sum()),
    )


def _measure(hours: Floats, length: int, end: datetime, settings: DetectionSettings) -> _Rise | None:
    first = int(np.argmax(hours > 0)) if (hours > 0).any() else len(hours)
    past, same_kind = [], []
    for back in range(1, _PAST_DAYS + 1):
        stop = len(hours) - 24 * back
        if stop - length < first:
            break
        amount = float(hours[stop - length : stop].sum())
        past.append(amount)
        if _is_weekend(end - timedelta(days=back)) == _is_weekend(end):
            same_kind.append(amount)
    if len(past) < _LEAST_PAST_DAYS:
        return None
    actual = float(hours[-length:].sum())
    expected = float(np.median(same_kind if len(same_kind) >= 2 else past))
    floor = max(expected, 0.01)
    distances = np.log((np.array(same_kind if len(same_kind) >= 4 else past) + 0.01) / (floor + 0.01))
    spread = max(_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(distances - np.median(distances)))))
    limit = max(_LEAST_RISE, _DEVIATIONS * spread, float(np.log(_OVER_THE_HIGHEST * max(max(past), floor) / floor)))
    excess = actual - expected
    percent = max(float(settings.min_percent), float(_LEAST_PERCENT))
    is_dear = excess >= float(settings.min_usd_per_day) and excess >= percent / 100 * expected
    if not is_dear or np.log(max(actual, 1e-9) / floor) < limit:
        return None
    dearest = float(hours[-length:].max())
    if excess - (dearest - expected / length) < _BESIDE_ONE_HOUR * excess:
        return None
    return _Rise(length, actual, expected)


def _is_weekend(moment: datetime) -> bool:
    return (moment - timedelta(hours=1)).weekday() >= 5


def _describe(name: str, hours: Floats, rise: _Rise, end: datetime) -> Break:
    newest = (end - timedelta(hours=1)).date()
    begin = end - timedelta(hours=_find_onset(hours, rise.hours))
    days = [float(hours[stop - 24 : stop].sum()) for stop in range(len(hours) - 24, 23, -24)][:_PAST_DAYS]
    usual = float(np.median(days))
    pace = usual * rise.actual / rise.expected if rise.expected > 0 else usual + rise.excess * 24 / rise.hours
    low, high = min(days), max(days)
    excess = pace - usual
    ratio = excess / usual if usual > 0 else 99.99
    return Break(
        node=name,
        direction="up",
        kind="cost",
        label="unknown",
        onset=begin.date(),
        last_day=newest,
        is_active=True,
        data_through=newest,
        score=2.0,
        actual_usd_per_day=_cents(pace),
        expected_usd_per_day=_cents(usual),
        expected_lower_usd_per_day=_cents(low),
        expected_upper_usd_per_day=_cents(high),
        excess_usd_per_day=_cents(excess),
        excess_usd_total=_cents(rise.excess),
        excess_percent=Decimal(f"{min(100 * ratio, 9999.0):.1f}"),
        evidence=(
            Evidence("cost", "usd_per_day", _cents(pace), _cents(usual), _cents(low), _cents(high)),
            Evidence(f"last {rise.hours} hours", "usd", _cents(rise.actual), _cents(rise.expected)),
        ),
        chart=_draw(hours, end),
        basis="estimated",
        history_days=max(28, len(days)),  # the short-history note is about the daily detector
    )


def _find_onset(hours: Floats, length: int) -> int:
    """Hours back from the end at which the rise begins: from the window on, as long as hours are half as dear again as
    the same hours of the past days."""
    back = length
    while back < 24:
        stop = len(hours) - back
        past = [hours[stop - 1 - 24 * k] for k in range(1, _PAST_DAYS + 1) if stop - 1 - 24 * k >= 0]
        if not past or hours[stop - 1] < 1.5 * float(np.median(past)):
            break
        back += 1
    while back > 1:  # a window may begin before the rise does
        stop = len(hours) - back
        past = [hours[stop - 24 * k] for k in range(1, _PAST_DAYS + 1) if stop - 24 * k >= 0]
        if past and hours[stop] >= 1.25 * float(np.median(past)):
            break
        back -= 1
    return back


def _draw(hours: Floats, end: datetime) -> ChartSeries:
    """Whole days before today, and today so far."""
    today = end.hour or 24
    stops = list(range(len(hours) - today, 0, -24))[::-1]
    actual = np.array([*(hours[max(0, stop - 24) : stop].sum() for stop in stops), hours[-today:].sum()])
    usual = np.full(len(actual), float(np.median(actual[:-1])) if len(actual) > 1 else np.nan)
    newest = (end - timedelta(hours=1)).date()
    return ChartSeries(
        start=newest - timedelta(days=len(actual) - 1),
        metric="cost per day",
        unit="usd_per_day",
        actual=actual,
        expected=usual,
        lower=np.full(len(actual), float(actual[:-1].min()) if len(actual) > 1 else np.nan),
        upper=np.full(len(actual), float(actual[:-1].max()) if len(actual) > 1 else np.nan),
    )


def _cents(figure: float) -> Decimal:
    return Decimal(repr(float(figure))).quantize(_CENT)
