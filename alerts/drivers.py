"""Why a feature's cost changed between two periods, exactly: the logarithmic mean Divisia index, LMDI-I.

The cost of a period is written as a sum over models and kinds of tokens,

    cost = idle + Σ tasks × first calls per task × the model's share of first calls × (1 + its retries per first call)
                    × input (or output) tokens per call × the kind's share of the input × dollars per token

and the change of each term is divided among its factors by L(v1, v0) · ln(x1 / x0), where
L(a, b) = (a - b) / ln(a / b) (Ang, "The LMDI approach to decomposition analysis", Energy Policy 33, 2005). The
parts add up to the change with no residual. Where a term begins or ends, the limit for x → 0 holds: all of
it belongs to the factors that were zero; a factor that cannot be said in a period (tokens per call of a
model nobody called) counts as unchanged (Ang and Liu, Energy Policy 35, 2007). Where the models are retried alike, but
for chance, retries are those of all calls, and a model's share is one of all: else the chance would be a change of mix.
The same where a model is only ever asked for another's failures, and so has no first calls.

Periods may differ in length: everything is per day.

What a success costs is the same sum divided by the successes. Per task it is the sum without its first factor; and

    cost per success = cost per task × 1 / (share of tasks whose outcome is known) × 1 / (success rate of these)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

# In the order in which a person reads them; each belongs to one label of a break.
DRIVER_LABELS: Mapping[str, str] = {
    "tasks": "growth",
    "calls_per_task": "efficiency",
    "retries": "efficiency",
    "input_tokens_per_call": "efficiency",
    "output_tokens_per_call": "efficiency",
    "cache_rate": "efficiency",
    "model_mix": "mix",
    "price": "price",
    "idle": "idle",
}
DRIVERS = tuple(DRIVER_LABELS)
_LABELS = {**DRIVER_LABELS, "success_rate": "efficiency"}  # known_outcomes is a matter of reporting: no label
# Of the cost per success: it has no number of tasks in it, and what became of them instead.
SUCCESS_DRIVERS = ("success_rate", "known_outcomes", *(driver for driver in DRIVERS if driver != "tasks"))
INPUT_KINDS = ("input", "cache_read", "cache_write")
KINDS = (*INPUT_KINDS, "output")
PLACES = Decimal(1).scaleb(-12)
_DIGITS = Context(prec=60)
_ZERO, _ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True)
class ModelTraffic:
    """What a feature called of one model in a period, and what the bill was for it.

    `tokens`: kind → number; reasoning counts as output. `weights`: kind → price of a token of the kind relative
    to the others (its dated list price will do): it divides `cost_usd` among the kinds.
    """

    provider: str | None
    model: str | None
    calls: int
    retries: int
    tokens: Mapping[str, int]
    weights: Mapping[str, Decimal]
    cost_usd: Decimal


@dataclass(frozen=True)
class Period:
    """A feature's traffic and cost over `days` days. `idle_usd`: dollars that no call caused: idle GPU
    hours, and charges without traffic. `training_usd`: of these, training, fine-tuning and evaluation, which are no
    part of what a success costs. `tasks`: None where telemetry names none; then a first call is one."""

    days: int
    tasks: int | None
    models: Sequence[ModelTraffic]
    idle_usd: Decimal = _ZERO
    training_usd: Decimal = _ZERO

    @property
    def cost_usd(self) -> Decimal:
        return sum((model.cost_usd for model in self.models), self.idle_usd)

    @property
    def cost_usd_per_day(self) -> Decimal:
        return (self.cost_usd / self.days).quantize(PLACES, ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Outcomes:
    """What became of a period's tasks, from 0 to 1: the share of them whose outcome is known, and of these the share
    that succeeded. Both are above 0: where nothing succeeds there is no cost per success."""

    known_share: Decimal
    success_rate: Decimal


@dataclass(frozen=True)
class Drivers:
    """`parts`: driver → US dollars a day of the change, every driver of DRIVERS; or dollars per successful task, every
    driver of SUCCESS_DRIVERS. They add up to `change_usd`."""

    before_usd: Decimal
    after_usd: Decimal
    parts: Mapping[str, Decimal] = field(repr=False)

    @property
    def change_usd(self) -> Decimal:
        return self.after_usd - self.before_usd

    def by_label(self) -> dict[str, Decimal]:
        """The parts per label of a break: growth, efficiency, mix, price, idle."""
        return add_up_by_label(self.parts.items())

    def ranked(self) -> list[tuple[str, Decimal]]:
        """(driver, dollars a day), those that explain most of the change first, those against it last."""
        sign = 1 if self.change_usd >= 0 else -1
        return sorted(self.parts.items(), key=lambda part: -part[1] * sign)

    @property
    def label(self) -> str:
        """The label that explains most of the change."""
        return find_label(self.parts.items())


def add_up_by_label(parts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """(driver, dollars) per label of a break; what is no driver has none."""
    labels = dict.fromkeys(DRIVER_LABELS.values(), _ZERO)
    for driver, usd in parts:
        if driver in _LABELS:
            labels[_LABELS[driver]] += usd
    return labels


def find_label(parts: Iterable[tuple[str, Decimal]]) -> str:
    """The label that explains most of what the parts add up to."""
    told = list(parts)
    labels = add_up_by_label(told)
    sign = 1 if sum((usd for _, usd in told), _ZERO) >= 0 else -1
    return max(labels, key=lambda name: labels[name] * sign)


def explain_change(before: Period, after: Period, *, outcomes: tuple[Outcomes, Outcomes] | None = None) -> Drivers:
    """The change of cost per day from `before` to `after`, by driver, exact to the twelfth decimal.

    `outcomes` of both periods: the change of the cost per successful task instead; then both name their tasks.
    Raises ValueError for a period without days.
    """
    if before.days < 1 or after.days < 1:
        raise ValueError(f"a period has at least one day, not {min(before.days, after.days)}")
    parts = dict.fromkeys(DRIVERS if outcomes is None else SUCCESS_DRIVERS, _ZERO)
    told = outcomes or (None, None)
    with localcontext(_DIGITS):
        names_tasks = before.tasks is not None and after.tasks is not None
        sides = _Side(before, names_tasks, told[0]), _Side(after, names_tasks, told[1])
        differ = any(side.retries_differ() for side in sides)
        _divide(sides[0].idle, sides[1].idle, _idle_factors(sides), parts, rest="idle")
        for key in sorted({*sides[0].models, *sides[1].models}, key=repr):
            by_first = differ and all(side.asks_first(key) for side in sides if key in side.models)
            for term in KINDS if _has_tokens(key, sides) else ("call",):
                factors = _factors(key, term, sides, by_first=by_first)
                _divide(sides[0].value(key, term), sides[1].value(key, term), factors, parts)
        totals = before.cost_usd_per_day, after.cost_usd_per_day
        if outcomes is not None:
            totals = _per_success(before, sides[0]), _per_success(after, sides[1])
    return Drivers(*totals, _rounded(parts, *totals))


_Key = tuple[str | None, str | None]
_Factors = dict[str, Decimal | None]


class _Side:
    """One period, per day or per success. Factors that cannot be said are None."""

    def __init__(self, period: Period, names_tasks: bool, outcomes: Outcomes | None) -> None:
        days = Decimal(period.days)
        self.models: dict[_Key, ModelTraffic] = {}
        for traffic in period.models:
            key = (traffic.provider, traffic.model)
            if key in self.models:
                raise ValueError(f"{traffic.provider} {traffic.model} stands twice in a period")
            self.models[key] = traffic
        self.days = days
        self.calls = Decimal(sum(traffic.calls for traffic in period.models))
        self.first_calls = self.calls - sum(traffic.retries for traffic in period.models)
        self.tasks = Decimal(period.tasks or 0) if names_tasks else self.first_calls
        # A day on which nobody asks for anything new still retries: then first calls are at least one.
        if self.calls > 0 and self.first_calls <= 0:
            self.first_calls = _ONE
        if self.calls > 0 and self.tasks <= 0:
            self.tasks = self.first_calls
        self.outcomes = outcomes
        # What dollars are divided by: days, or successes.
        self.per = days if outcomes is None else self.tasks * outcomes.known_share * outcomes.success_rate
        self.idle = (period.idle_usd if outcomes is None else period.idle_usd - period.training_usd) / self.per

    def work(self) -> _Factors:
        """The factors before those of the calls."""
        if self.outcomes is None:
            return {"tasks": self.tasks / self.days}
        return {"success_rate": 1 / self.outcomes.success_rate, "known_outcomes": 1 / self.outcomes.known_share}

    def weight(self, key: _Key) -> Decimal:
        """Σ tokens × weight of a model."""
        traffic = self.models[key]
        return sum((traffic.weights[kind] * traffic.tokens.get(kind, 0) for kind in KINDS), _ZERO)

    def value(self, key: _Key, term: str) -> Decimal:
        """Dollars of one model and one kind of token."""
        traffic = self.models.get(key)
        if traffic is None:
            return _ZERO
        if term == "call":
            return traffic.cost_usd / self.per
        weight = self.weight(key)
        if not weight:
            # Dollars without a token to carry them: they stand with the uncached input, at its price.
            return traffic.cost_usd / self.per if term == "input" else _ZERO
        return traffic.cost_usd * traffic.weights[term] * traffic.tokens.get(term, 0) / weight / self.per

    def retries_differ(self) -> bool:
        """Whether models are retried more or less than all are, by more than three deviations of a count."""
        usual = (self.calls - self.first_calls) / self.first_calls if self.first_calls else _ZERO
        pairs = [(Decimal(m.retries), (m.calls - m.retries) * usual) for m in self.models.values()]
        return any((found - expected) ** 2 > 9 * expected for found, expected in pairs)

    def asks_first(self, key: _Key) -> bool:
        """Whether a model has first calls."""
        return self.models[key].calls > self.models[key].retries

    def factors(self, key: _Key, term: str, *, by_first: bool) -> _Factors:
        """The factors whose product `value` is, by driver. `by_first`: the model's share is one of first calls."""
        found: _Factors = {**self.work(), "calls_per_task": _ratio(self.first_calls, self.tasks)}
        traffic = self.models.get(key)
        calls = Decimal(traffic.calls) if traffic else _ZERO
        if by_first:
            first = calls - traffic.retries if traffic else _ZERO
            found |= {"model_mix": _ratio(first, self.first_calls), "retries": _ratio(calls, first)}
        else:
            found |= {"model_mix": _ratio(calls, self.calls), "retries": _ratio(self.calls, self.first_calls)}
        if traffic is None or not calls:
            return found
        if term == "call":
            found["price"] = traffic.cost_usd / calls
            return found
        output = Decimal(traffic.tokens.get("output", 0))
        whole_input = Decimal(sum(traffic.tokens.get(kind, 0) for kind in INPUT_KINDS))
        tokens = Decimal(traffic.tokens.get(term, 0))
        if term == "output":
            found["output_tokens_per_call"] = output / calls
        else:
            found["input_tokens_per_call"] = whole_input / calls
            found["cache_rate"] = _ratio(tokens, whole_input)
        found["price"] = _ratio(self.value(key, term) * self.per, tokens)
        return found


def _has_tokens(key: _Key, sides: tuple[_Side, _Side]) -> bool:
    """Whether tokens can carry the model's cost in every period in which it was called."""
    there = [side for side in sides if key in side.models]
    return all(side.weight(key) > 0 for side in there)


def _factors(
    key: _Key, term: str, sides: tuple[_Side, _Side], *, by_first: bool
) -> Iterator[tuple[str, Decimal | None, Decimal | None]]:
    before, after = (side.factors(key, term, by_first=by_first) for side in sides)
    for driver in before | after:
        yield driver, before.get(driver), after.get(driver)


def _idle_factors(sides: tuple[_Side, _Side]) -> Iterator[tuple[str, Decimal | None, Decimal | None]]:
    """Of what no call caused: idle dollars do not grow with the work, but a success carries more of them when fewer
    tasks succeed."""
    if sides[0].outcomes is not None:
        before, after = (side.work() for side in sides)
        for driver in before:
            yield driver, before[driver], after[driver]


def _per_success(period: Period, side: _Side) -> Decimal:
    return ((period.cost_usd - period.training_usd) / side.per).quantize(PLACES, ROUND_HALF_EVEN)


def _divide(
    before: Decimal,
    after: Decimal,
    factors: Iterator[tuple[str, Decimal | None, Decimal | None]],
    parts: dict[str, Decimal],
    *,
    rest: str = "price",
) -> None:
    """Add the parts of one term's change to `parts`; `rest` takes what no factor explains."""
    if before == after == 0:
        return
    said = [(driver, x0, x1) for driver, x0, x1 in factors if x0 is not None and x1 is not None]
    if before > 0 and after > 0:
        if any(x0 <= 0 or x1 <= 0 for _, x0, x1 in said):
            parts[rest] += after - before
            return
        ratio = (after / before).ln()  # 0 also where they differ in the last digit only
        mean = (after - before) / ratio if ratio else before
        given = _ZERO
        for driver, x0, x1 in said:
            part = mean * (x1 / x0).ln()
            parts[driver] += part
            given += part
        # A factor that only one period can say is unchanged; the others then multiply to less than the term.
        parts[rest] += after - before - given
        return
    if before < 0 or after < 0:
        parts[rest] += after - before  # a refund has no logarithm: it is a matter of what was paid
        return
    began = [driver for driver, x0, x1 in said if (x0 == 0) != (x1 == 0)]
    for driver in began or [rest]:
        parts[driver] += (after - before) / (len(began) or 1)


def _ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    return part / whole if whole else None


def _rounded(parts: Mapping[str, Decimal], before: Decimal, after: Decimal) -> dict[str, Decimal]:
    """To twelve decimals; the largest part takes what rounding leaves, so that the sum is the change."""
    rounded = {driver: usd.quantize(PLACES, ROUND_HALF_EVEN) for driver, usd in parts.items()}
    largest = max(rounded, key=lambda driver: abs(rounded[driver]))
    rounded[largest] += after - before - sum(rounded.values())
    return rounded
