"""Anthropic's landed pages → charges, split over API keys where usage tells how, and metered usage."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import Parsed, Rows
from connectors.bucketed_reports import RepeatedGroups, read_buckets
from connectors.documents import (
    EXACT,
    UnknownFields,
    read_count,
    read_document,
    read_money,
    read_object,
    read_text,
    to_scale,
    wrong,
)
from connectors.errors import PayloadError
from connectors.rows import Table, add_amounts, add_counts, tags_text
from connectors.schema import CHARGES, METERED_USAGE

BUCKET_FIELDS = frozenset({"starting_at", "ending_at", "results"})
COST_FIELDS = frozenset(
    {
        "amount",
        "currency",
        "workspace_id",
        "description",
        "cost_type",
        "model",
        "service_tier",
        "context_window",
        "token_type",
        "inference_geo",
    }
)
USAGE_FIELDS = frozenset(
    {
        "uncached_input_tokens",
        "cache_creation",
        "cache_creation_input_tokens",  # flat, as older answers had it
        "cache_read_input_tokens",
        "output_tokens",
        "server_tool_use",
        "api_key_id",
        "workspace_id",
        "model",
        "service_tier",
        "context_window",
        "inference_geo",
        "account_id",
        "service_account_id",
        "speed",
    }
)
CACHE_FIELDS = frozenset({"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"})
TOOL_FIELDS = frozenset({"web_search_requests"})
# A cost's token_type → ours. The same names are the meters that usage is kept under.
TOKEN_TYPES = {
    "uncached_input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
    "output_tokens": "output",
}
WEB_SEARCHES = "web_search_requests"
SERVICE_TIERS = {
    "standard": "standard",
    "batch": "batch",
    "flex": "flex",
    "flex_discount": "flex",
    "priority": "priority",
    "priority_on_demand": "priority",
}
# Paid by commitment: metered, but never in the cost report.
COMMITTED_TIERS = frozenset({"priority"})
DIMENSIONS = ("model", "service_tier", "context_window", "inference_geo")


@dataclass(frozen=True)
class Cost:
    """One line of the cost report, in dollars."""

    day: date
    workspace: str | None
    dollars: Decimal
    currency: str
    description: str | None
    cost_type: str | None
    meter: str | None  # the key under which usage meters it; None when it does not
    token_type: str | None
    dimensions: Mapping[str, str | None]  # those of DIMENSIONS that the report fills


@dataclass(frozen=True)
class Usage:
    """One group of the usage report."""

    day: date
    workspace: str | None
    api_key: str | None  # None = Workbench, and what else has no key
    dimensions: Mapping[str, str | None]  # None where this report was not grouped by it
    meters: Mapping[str, int] = field(default_factory=dict)


def parse_files(files: Mapping[str, Path], *, organization: str | None) -> Parsed:
    """Rows of layout "charges" and "metered_usage", and notes.

    Raises PayloadError naming page and field.
    """
    if "about.json" not in files or "cost-0001.json" not in files:
        raise PayloadError("the delivery is not whole", where="cost-0001.json", cure="fetch the window again")
    about = read_document(files["about.json"], name="about.json")
    start, end = (date.fromisoformat(text) for text in about["window"])
    notes = [f"no names of {reason}" for reason in about["missing"]]
    unknown = UnknownFields()
    costs = [cost for cost in _read_costs(files, unknown, notes) if start <= cost.day < end]
    metered = Table(METERED_USAGE, measures=METERED_MEASURES, add=add_counts)
    by_window = list(_read_usage(files, "usage-by-context_window-", unknown, notes, metered))
    by_region = list(_read_usage(files, "usage-by-inference_geo-", unknown, notes, None))
    by_day: dict[date, list[Cost]] = defaultdict(list)
    for cost in costs:
        by_day[cost.day].append(cost)
    of_regions = {day for day, standing in by_day.items() if regions_decide(map(_dimensions, standing))}
    usage = [group for group in by_window if group.day not in of_regions]
    usage += [group for group in by_region if group.day in of_regions]
    charges = _split_costs(costs, usage, about, organization, notes)
    if not costs:
        notes.append(f"the cost report holds no row from {start} to {end}")
    notes.extend(unknown.notes())
    return Parsed(parts=(Rows("charges", charges), Rows("metered_usage", metered.to_arrow())), notes=tuple(notes))


def regions_decide(results: Iterable[Mapping[str, Any]]) -> bool:
    """Whether costs of one day differ by region where they are otherwise alike, and by context window never.

    One usage report cannot be grouped by both. Decided day by day, so that the rows of a day do not
    depend on the window that it was asked for with.
    """
    seen: dict[str, dict[tuple[str, ...], set[str]]] = {"context_window": {}, "inference_geo": {}}
    for result in results:
        for name, other in (("context_window", "inference_geo"), ("inference_geo", "context_window")):
            alike = tuple(
                str(result.get(field)) for field in ("workspace_id", "model", "service_tier", "token_type", other)
            )
            seen[name].setdefault(alike, set()).add(str(result.get(name)))
    decides = {name: any(len(values) > 1 for values in groups.values()) for name, groups in seen.items()}
    return decides["inference_geo"] and not decides["context_window"]


def _dimensions(cost: Cost) -> dict[str, str | None]:
    return {"workspace_id": cost.workspace, "token_type": cost.token_type, **cost.dimensions}


def _read_costs(files: Mapping[str, Path], unknown: UnknownFields, notes: list[str]) -> Iterator[Cost]:
    repeated = RepeatedGroups()
    for where, day, result in read_buckets(
        files, "cost-", unknown, day_field="starting_at", bucket_fields=BUCKET_FIELDS
    ):
        unknown.look(result, COST_FIELDS, "cost report")
        currency = read_text(result, "currency", where=where)
        if currency is None or not re.fullmatch(r"[A-Za-z]{3}", currency):
            raise wrong(where, "currency", "a currency code of three letters", currency)
        if currency.upper() != "USD":
            # `amount` is in the lowest unit of the currency, and only of the dollar it is known
            # (and documented) that a hundred make one.
            raise wrong(where, "currency", "USD", currency)
        cost_type = read_text(result, "cost_type", where=where)
        token_type = read_text(result, "token_type", where=where)
        meter = token_type if token_type in TOKEN_TYPES else WEB_SEARCHES if cost_type == "web_search" else None
        cents = read_money(result, "amount", where=where)
        cost = Cost(
            day=day,
            workspace=read_text(result, "workspace_id", where=where),
            dollars=to_scale(cents.scaleb(-2, context=EXACT)),
            currency=currency.upper(),
            description=read_text(result, "description", where=where),
            cost_type=cost_type,
            meter=meter,
            token_type=token_type,
            dimensions={name: read_text(result, name, where=where) for name in DIMENSIONS},
        )
        group = (cost.description, cost.workspace, cost_type, token_type, *cost.dimensions.values())
        if not repeated.is_repeat(where, day, group, (cost.dollars,)):
            yield cost
    notes.extend(repeated.notes("cost report"))


METERED_MEASURES = (
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def _read_usage(
    files: Mapping[str, Path], prefix: str, unknown: UnknownFields, notes: list[str], metered: Table | None
) -> Iterator[Usage]:
    """The groups that costs can be split by, without committed tiers; all of them go to `metered`, if given."""
    committed = 0
    strange_tiers: set[str] = set()
    repeated = RepeatedGroups()
    for where, day, result in read_buckets(
        files, prefix, unknown, day_field="starting_at", bucket_fields=BUCKET_FIELDS
    ):
        unknown.look(result, USAGE_FIELDS, "usage report")
        meters = _read_meters(result, where, unknown)
        tier = read_text(result, "service_tier", where=where)
        if tier is not None and tier not in SERVICE_TIERS:
            strange_tiers.add(tier)
        workspace = read_text(result, "workspace_id", where=where)
        key = read_text(result, "api_key_id", where=where)
        dimensions = {name: read_text(result, name, where=where) for name in DIMENSIONS}
        if repeated.is_repeat(where, day, (key, workspace, *dimensions.values()), tuple(sorted(meters.items()))):
            continue
        if metered is not None:
            written = [count for meter, count in meters.items() if meter.startswith("cache_creation")]
            metered.add(
                {
                    "usage_date": day,
                    "sub_account_id": workspace,
                    "api_key_id": key,
                    "model": dimensions["model"],
                    "pricing_tier": SERVICE_TIERS.get(tier or ""),
                    "input_tokens": meters.get("uncached_input_tokens"),
                    "cache_read_tokens": meters.get("cache_read_input_tokens"),
                    "cache_write_tokens": sum(written) if written else None,
                    "output_tokens": meters.get("output_tokens"),
                }
            )
        if tier in COMMITTED_TIERS:
            committed += sum(count for meter, count in meters.items() if meter != WEB_SEARCHES)
            continue
        yield Usage(
            day=day,
            workspace=workspace,
            api_key=key,
            dimensions=dimensions,
            meters=meters,
        )
    if metered is None:
        return  # the same usage again, by another dimension: noted once
    notes.extend(repeated.notes("usage report"))
    if committed:
        notes.append(
            f"Priority Tier: {committed} tokens are metered but not in the cost report; "
            "their commitment is billed apart, so usage × price exceeds these charges"
        )
    notes.extend(f"unknown service tier {tier[:64]!r}: pricing tier left open" for tier in sorted(strange_tiers))


def _read_meters(result: Mapping[str, Any], where: str, unknown: UnknownFields) -> dict[str, int]:
    """Counts by meter; the kinds of tokens are disjoint. An absent meter is unknown, not 0."""
    counts: dict[str, int | None] = {
        name: read_count(result, name, where=where)
        for name in ("uncached_input_tokens", "cache_read_input_tokens", "output_tokens")
    }
    if result.get("cache_creation") is not None:
        written = read_object(result, "cache_creation", where=where)
        unknown.look(written, CACHE_FIELDS, "usage report cache_creation")
        for name in CACHE_FIELDS:
            counts[f"cache_creation.{name}"] = read_count(written, name, where=where)
    else:
        counts["cache_creation"] = read_count(result, "cache_creation_input_tokens", where=where)
    if result.get("server_tool_use") is not None:
        tools = read_object(result, "server_tool_use", where=where)
        unknown.look(tools, TOOL_FIELDS, "usage report server_tool_use")
        counts[WEB_SEARCHES] = read_count(tools, WEB_SEARCHES, where=where)
    return {name: count for name, count in counts.items() if count is not None}


@dataclass
class _Unsplit:
    rows: int = 0
    dollars: Decimal = Decimal(0)


def _split_costs(
    costs: list[Cost], usage: list[Usage], about: Mapping[str, Any], organization: str | None, notes: list[str]
) -> pa.Table:
    """Every cost over the API keys that used what it charges, in proportion to the meter it charges.

    Σ of the parts is the cost to the last digit: each part is rounded to 12 digits, and what
    rounding leaves over goes to the key with the largest share (of equal ones, the first by id).
    A cost that no usage explains keeps its dollars, without a key.
    """
    by_place: dict[tuple[date, str | None], list[Usage]] = defaultdict(list)
    for group in usage:
        by_place[group.day, group.workspace].append(group)
    matches = [_match(cost, by_place[cost.day, cost.workspace]) for cost in costs]
    # A group that two costs draw on (two regions, say) has no quantity that belongs to one of them.
    drawn_on = Counter(
        (id(group), cost.meter) for cost, (groups, _) in zip(costs, matches, strict=True) for group in groups
    )
    table = Table(CHARGES, measures=("consumed_quantity", "billed_cost", "effective_cost"), add=add_amounts)
    unsplit, loosened, shared = _Unsplit(), 0, 0
    for cost, (groups, is_loose) in zip(costs, matches, strict=True):
        loosened += is_loose
        by_key: Counter[str | None] = Counter()
        for group in groups:
            by_key[group.api_key] += group.meters.get(cost.meter or "", 0)
        if not groups and cost.dollars:
            unsplit.rows += 1
            unsplit.dollars += cost.dollars
        is_sole = all(drawn_on[id(group), cost.meter] == 1 for group in groups)
        shared += not is_sole
        has_quantity = bool(groups) and is_sole
        for key, dollars in _share(cost.dollars, by_key).items():
            quantity = to_scale(Decimal(by_key[key])) if has_quantity else None
            table.add(_charge(cost, key, dollars, quantity, about, organization))
    if unsplit.rows:
        notes.append(f"{unsplit.rows} costs ({unsplit.dollars:f} USD) match no usage of a key: left without a key")
    if loosened:
        notes.append(
            f"{loosened} costs were split by usage of the same model and meter, as their tier or window differ"
        )
    if shared:
        notes.append(f"{shared} costs draw on usage that another cost draws on too: split alike, without quantities")
    strange = {cost.token_type for cost in costs if cost.token_type and cost.token_type not in TOKEN_TYPES}
    notes.extend(f"unknown token type {name[:64]!r}: token_type left open" for name in sorted(strange))
    return table.to_arrow()


def _match(cost: Cost, groups: list[Usage]) -> tuple[list[Usage], bool]:
    """The usage that a cost charges, and whether dimensions had to be left out to find it.

    Groups are those of the cost's day and workspace. A dimension that either report leaves open is
    not compared.
    """
    if cost.meter is None:
        return [], False
    metered = [group for group in groups if group.meters.get(cost.meter)]
    for compared, is_loose in ((DIMENSIONS, False), (("model",), True)):
        found = [
            group
            for group in metered
            if all(
                cost.dimensions[name] is None
                or group.dimensions[name] is None
                or cost.dimensions[name] == group.dimensions[name]
                for name in compared
            )
        ]
        if found:
            return found, is_loose
    return [], False


def _share(dollars: Decimal, by_key: Mapping[str | None, int]) -> dict[str | None, Decimal]:
    whole = sum(by_key.values())
    if not whole:
        return {None: dollars}
    parts = {
        key: to_scale(EXACT.divide(EXACT.multiply(dollars, Decimal(count)), Decimal(whole)))
        for key, count in by_key.items()
        if count
    }
    largest = min(parts, key=lambda key: (-by_key[key], key or ""))
    left_over = dollars
    for part in parts.values():
        left_over = EXACT.subtract(left_over, part)
    parts[largest] = EXACT.add(parts[largest], left_over)
    return parts


def _terms(cost: Cost) -> Iterator[tuple[str, str | None]]:
    yield "tier", cost.dimensions["service_tier"]
    yield "context", cost.dimensions["context_window"]
    yield "region", cost.dimensions["inference_geo"]


def _charge(
    cost: Cost,
    key: str | None,
    dollars: Decimal,
    quantity: Decimal | None,
    about: Mapping[str, Any],
    organization: str | None,
) -> dict[str, Any]:
    sku = [cost.dimensions["model"], cost.token_type or cost.cost_type]
    sku += [cost.dimensions[name] for name in ("service_tier", "context_window", "inference_geo")]
    return {
        "charge_date": cost.day,
        "billing_period_start": cost.day.replace(day=1),
        "billing_account_id": organization,
        "sub_account_id": cost.workspace,
        "sub_account_name": about["workspaces"].get(cost.workspace) if cost.workspace else "Default workspace",
        "invoice_issuer_name": "Anthropic",
        "provider_name": "Anthropic",
        "service_name": "Claude API",
        "service_category": "AI and Machine Learning",
        "sku_id": "/".join(part or "-" for part in sku) if any(sku) else None,
        "sku_meter": cost.description,
        # What the description does not say of a line; the classification reads the tier from it.
        "charge_description": ", ".join(f"{label} {value}" for label, value in _terms(cost) if value) or None,
        "charge_category": "Usage",
        "api_key_id": key,
        "model": cost.dimensions["model"],
        "token_type": TOKEN_TYPES.get(cost.token_type or ""),
        "tags": tags_text({"api_key_name": about["api_keys"].get(key or "")}),
        "consumed_quantity": quantity,
        "consumed_unit": None if quantity is None else "requests" if cost.meter == WEB_SEARCHES else "tokens",
        # One amount is all Anthropic gives: what it invoices is what the usage cost.
        "billed_cost": dollars,
        "effective_cost": dollars,
        "billing_currency": cost.currency,
        "basis": "reported",
    }
