"""The parts of a card below its first sentence: figures, drivers, what changed, notes, the cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from alerts.figures import (
    fit,
    format_day,
    format_days,
    format_likely,
    format_percent,
    format_short_day,
    format_signed_usd,
    format_usd,
    format_usd_range,
)
from alerts.message.context import BudgetView, RenderContext
from alerts.message.sentences import (
    DIMENSIONS,
    MEMBER_LIMIT,
    describe_span,
    find_cause,
    find_newcomer,
    find_unit_cost,
    name_unit,
)
from alerts.model import LIVE, UNALLOCATED, UNSEEN, Break, Driver, Fact, Incident, Part

_SHORT_HISTORY_DAYS = 28
_MAIN_STORY = Decimal("0.6")  # of the largest driver
_REAL_PART = Decimal("0.25")  # of the excess: less than that is no explanation
_MOST_NAMES = 2  # of one story: more of them say the same thing again
_SAME_STORY = Decimal("0.95")  # two members that carry so nearly the same are one story in two dimensions


def list_facts(incident: Incident, found: Break, context: RenderContext) -> list[Fact]:
    is_unit = found.kind in ("unit_cost", "zero_success")
    spend, usual = format_usd(found.actual_usd_per_day), _usual_spend(found)
    facts: list[Fact] = []
    if not is_unit:
        facts.append(Fact("Cost a day", f"{spend} (expected {usual})"))
    if (unit_cost := find_unit_cost(found)) is not None and (is_unit or found.label == "efficiency"):
        expected = format_usd(unit_cost.expected)
        if unit_cost.lower is not None and unit_cost.upper is not None:
            expected = format_usd_range(unit_cost.lower, unit_cost.upper)
        unit = name_unit(found, context)
        facts.append(Fact(f"Cost per {unit}", f"{format_usd(unit_cost.actual)} (expected {expected})"))
    if is_unit:
        facts.append(Fact("Spend", f"{spend} a day (usual {usual})"))
    if found.kind == "unit_cost" and found.excess_usd_per_day > 0:
        # Cost less what the same work costs at the expected unit cost: true whatever the spend does.
        per_day, so_far = format_usd(found.excess_usd_per_day), format_usd(found.excess_usd_total)
        same = "successes" if "success" in name_unit(found, context) else "work"
        facts.append(Fact(f"For the same {same}", f"about {per_day} a day more than expected, {so_far} in all"))
    facts.append(_since(found, context))
    if found.kind == "zero_success":
        facts.append(Fact("Paid without a success", format_usd(found.excess_usd_total)))
    if not is_unit:
        word = "Excess" if found.excess_usd_total >= 0 else "Saved"
        facts.append(Fact(f"{word} so far" if found.is_active else word, format_usd(abs(found.excess_usd_total))))
    if found.is_active and incident.status in LIVE and found.kind != "unit_cost":
        facts.append(Fact("By month end at this pace", _month_end(found)))
    if budget := context.budgets.get(found.node):
        facts.append(Fact("Budget", _budget(budget)))
    facts.append(Fact("Data", _data(found, context)))
    return facts


def _since(found: Break, context: RenderContext) -> Fact:
    lasted = (found.last_day - found.onset).days + 1
    if not found.is_active:
        return Fact("When", f"{describe_span(found, context)} ({format_days(lasted)})")
    day = format_day(found.onset, today=context.as_of)
    return Fact("Since", f"{day} ({'weekends only' if found.is_weekend_only else format_days(lasted)})")


# In words, when a part adds to the cost and when it takes from it.
_PART_NAMES: Mapping[str, tuple[str, str]] = {
    "success_rate": ("a smaller share of tasks succeeds", "a larger share of tasks succeeds"),
    "known_outcomes": ("fewer outcomes are known", "more outcomes are known"),
    "tasks": ("more tasks", "fewer tasks"),
    "calls_per_task": ("more calls per task", "fewer calls per task"),
    "retries": ("more retries", "fewer retries"),
    "input_tokens_per_call": ("longer prompts (input tokens per call)", "shorter prompts (input tokens per call)"),
    "output_tokens_per_call": ("longer answers (output tokens per call)", "shorter answers (output tokens per call)"),
    "cache_rate": ("less read from the cache", "more read from the cache"),
    "model_mix": ("a dearer mix of models", "a cheaper mix of models"),
    "price": ("a higher price per token", "a lower price per token"),
    "idle": ("more that no call caused (idle, training)", "less that no call caused (idle, training)"),
}
_REAL_SHARE, _CENT = Decimal("0.1"), Decimal("0.01")
_MOST_PARTS = 4


def list_parts(found: Break, context: RenderContext) -> list[str]:
    """The parts of the change against the four weeks before that are a tenth of it or more, the largest first: of the
    cost a day, or of a success. Where a unit cost has only those of a day, which the number of tasks does not move,
    those that carry a real part of its excess."""
    change = sum((part.change_usd for part in found.parts), Decimal(0))
    least, shown = abs(change) * _REAL_SHARE, found.parts
    if not found.has_parts_of_success:
        least = max(least, _CENT)
        if found.kind in ("unit_cost", "zero_success"):
            least, up = max(abs(found.excess_usd_per_day) * _REAL_PART, _CENT), found.excess_usd_per_day > 0
            shown = tuple(part for part in shown if part.driver != "tasks" and (part.change_usd > 0) == up)
    real = [part for part in shown if part.change_usd and abs(part.change_usd) >= least]
    per = _per_what(found, context)
    return [
        f"{format_signed_usd(part.change_usd)}{per}: {_name_part(part)}"
        for part in sorted(real, key=lambda part: -abs(part.change_usd))[:_MOST_PARTS]
    ]


def _per_what(found: Break, context: RenderContext) -> str:
    """What the parts are of: a day (of weekends that others lie between, a weekend day), or a success."""
    if found.has_parts_of_success:
        return f" per {name_unit(found, context)}"
    days = (found.onset + timedelta(days=n) for n in range((found.last_day - found.onset).days + 1))
    is_partly = found.is_weekend_only and any(day.weekday() < 5 for day in days)
    return " per weekend day" if is_partly else "/day"


def _name_part(part: Part) -> str:
    names = _PART_NAMES.get(part.driver)
    return names[part.change_usd < 0] if names else part.driver.replace("_", " ")


def _usual_spend(found: Break) -> str:
    return format_usd_range(found.expected_lower_usd_per_day, found.expected_upper_usd_per_day)


def _month_end(found: Break) -> str:
    """The excess so far, and the pace of its last week for what is left of the newest day's month; of a break that
    only weekends have, what a weekend day costs for the weekend days that are left."""
    newest = found.data_through
    next_month = date(newest.year + newest.month // 12, newest.month % 12 + 1, 1)
    left = [newest + timedelta(days=n) for n in range(1, (next_month - newest).days)]
    lasted = [found.onset + timedelta(days=n) for n in range((found.last_day - found.onset).days + 1)]
    pace = found.newest_excess_usd_per_day
    per_day = found.excess_usd_per_day if pace is None else pace
    if found.is_weekend_only:
        left = [day for day in left if day.weekday() >= 5]
        per_day = found.excess_usd_total / max(1, sum(day.weekday() >= 5 for day in lasted))
    projected = found.excess_usd_total + per_day * len(left)
    text = f"{format_usd(abs(projected))} {'more' if projected >= 0 else 'less'} than expected"
    if found.kind == "zero_success":
        text = f"{format_usd(projected)} without a success"
    return f"{text}, if the weekends that are left are like this" if found.is_weekend_only and left else text


def _budget(budget: BudgetView) -> str:
    text = f"{format_usd(budget.monthly_budget_usd)} a month"
    if budget.month_end_usd is not None and budget.monthly_budget_usd > 0:
        share = budget.month_end_usd / budget.monthly_budget_usd * 100
        text += f"; heading for {format_usd(budget.month_end_usd)} ({format_percent(Decimal(round(share)))})"
    if budget.breach_probability is not None:
        text += f", {format_likely(budget.breach_probability)} likely to go over"
        if budget.breach_day is not None and budget.breach_probability >= 0.5:
            text += f", about {format_short_day(budget.breach_day)}"
    return text


def _data(found: Break, context: RenderContext) -> str:
    through = f"through {format_day(found.data_through, today=context.as_of)}"
    if found.basis == "estimated":
        return f"{through}, estimated from usage"
    if context.settled_through is not None and found.data_through > context.settled_through:
        return f"{through}, provisional"
    return f"{through}, settled"


def list_drivers(found: Break) -> list[str]:
    """The drivers, the most telling first: those that carry most of the excess by how specific they are, then the
    rest by dollars; those that carry the same dollars in different dimensions on one line."""
    order = {dimension: n for n, dimension in enumerate(DIMENSIONS)}

    def place(driver: Driver) -> int:
        return order.get(driver.dimension, len(order))

    stories: list[list[Driver]] = []
    for driver in sorted(_telling_drivers(found), key=lambda driver: -abs(driver.excess_usd_per_day)):
        story = stories[-1] if stories else []
        is_same = story and abs(driver.excess_usd_per_day) >= abs(story[0].excess_usd_per_day) * _SAME_STORY
        if is_same and all(driver.dimension != other.dimension for other in story):
            story.append(driver)
        else:
            stories.append([driver])
    for story in stories:
        story.sort(key=place)
    largest = max((abs(driver.excess_usd_per_day) for driver in found.drivers), default=Decimal(0))

    def rank(story: list[Driver]) -> tuple[bool, int, Decimal]:
        excess = abs(story[0].excess_usd_per_day)
        is_main = excess >= largest * _MAIN_STORY
        return (not is_main, place(story[0]) if is_main else 0, -excess)

    lines: list[str] = []
    for story in sorted(stories, key=rank)[:5]:
        lead = max((driver.excess_usd_per_day for driver in story), key=abs)
        share = ""
        if found.kind == "cost" and found.excess_usd_per_day and lead * found.excess_usd_per_day > 0:
            percent = format_percent(Decimal(round(min(lead / found.excess_usd_per_day * 100, Decimal(100)))))
            share = f" ({percent}{'' if lines else ' of the excess'})"
        names = " · ".join(_member(driver) for driver in story[:_MOST_NAMES])
        lines.append(f"{format_signed_usd(lead)}/day{share}: {names}")
    return lines


def _telling_drivers(found: Break) -> tuple[Driver, ...]:
    """Of a unit cost only those that carry a real part of its excess: spend moves for other reasons too."""
    if found.kind != "unit_cost":
        return found.drivers
    excess = found.excess_usd_per_day
    return tuple(driver for driver in found.drivers if excess and driver.excess_usd_per_day / excess >= _REAL_PART)


def _member(driver: Driver) -> str:
    dimension = DIMENSIONS.get(driver.dimension, driver.dimension)
    if _comes_and_goes(driver):
        return f"{driver.members} {_plural(dimension)} in place of {driver.replaced} others"
    if driver.members > 1:
        instead = f" in place of {driver.replaced}" if driver.replaced else ""
        return f"{driver.members} new {_plural(dimension)}{instead}"
    return f"{dimension} {fit(driver.member, MEMBER_LIMIT)}"


def _comes_and_goes(driver: Driver) -> bool:
    """Machines that are replaced as they go: new by their names, and no news."""
    return driver.members > 1 and driver.replaced >= driver.members


def _plural(word: str) -> str:
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2] not in "aeiou" else f"{word}s"


def list_changes(found: Break, known: Sequence[str] = ()) -> list[str]:
    """What is new since the onset and carries a real part of the excess, the largest first; then what else is
    `known` of that day."""
    lines: list[str] = []
    excess = abs(found.excess_usd_per_day)
    for driver in sorted(found.drivers, key=lambda driver: -abs(driver.excess_usd_per_day)):
        is_part = abs(driver.excess_usd_per_day) >= excess * _REAL_PART
        if not driver.is_new or not is_part or _comes_and_goes(driver):
            continue
        dollars = f"{format_signed_usd(driver.excess_usd_per_day)}/day"
        if driver.members > 1:
            lines.append(f"{_member(driver)}, together {dollars}")
        else:
            seen = f", first seen {format_short_day(driver.first_seen)}" if driver.first_seen else ""
            lines.append(f"New {_member(driver)}{seen}: {dollars}")
    told = lines[:5]
    return [*told, *(line for line in known if line not in told)]


def list_footnotes(found: Break, context: RenderContext) -> list[str]:
    notes: list[str] = []
    if found.basis == "estimated":
        notes.append("Estimated from usage and list prices; the bill will confirm or withdraw it in this thread.")
    elif context.settled_through is not None and found.data_through > context.settled_through:
        notes.append("The provider may still restate these days; if the cause goes away, this thread will say so.")
    if estimated := round(found.estimated_percent):
        share = format_percent(Decimal(estimated))
        notes.append(f"{share} of what a success cost is estimated: these calls have no bill.")
    if found.history_days < _SHORT_HISTORY_DAYS:
        notes.append(
            f"Only {format_days(found.history_days)} of history, so only gross changes are reported; "
            f"the usual checks start at {_SHORT_HISTORY_DAYS} days."
        )
    return notes


def find_cure(found: Break, context: RenderContext, *, is_new_told: bool = False) -> str:
    """What the reader can do about it, in a sentence or two; empty where nobody can say. `is_new_told`: the card
    lists what was new on the onset day."""
    newcomer = find_newcomer(found)
    if found.node == UNALLOCATED and newcomer is not None and len(newcomer.member) <= MEMBER_LIMIT:
        return (
            f"Add a rule to features.yml that gives it to its feature: "
            f"when: {{{newcomer.dimension}: {_yaml_text(newcomer.member)}}}, feature: <name>"
        )
    if found.node == UNALLOCATED:
        return "Add rules to features.yml for what is listed below; `trendbreak query unallocated` shows what is left."
    if found.direction == "down":
        return "Nothing, if it was meant to fall. If not, see whether it still does its work."
    if found.label == "idle":
        return f"Scale it down while nobody uses it: each such day costs {format_usd(found.excess_usd_per_day)}."
    if found.kind == "zero_success":
        return "Stop or roll back what fails: it is paid for and brings nothing."
    advice = _ADVICE.get(_find_lever(found, context), "")
    first = "Begin with what was new that day. " if is_new_told and found.label != "growth" else ""
    return f"{first}{advice}".strip()


# By what moved: a cause of the first sentence, a part of the change, or a label.
_ADVICE: Mapping[str, str] = {
    "retries": "See what is retried: time-outs and rate limits come first.",
    "failed_calls": "See what fails: each failed call is paid for.",
    "calls_per_task": "Look for a loop, or a chain that has got longer.",
    "success_rate": "Compare answers from before and after that day: fewer of them count.",
    "input_tokens_per_call": "See what goes into the prompt: history, retrieved documents, tool definitions.",
    "output_tokens_per_call": "See how long answers may be: their limit, and the effort of reasoning.",
    "cache_rate": "See what changed at the beginning of the prompt: a cache reads only what stays the same.",
    "model_mix": "If not all of it needs the dearer model, route what is easy back.",
    "price": "Compare with what was agreed: `trendbreak prices show` knows dated list prices and your own.",
    "idle": "See what runs beside the calls: training, and machines that nobody asks.",
    UNSEEN: "See which calls of these days are missing: `trendbreak status` shows how far each source of telemetry is.",
    "growth": "Nothing, if the growth is wanted: then Expected makes it the level from now on.",
}
_LEVERS: Mapping[str, str] = {"mix": "model_mix", "price": "price", "growth": "growth"}


def _find_lever(found: Break, context: RenderContext) -> str:
    if found.label in _LEVERS:
        return _LEVERS[found.label]
    if cause := find_cause(found, context):
        return cause[0]
    up = [part for part in found.parts if part.change_usd > 0 and part.driver not in ("tasks", "known_outcomes")]
    return max(up, key=lambda part: part.change_usd).driver if up else ""


def _yaml_text(text: str) -> str:
    plain = all(character.isalnum() or character in "_-./" for character in text)
    return text if plain and not text[:1].isdigit() else "'" + text.replace("'", "''") + "'"
