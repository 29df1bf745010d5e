"""What a change would save: arithmetic on a team's own traffic, with every assumption in the open.

Dollars are Decimals. An uncertain assumption is a `Range`; so is every answer: its low end takes each assumption
at its worst for the saving, its high end at its best. A month has 365 / 12 days, which is 730 hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

HOURS_PER_MONTH = Decimal(730)
DAYS_PER_MONTH = Decimal(365) / 12
_ZERO, _ONE, _MILLION = Decimal(0), Decimal(1), Decimal(1_000_000)


@dataclass(frozen=True)
class Range:
    """low ≤ expected ≤ high."""

    low: Decimal
    expected: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if not self.low <= self.expected <= self.high:
            raise ValueError(f"a range goes up: {self.low}, {self.expected}, {self.high}")

    @classmethod
    def exactly(cls, value: Decimal | int) -> Range:
        return cls(Decimal(value), Decimal(value), Decimal(value))

    @classmethod
    def between(cls, low: Decimal, high: Decimal) -> Range:
        """Expected in the middle."""
        return cls(low, (low + high) / 2, high)

    def times(self, factor: Decimal) -> Range:
        """Every end times a factor that is not negative."""
        return Range(self.low * factor, self.expected * factor, self.high * factor)


@dataclass(frozen=True)
class Answer:
    """What a change would do. Dollars per month; a negative saving is a loss.

    `usual_saving_usd`: in a month of usual traffic; `saving_usd`: whatever month it is. `basis` says what a usual
    month is, `assumptions` are those of the change: all of them, in words.
    """

    kind: str
    subject: str
    cost_usd: Decimal
    saving_usd: Range
    usual_saving_usd: Range
    basis: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def new_cost_usd(self) -> Range:
        """What a month of usual traffic would cost."""
        saved = self.usual_saving_usd
        return Range(self.cost_usd - saved.high, self.cost_usd - saved.expected, self.cost_usd - saved.low)


def saving_range(saving: Callable[..., Decimal], traffic: Range, **assumptions: Range) -> Range:
    """`saving(**values)` of one month of expected traffic, over the corners of its assumptions, times `traffic` (1 is
    the expected amount): an end of the traffic makes a saving larger or smaller, never of the other sign."""
    corners = [dict[str, Decimal]()]
    for name, given in assumptions.items():
        corners = [{**corner, name: value} for corner in corners for value in {given.low, given.high}]
    ends = [saving(**corner) for corner in corners]
    expected = saving(**{name: given.expected for name, given in assumptions.items()}) * traffic.expected
    found = [end * factor for end in ends for factor in (traffic.low, traffic.high)]
    return Range(min(*found, expected), expected, max(*found, expected))


# -- route -------------------------------------------------------------------------------------------------------------


def router_cost_usd(
    cost_usd: Decimal, cheap_cost_usd: Decimal, *, share: Decimal, classifier_usd: Decimal = _ZERO
) -> Decimal:
    """A classifier sees every call and sends `share` of them to the cheaper model.

    `cheap_cost_usd`: what all of the traffic would cost there (its tokens × its price).
    """
    return cost_usd * (1 - share) + cheap_cost_usd * share + classifier_usd


def cascade_cost_usd(cost_usd: Decimal, cheap_cost_usd: Decimal, *, escalated: Decimal) -> Decimal:
    """The cheaper model drafts every call; `escalated` of them are asked again of the dearer one: both are paid."""
    return cheap_cost_usd + cost_usd * escalated


def cost_per_attempt(usd_per_million: Decimal, other_usd_per_million: Decimal, *, token_ratio: Decimal) -> Decimal:
    """What an attempt costs relative to the other model's, when it takes `token_ratio` times the tokens.

    It is also the relative success below which the cheaper model loses: cost per success is cost per attempt ÷ success.
    """
    return usd_per_million * token_ratio / other_usd_per_million


# -- cache, batch, trim ------------------------------------------------------------------------------------------------


def cached_cost_usd(
    tokens: Mapping[str, Decimal | int],
    usd_per_million: Mapping[str, Decimal],
    *,
    cacheable_share: Decimal,
    hit_rate: Decimal,
) -> Decimal:
    """Cost of `tokens` (kind → number) when `cacheable_share` of all input is a repeated prefix, read from the
    cache in `hit_rate` of the calls and written to it in the others."""
    whole = sum((Decimal(tokens[kind]) for kind in ("input", "cache_read", "cache_write")), _ZERO)
    prefix = whole * cacheable_share
    dollars = (
        (whole - prefix) * usd_per_million["input"]
        + prefix * hit_rate * usd_per_million["cache_read"]
        + prefix * (1 - hit_rate) * usd_per_million["cache_write"]
        + tokens["output"] * usd_per_million["output"]
    )
    return dollars / _MILLION


def batched_cost_usd(cost_usd: Decimal, batch_cost_usd: Decimal, *, share: Decimal) -> Decimal:
    """`share` of the calls can wait; `batch_cost_usd` is what all of them would cost as a batch."""
    return cost_usd * (1 - share) + batch_cost_usd * share


# -- self-hosted -------------------------------------------------------------------------------------------------------


def cost_per_million_tokens_usd(usd_per_hour: Decimal, tokens_per_second: Decimal) -> Decimal:
    """Cost per hour ÷ (tokens per second × 3600 ÷ 1,000,000)."""
    return usd_per_hour / (tokens_per_second * 3600 / _MILLION)


def pod_usd_per_month(usd_per_hour: Decimal) -> Decimal:
    """A machine that is never switched off."""
    return usd_per_hour * HOURS_PER_MONTH


def break_even_tokens(
    usd_per_hour: Decimal, usd_per_million: Decimal, *, ops_usd_per_month: Decimal = _ZERO
) -> Decimal:
    """Tokens a month from which an own machine is cheaper than an API at `usd_per_million`."""
    return (pod_usd_per_month(usd_per_hour) + ops_usd_per_month) / usd_per_million * _MILLION


def break_even_usd_per_hour(
    tokens_per_month: Decimal, usd_per_million: Decimal, *, ops_usd_per_month: Decimal = _ZERO
) -> Decimal:
    """The machine's price per hour at which `tokens_per_month` break even against the API."""
    return (tokens_per_month * usd_per_million / _MILLION - ops_usd_per_month) / HOURS_PER_MONTH


def pods_needed(tokens_per_month: Decimal, tokens_per_second: Decimal, *, utilisation: Decimal) -> int:
    """Machines for the traffic when each serves `tokens_per_second` for `utilisation` of the month; at least one."""
    capacity = tokens_per_second * utilisation * HOURS_PER_MONTH * 3600
    return max(1, ceil(tokens_per_month / capacity))


def quantized_cost_usd(cost_usd: Decimal, *, gain: Decimal, retries: Decimal, new_retries: Decimal) -> Decimal:
    """`gain` times the tokens per second, against retries per first call that go from `retries` to `new_retries`.

    Raises ValueError where the gain is not positive.
    """
    if gain <= 0:
        raise ValueError(f"a throughput gain is positive, not {gain}")
    return cost_usd / gain * (1 + new_retries) / (1 + retries)


def break_even_retries(*, gain: Decimal, retries: Decimal) -> Decimal:
    """Retries per first call at which a throughput gain is eaten up."""
    return gain * (1 + retries) - 1


# -- what came of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DayOfWork:
    """A feature's settled day: its cost and its units of work (tasks, else calls)."""

    cost_usd: Decimal
    units: int


def realised_saving(before: list[DayOfWork], after: list[DayOfWork]) -> Range | None:
    """Dollars a month that the unit cost since an action saves on the work done since, with a 95% interval.

    saving = (unit cost before - unit cost after) × units a month. Growth is so not taken for a loss, nor a quiet week
    for a saving. The interval is that of the difference of two ratios of sums (Cochran, Sampling Techniques,
    6.5), with Student's t of the smaller period. None with fewer than 7 days with work on either side.
    """
    known = [[day for day in days if day.units > 0] for days in (before, after)]
    if min(len(days) for days in known) < 7:
        return None
    units_per_month = Decimal(sum(day.units for day in known[1])) / len(after) * DAYS_PER_MONTH
    ratios, variance = [], _ZERO
    for days in known:
        count = Decimal(len(days))
        units = Decimal(sum(day.units for day in days))
        ratio = sum((day.cost_usd for day in days), _ZERO) / units
        squares = sum(((day.cost_usd - ratio * day.units) ** 2 for day in days), _ZERO)
        variance += squares * count / (count - 1) / units**2
        ratios.append(ratio)
    width = _student_95(min(len(days) for days in known) - 1) * variance.sqrt()
    saved = ratios[0] - ratios[1]
    return Range(saved - width, saved, saved + width).times(units_per_month)


# Two-sided 95% quantiles of Student's t by degrees of freedom; beyond them the normal's.
_STUDENT = {6: "2.447", 7: "2.365", 8: "2.306", 9: "2.262", 10: "2.228", 12: "2.179", 13: "2.160", 20: "2.086"}


def _student_95(freedom: int) -> Decimal:
    known = [degrees for degrees in _STUDENT if degrees <= freedom]
    return Decimal(_STUDENT[max(known)]) if freedom < 30 else Decimal("1.96")
