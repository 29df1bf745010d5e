"""What happened, in a sentence or two: by kind, label and evidence of the break."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from alerts.figures import fit, format_count, format_day, format_percent, format_usd
from alerts.message.context import RenderContext
from alerts.model import ALL_FEATURES, UNALLOCATED, Break, Driver, Evidence

_LEAST_CAUSE = 0.1  # log factor on the cost: about a tenth of it
NAME_LIMIT = 60  # a feature's name in a title
MEMBER_LIMIT = 100  # a key's or resource's name in a line
# In words, the most telling first.
DIMENSIONS: Mapping[str, str] = {
    "feature": "feature",
    "api_key_id": "API key",
    "model": "model",
    "gpu_type": "GPU type",
    "resource_id": "resource",
    "sku_meter": "SKU",
    "token_type": "token type",
    "service_name": "service",
    "sub_account_id": "account",
    "region_id": "region",
    "provider": "provider",
}
# The dimensions a features.yml rule can match on, the most telling first.
_RULE_DIMENSIONS = ("api_key_id", "sub_account_id", "resource_id", "service_name", "model", "provider")


def summarise(found: Break, context: RenderContext) -> str:
    """What happened, in a sentence or two, by kind and label."""
    name = name_node(found.node)
    actual, expected = format_usd(found.actual_usd_per_day), format_usd(found.expected_usd_per_day)
    onset = format_day(found.onset, today=context.as_of)
    is_over = not found.is_active
    verb, when = ("cost", lower_first(describe_span(found, context))) if is_over else ("has cost", f"since {onset}")
    base = f"{name} {verb} {actual} a day {when}, where {expected} was expected."

    newcomer = find_newcomer(found)
    if found.node == UNALLOCATED and newcomer is not None:
        dimension = DIMENSIONS.get(newcomer.dimension, newcomer.dimension)
        spends = "spent" if is_over else "spends"
        article = "An" if dimension[:1] in "aA" else "A"
        return (
            f"{article} {dimension} that no rule in features.yml knows, {fit(newcomer.member, MEMBER_LIMIT)}, "
            f"{spends} {format_usd(newcomer.excess_usd_per_day)} a day {when}. No feature carries that cost yet."
        )
    if found.kind == "zero_success":
        unit = context.units.get(found.node, "task")
        return f"{name} {verb} {actual} a day {when} without one successful {unit}."
    if found.kind == "unit_cost":
        return _unit_cost_summary(found, context, when)
    if found.direction == "down":
        fewer = _work_sentence(found, "less")
        return f"{base} That is {format_usd(abs(found.excess_usd_per_day))} a day less.{fewer}"
    if found.label == "idle":
        over = " over the weekend" if _is_weekend(found) else ""
        return (
            f"{name} kept running{over} with little or no work to do: {actual} a day {when}, "
            f"where {expected} was expected."
        )
    return f"{base}{_label_sentence(found, context)}"


def _label_sentence(found: Break, context: RenderContext) -> str:
    if found.label == "growth":
        return _work_sentence(found, "more") or " It has more work to do; the cost of each piece is unchanged."
    if found.label == "efficiency":
        if cause := _waste_sentence(found, context):
            return cause
        unit_cost = find_unit_cost(found)
        if unit_cost is not None:
            return (
                f" The work has not grown; each {name_unit(found, context)} costs {format_usd(unit_cost.actual)} "
                f"instead of {format_usd(unit_cost.expected)}."
            )
        return " The work has not grown; each piece of it costs more."
    if found.label == "mix":
        return " The work has moved to dearer models or services."
    if found.label == "price":
        return " Usage has not changed, its price has."
    return ""


def _waste_sentence(found: Break, context: RenderContext) -> str:
    """What the evidence says is paid beside the work."""
    cause = find_cause(found, context)
    return cause[1] if cause else ""


def find_cause(found: Break, context: RenderContext) -> tuple[str, str] | None:
    """(name, sentence) of what is paid beside the work: the part that explains most, None where none explains much."""
    calls, tasks = find_evidence(found, "calls"), find_evidence(found, "tasks")
    good, retries, failed = (find_evidence(found, name) for name in ("successful_tasks", "retries", "failed_calls"))
    told = find_evidence(found, "tasks_with_outcome") or tasks  # no outcome is unknown, not a failure
    unit = context.units.get(found.node) or "task"
    causes: list[tuple[float, str, str]] = []
    if retries is not None:
        text = f"Retries went from {format_count(retries.expected)} to {format_count(retries.actual)} a day"
        causes.append((_waste(retries, calls), "retries", f" {text}, so the same work is paid for more than once."))
    if failed is not None:
        text = f"Failed calls went from {format_count(failed.expected)} to {format_count(failed.actual)} a day"
        causes.append((_waste(failed, calls), "failed_calls", f" {text}; they are paid for and bring nothing."))
    if calls is not None and tasks is not None and tasks.actual > 0 and tasks.expected > 0:
        again, usually = (retries.actual, retries.expected) if retries is not None else (Decimal(0), Decimal(0))
        after, before = (calls.actual - again) / tasks.actual, (calls.expected - usually) / tasks.expected
        text = f"Each {unit} takes {format_count(after)} calls instead of {format_count(before)}."
        causes.append((_log_ratio(after, before), "calls_per_task", f" {text}"))
    if good is not None and told is not None and told.actual > 0 and told.expected > 0:
        after, before = good.actual / told.actual * 100, good.expected / told.expected * 100
        now, usual = (format_percent(Decimal(round(share))) for share in (after, before))
        causes.append((_log_ratio(before, after), "success_rate", f" {now} of {unit}s succeed, where {usual} did."))
    gain, name, sentence = max(causes, default=(0.0, "", ""))
    return (name, sentence) if gain >= _LEAST_CAUSE else None


def _waste(part: Evidence, calls: Evidence | None) -> float:
    """Log factor on the cost of a call's worth of work that the rise of a wasted share of the calls explains."""
    if calls is None or calls.expected <= 0 or calls.actual <= 0:
        return _log_ratio(part.actual, part.expected)
    before = min(part.expected / calls.expected, Decimal("0.95"))
    after = min(part.actual / calls.actual, Decimal("0.95"))
    return _log_ratio(1 - before, 1 - after)


def _log_ratio(upper: Decimal, lower: Decimal) -> float:
    return math.log(upper / lower) if upper > 0 and lower > 0 else 0.0


def _work_sentence(found: Break, word: str) -> str:
    work = find_evidence(found, "tasks", "calls", "usage")
    if work is None or work.expected <= 0:
        return ""
    change = abs(work.actual / work.expected - 1) * 100
    unit = work.unit if work.unit in ("tasks", "calls") else work.metric
    return (
        f" It handles {format_percent(Decimal(round(change)))} {word} {unit} ({format_count(work.actual)} a day, "
        f"{format_count(work.expected)} expected) at about the usual cost each."
    )


def _unit_cost_summary(found: Break, context: RenderContext, when: str) -> str:
    name, unit, row = name_node(found.node), name_unit(found, context), find_unit_cost(found)
    if row is None:
        change = format_percent(abs(found.excess_percent))
        more = "more" if found.excess_percent > 0 else "less"
        return f"Each {unit} of {name} {'has cost' if found.is_active else 'cost'} {change} {more} {when}."
    costs = "has cost" if found.is_active else "cost"
    first = (
        f"Each {unit} of {name} {costs} {format_usd(row.actual)} {when}, where {format_usd(row.expected)} was expected."
    )
    cause = _waste_sentence(found, context)
    lower, upper = found.expected_lower_usd_per_day, found.expected_upper_usd_per_day
    is_flat = lower <= found.actual_usd_per_day <= upper
    flat = " Total spend is in its usual range, so the bill alone does not show it." if is_flat else ""
    return f"{first}{cause}{flat}"


def as_sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def name_node(node: str) -> str:
    return {UNALLOCATED: "Unallocated spend", ALL_FEATURES: "All features"}.get(node) or fit(node, NAME_LIMIT)


def _unit_word(found: Break) -> str:
    unit_cost = find_unit_cost(found)
    return "call" if unit_cost and unit_cost.unit.endswith("call") else "task"


def find_evidence(found: Break, *metrics: str) -> Evidence | None:
    return next((row for row in found.evidence if row.metric in metrics), None)


def find_unit_cost(found: Break) -> Evidence | None:
    return next((row for row in found.evidence if row.unit.startswith("usd_per_") and row.unit != "usd_per_day"), None)


def name_unit(found: Break, context: RenderContext) -> str:
    unit = context.units.get(found.node) or _unit_word(found)
    unit_cost = find_unit_cost(found)
    if unit_cost is not None and "success" in f"{unit_cost.metric} {unit_cost.unit}":
        return f"successful {unit}"
    return unit


def describe_span(found: Break, context: RenderContext) -> str:
    """`From Sat 14 to Sun 15 Nov`, `On Sat 14 Nov`: the days over the limit."""
    first = format_day(found.onset, today=context.as_of)
    if found.onset == found.last_day:
        return f"On {first}"
    return f"From {first} to {format_day(found.last_day, today=context.as_of)}"


def _is_weekend(found: Break) -> bool:
    days = (found.last_day - found.onset).days + 1
    return days <= 2 and all((found.onset + timedelta(days=n)).weekday() >= 5 for n in range(days))


def find_newcomer(found: Break) -> Driver | None:
    """The new member that carries most of the excess, in the dimension a rule can best match on."""
    new = [
        driver for driver in found.drivers if driver.is_new and driver.members == 1 and driver.excess_usd_per_day > 0
    ]
    order = {dimension: n for n, dimension in enumerate(_RULE_DIMENSIONS)}
    return min(
        new, key=lambda driver: (order.get(driver.dimension, len(order)), -driver.excess_usd_per_day), default=None
    )
