"""core.charges × features.yml → core.allocations: every charge belongs to someone, to the last digit.

    charges ─ the first rule that matches takes each (warehouse.taking) ─ grouped to the grain of allocations
            ─ splits (warehouse.splits) ─▶ core.allocations

Σ allocations = Σ charges for billed, effective and list cost (and tokens and GPU hours), per source,
day and currency. What no rule takes is the feature `unallocated`. Taxes, support and unused commitments
go to `shared: tax`, `shared: support` and `shared: unused commitments`, unless a rule that matches asks
about a dimension that tells the pool (POOLS), so that `{provider: aws}` does not swallow the tax line.
What no rule takes and is not AI at all goes to `shared: not AI`: the total of features and `unallocated`
is what AI costs, and a bill's other services neither raise it nor set off its alerts.

A rule's valid_from and valid_to are compared with charge_date. History is allocated anew at every
build, by the rules as the file states them now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from warehouse.errors import WarehouseError
from warehouse.features import EvenSplit, Features, FixedSplit, ProportionalSplit, TelemetrySplit
from warehouse.splits import (
    KIND_WEIGHTS,
    SHARE_PLACES,
    ZERO,
    Shares,
    even_shares,
    model_key,
    proportional_shares,
    telemetry_shares,
    weigh_tokens,
    weighted_shares,
)
from warehouse.statements import render
from warehouse.taking import HasConnection, joined_as_written, tried_rules


class AllocationError(WarehouseError):
    """The charges cannot be allocated; the text says why."""


# What is conserved to the last digit, with the type each part is rounded to.
MEASURES: Mapping[str, str] = {
    "billed_cost": "DECIMAL(38, 12)",
    "effective_cost": "DECIMAL(38, 12)",
    "list_cost": "DECIMAL(38, 12)",
    "billed_cost_usd": "DECIMAL(38, 12)",
    "effective_cost_usd": "DECIMAL(38, 12)",
    "list_cost_usd": "DECIMAL(38, 12)",
    "gpu_hours": "DECIMAL(38, 12)",
    "tokens": "DECIMAL(38, 6)",
}
GRAIN = (
    "source_name",
    "charge_date",
    "billing_period_start",
    "provider",
    "service_name",
    "ai_kind",
    "workload",
    "model",
    "token_type",
    "gpu_type",
    "sub_account_id",
    "api_key_id",
    "resource_id",
    "region_id",
    "sku_meter",
    "charge_category",
    "basis",
    "billing_currency",
)


def allocate(wh: HasConnection, features: Features) -> None:
    """Replace core.allocations (and core.features, core.feature_success) by what `features` says.

    Runs inside the caller's transaction, if there is one. Reads core.charges and, for telemetry
    splits, core.usage and core.metered_usage where they exist.
    """
    con = wh.con
    features.apply_tables(con)
    with tried_rules(con, features.rules_in_order()) as tried:
        terms = {**tried, "grain": GRAIN, "measures": MEASURES.items()}
        try:
            with joined_as_written(con):
                con.execute(render("allocate/direct.sql", **terms, targets=("rule", "feature"), divided=False))
            if tried["splitting"]:
                with joined_as_written(con):
                    con.execute(render("allocate/divided.sql", **terms, targets=("rule", "split"), divided=True))
                _share_splits(con, features)
                con.execute(render("allocate/parts.sql", **terms))
        except duckdb.OutOfRangeException as error:
            raise AllocationError(
                f"an amount is too large to be divided or added: {error}",
                where="core.charges",
                cure="correct the bill's row",
            ) from error
    for name in ("_divided", "_answers", "_shares"):
        con.execute(f"DROP TABLE IF EXISTS temp.main.{name}")
    con.execute(
        "COMMENT ON TABLE core.allocations IS 'Every charge, given to features by rules and splits. "
        "Σ per source, day and currency equals core.charges for every measure.'"
    )


def _share_splits(con: duckdb.DuckDBPyConnection, features: Features) -> None:
    """Make temp tables _answers (split × charge_date × provider × model → number of its shares) and _shares
    (number → target, share, is_remainder). Days that are shared alike point to the same shares."""
    wanted: dict[str, list[_Wanted]] = defaultdict(list)
    for split, *rest in con.execute(render("allocate/to_be_split.sql")).fetchall():
        wanted[split].append(_Wanted(*rest))
    direct = _direct_costs(con) if any(isinstance(features.splits[name], ProportionalSplit) for name in wanted) else {}
    numbers: dict[int, int] = {}  # id of a Shares object → its number
    answers: list[tuple[str, date, str | None, str | None, int]] = []
    shares: list[tuple[int, str, Decimal, bool]] = []
    kept: list[Shares] = []  # an id stays its object's own as long as the object lives
    for name, parts in wanted.items():
        for part, answer in zip(parts, _answer(con, features, name, parts, direct), strict=True):
            if id(answer) not in numbers:
                number = numbers[id(answer)] = len(kept)
                kept.append(answer)
                shares += [(number, to, share, to == answer.remainder) for to, share in answer.parts.items()]
            answers.append((name, part.charge_date, part.provider, part.model, numbers[id(answer)]))
    _create_from_arrow(con, "_answers", _to_table(answers, _ANSWERS))
    _create_from_arrow(con, "_shares", _to_table(shares, _SHARES))


_ANSWERS = pa.schema(
    [
        ("split", pa.string()),
        ("charge_date", pa.date32()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("shares", pa.int64()),
    ]
)
_SHARES = pa.schema(
    [
        ("shares", pa.int64()),
        ("feature", pa.string()),
        ("share", pa.decimal128(SHARE_PLACES + 1, SHARE_PLACES)),
        ("is_remainder", pa.bool_()),
    ]
)


def _to_table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _answer(
    con: duckdb.DuckDBPyConnection,
    features: Features,
    name: str,
    parts: Sequence[_Wanted],
    direct: Mapping[date, Mapping[str, Decimal]],
) -> list[Shares]:
    """The shares of each of `parts`, by the method of the split."""
    split = features.splits[name]
    if isinstance(split, FixedSplit):
        return [weighted_shares(split.weights)] * len(parts)
    if isinstance(split, EvenSplit):
        return [even_shares(split.features)] * len(parts)
    names = list(features.features if split.features is None else split.features)
    if isinstance(split, ProportionalSplit):
        by_day = {day: proportional_shares(direct, day, names) for day in {part.charge_date for part in parts}}
        return [by_day[part.charge_date] for part in parts]
    return _by_telemetry(con, name, split, names, parts)


def _direct_costs(con: duckdb.DuckDBPyConnection) -> dict[date, dict[str, Decimal]]:
    """Day → feature → effective cost in US dollars, credits left out, that rules gave it directly."""
    direct: dict[date, dict[str, Decimal]] = defaultdict(dict)
    for day, feature, cost_usd in con.execute(render("allocate/direct_costs.sql")).fetchall():
        direct[day][feature] = cost_usd
    return direct


_Series = tuple[str | None, str | None]  # provider, model key
_Sizes = dict[_Series, dict[date, dict[str, Decimal]]]  # series → day → feature → size of its traffic


class _Wanted(NamedTuple):
    """Shared charges of one day, provider and model, as the bill writes the model."""

    charge_date: date
    provider: str | None
    model: str | None
    billed_usd: Decimal


def _by_telemetry(
    con: duckdb.DuckDBPyConnection,
    name: str,
    split: TelemetrySplit,
    features: Sequence[str],
    wanted: Sequence[_Wanted],
) -> list[Shares]:
    """Shares for each of `wanted`.

    Charges that name a model follow that model's traffic. Charges of the same provider without a
    model follow the dollars of those that have one, or, where none has, all the provider's traffic.
    """
    tokens, dollars, metered_traffic = _traffic(con, features)
    metered = _metered(con, name)
    billed: dict[_Series, dict[date, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for part in wanted:
        billed[part.provider, _key(part.model)][part.charge_date] += part.billed_usd
    shares: dict[_Series, dict[date, Shares]] = {}
    for (provider, model), days in billed.items():
        if model is None:
            continue
        series = (provider, model)
        shares[series] = telemetry_shares(
            billed_usd=days,
            estimates=dollars.get(series) or tokens.get(series, {}),
            metered={
                day: (total, metered_traffic.get(series, {}).get(day, {}))
                for day, total in metered.get(series, {}).items()
            },
            trailing_days=split.trailing_days,
        )
    for provider in {series[0] for series in billed if series[1] is None}:
        shares[provider, None] = _without_model(provider, billed, shares, tokens, dollars, split.trailing_days)
    return [shares[part.provider, _key(part.model)][part.charge_date] for part in wanted]


def _without_model(
    provider: str | None,
    billed: Mapping[_Series, Mapping[date, Decimal]],
    shares: Mapping[_Series, Mapping[date, Shares]],
    tokens: _Sizes,
    dollars: _Sizes,
    trailing_days: int,
) -> dict[date, Shares]:
    """Shares, per day, of the provider's charges that name no model."""
    named = [series for series in billed if series[0] == provider and series[1] is not None]
    days = billed[provider, None]
    by_dollars: dict[date, Shares] = {}
    for day in days:
        given: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for series in named:
            if billed[series].get(day, ZERO) > 0:
                for target, share in shares[series][day].parts.items():
                    given[target] += share * billed[series][day]
        if given:
            by_dollars[day] = weighted_shares(given)
    traffic: dict[date, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    seen = [series for series in tokens if series[0] == provider]
    priced = all(dollars.get(series) for series in seen)
    for series in seen:
        for day, sizes in (dollars if priced else tokens)[series].items():
            for feature, size in sizes.items():
                traffic[day][feature] += size
    rest = telemetry_shares(billed_usd=days, estimates=traffic, metered={}, trailing_days=trailing_days)
    return {day: by_dollars.get(day) or rest[day] for day in days}


def _traffic(con: duckdb.DuckDBPyConnection, features: Sequence[str]) -> tuple[_Sizes, _Sizes, _Sizes]:
    """What telemetry saw of `features`: in weighted tokens; in dollars, for the series of which every row has an
    estimate; and in tokens × price of their day, as `_metered` counts."""
    tokens, dollars, metered = _no_sizes(), _no_sizes(), _no_sizes()
    unpriced: set[_Series] = set()
    if not _has_table(con, "usage"):
        return tokens, dollars, metered
    weights = _weights(con)
    found = con.execute(render("allocate/traffic.sql", kinds=KIND_WEIGHTS), [list(features)]).fetchall()
    for provider, model, day, feature, cost_usd, *counts in found:
        series = (provider, _key(model))
        by_kind = dict(zip(KIND_WEIGHTS, counts, strict=True))
        tokens[series][day][feature] += weigh_tokens(by_kind)
        metered[series][day][feature] += weigh_tokens(by_kind, weights(provider, model, day))
        if cost_usd is None:
            unpriced.add(series)
        else:
            dollars[series][day][feature] += cost_usd
    return tokens, {series: days for series, days in dollars.items() if series not in unpriced}, metered


_Weights = Callable[[str | None, str | None, date], Mapping[str, Decimal]]


def _weights(con: duckdb.DuckDBPyConnection) -> _Weights:
    """What a token of each kind weighs on a day: its standard price for short contexts, else KIND_WEIGHTS.

    Telemetry and meter of one model and day are weighed alike, whatever it is.
    """
    bands: dict[_Series, list[tuple[date, date, Mapping[str, Decimal]]]] = defaultdict(list)
    if _has_table(con, "prices"):
        for provider, model, first, end, *prices in con.execute(render("allocate/prices.sql")).fetchall():
            by_kind = {kind: ZERO if price is None else price for kind, price in zip(KIND_WEIGHTS, prices, strict=True)}
            bands[provider, _key(model)].append((first, end, by_kind))

    def weigh(provider: str | None, model: str | None, day: date) -> Mapping[str, Decimal]:
        holding = (prices for first, end, prices in bands.get((provider, _key(model)), ()) if first <= day < end)
        return next(holding, KIND_WEIGHTS)

    return weigh


def _no_sizes() -> _Sizes:
    return defaultdict(lambda: defaultdict(lambda: defaultdict(lambda: ZERO)))


def _metered(con: duckdb.DuckDBPyConnection, split: str) -> dict[_Series, dict[date, Decimal]]:
    """Series → day → tokens × price that the provider metered, in the accounts whose charges the split divides."""
    weights = _weights(con)
    found: dict[_Series, dict[date, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    rows = con.execute(render("allocate/metered.sql", kinds=KIND_WEIGHTS), [split]).fetchall()
    for provider, model, day, *counts in rows:
        size = weigh_tokens(dict(zip(KIND_WEIGHTS, counts, strict=True)), weights(provider, model, day))
        if size > 0:
            found[provider, _key(model)][day] += size
    return found


def _key(model: str | None) -> str | None:
    return None if model is None else model_key(model)


def _create_from_arrow(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    con.register("_arrow", table)
    try:
        con.execute(render("allocate/from_arrow.sql", table=name))
    finally:
        con.unregister("_arrow")


def _has_table(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    found = con.execute(
        """
        SELECT 1 FROM information_schema.tables
        WHERE table_catalog = current_database() AND table_schema = 'core' AND table_name = ?
        """,
        [name],
    ).fetchone()
    return found is not None
