"""Dated prices per token kind, in US dollars per million tokens, exact.

The list prices are those of the genai-prices package: a snapshot that travels with it, dated, with
batch, flex and priority tiers and with prices for long contexts. Prices of prices.yml lie over them.

Facts about providers that shape a price:
- cache reads and writes cost what uncached input does, and reasoning what output does, unless they are
  priced apart;
- a call whose whole input (cached or not) is above a threshold pays the higher price for *all* its tokens;
- a tier that the catalogue does not know for a model on a day is unknown: genai-prices itself would
  silently answer with the standard price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from warehouse.classification import Sku, find_model
from warehouse.prices.files import NO_PRICES, NegotiatedPrice, Prices

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

KINDS = ("input", "cache_read", "cache_write", "output", "reasoning")
TIERS = ("standard", "batch", "flex", "priority")
SINCE_EVER = date(1970, 1, 1)
FOR_EVER = date(9999, 12, 31)
PLACES = Decimal(1).scaleb(-9)  # of a dollar per million tokens

_MILLION = Decimal(1_000_000)
_CONTEXTS: Mapping[str, dict[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
# Our slug → the catalogue's.
_PROVIDERS = {"gcp": "google", "xai": "x-ai"}
_PRICE_KEYS = {
    "input": ("input_mtok",),
    "cache_read": ("cache_read_mtok", "input_mtok"),
    "cache_write": ("cache_write_mtok", "input_mtok"),
    "output": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok", "output_mtok"),
}
_FIRST_MIDNIGHT = time(0)


@dataclass(frozen=True)
class Band:
    """Prices that hold on days from `valid_from` to before `valid_to`, at times of day from `time_from` to
    before `time_to` (None: midnight), for calls with more input tokens than `above_input_tokens` and not
    more than `up_to_input_tokens` (None: any number).

    `usd_per_million`: kind → price; None where the model has no such tokens (an embedding has no output).
    `origin`: where the price comes from, for a person.
    """

    valid_from: date
    valid_to: date
    time_from: time
    time_to: time | None
    above_input_tokens: int
    up_to_input_tokens: int | None
    usd_per_million: Mapping[str, Decimal | None]
    origin: str

    def holds(self, day: date, at: time, input_tokens: int) -> bool:
        return (
            self.valid_from <= day < self.valid_to
            and self.time_from <= at
            and (self.time_to is None or at < self.time_to)
            and self.above_input_tokens <= max(input_tokens, 0)
            and (input_tokens > self.above_input_tokens or self.above_input_tokens == 0)
            and (self.up_to_input_tokens is None or input_tokens <= self.up_to_input_tokens)
        )

    def cost_usd(self, tokens: Mapping[str, int | Decimal | None]) -> Decimal | None:
        """Dollars of `tokens` (kind → number); None where a kind that has tokens has no price."""
        total = Decimal(0)
        for kind, count in tokens.items():
            price = self.usd_per_million[kind]
            if not count:
                continue
            if price is None:
                return None
            total += price * count
        return total / _MILLION


class PriceBook:
    """List prices with `prices` over them."""

    def __init__(self, prices: Prices = NO_PRICES) -> None:
        self.prices = prices
        self._bands: dict[tuple[str, str, str | None, str], tuple[Band, ...]] = {}

    def accounts(self) -> tuple[str, ...]:
        """The accounts that have prices of their own."""
        return tuple(sorted({entry.account for entry in self.prices.prices if entry.account is not None}))

    def price(
        self,
        provider: str,
        model: str,
        day: date,
        *,
        tier: str = "standard",
        account: str | None = None,
        input_tokens: int = 0,
        at: time = time(12),
    ) -> Band | None:
        """The prices of a call; None: unknown. `input_tokens`: all of its input, cached or not."""
        for band in self.bands(provider, model, account=account, tier=tier):
            if band.holds(day, at, input_tokens):
                return band
        return None

    def bands(
        self, provider: str, model: str, *, account: str | None = None, tier: str = "standard"
    ) -> tuple[Band, ...]:
        """Every known price of a model, in order of time; bands do not overlap. Empty: unknown."""
        key = (provider, model, account, tier)
        if key not in self._bands:
            self._bands[key] = _joined(self._make_bands(provider, model, account, tier))
        return self._bands[key]

    def _make_bands(self, provider: str, model: str, account: str | None, tier: str) -> Iterable[Band]:
        found = find_listed(provider, model, tier)
        own = [entry for entry in self.prices.prices if _may_hold(entry, provider, model, account, tier)]
        days = sorted({SINCE_EVER, *_list_days(found), *_own_days(own)})
        times = sorted({_FIRST_MIDNIGHT, *_times(found)})
        for first, end in zip(days, [*days[1:], FOR_EVER], strict=True):
            holding = [
                entry
                for entry in own
                if entry.holds(provider=provider, model=model, account=account, tier=tier, day=first)
            ]
            for start, stop in zip(times, [*times[1:], None], strict=True):
                listed = _listed_price(found, first, start, tier)
                starts = sorted({0, *_starts(listed), *(entry.above_input_tokens or 0 for entry in holding)})
                for above, up_to in zip(starts, [*starts[1:], None], strict=True):
                    priced = _one_price(listed, holding, above)
                    if priced is not None:
                        yield Band(first, end, start, stop, above, up_to, *priced)


def _joined(bands: Iterable[Band]) -> tuple[Band, ...]:
    """Bands that differ in nothing but their days, one after the other, as one."""
    by_calls: dict[tuple[object, ...], list[Band]] = {}
    for band in bands:
        calls = (band.time_from, band.time_to, band.above_input_tokens, band.up_to_input_tokens)
        before = by_calls.setdefault(calls, [])
        same = before and (before[-1].usd_per_million, before[-1].origin, before[-1].valid_to) == (
            band.usd_per_million,
            band.origin,
            band.valid_from,
        )
        if same:
            before[-1] = replace(before[-1], valid_to=band.valid_to)
        else:
            before.append(band)
    found = [band for bands in by_calls.values() for band in bands]
    return tuple(sorted(found, key=lambda band: (band.valid_from, band.time_from, band.above_input_tokens)))


def _one_price(
    listed: ModelPrice | None, own: Sequence[NegotiatedPrice], above: int
) -> tuple[dict[str, Decimal | None], str] | None:
    """Prices and their origin for calls with more than `above` input tokens; None: unknown."""
    prices: dict[str, Decimal | None] = {kind: _listed_kind(listed, kind, above) for kind in KINDS}
    speaking = [entry for entry in own if (entry.above_input_tokens or 0) <= above]
    if not speaking:
        return (_rounded(prices), _list_origin()) if any(price is not None for price in prices.values()) else None
    entry = max(enumerate(speaking), key=lambda pair: (*_specific(pair[1]), pair[0]))[1]
    if entry.percent is not None:
        if not any(price is not None for price in prices.values()):
            return None
        factor = 1 + entry.percent / 100
        changed = {kind: None if price is None else price * factor for kind, price in prices.items()}
        return _rounded(changed), f"{_list_origin()} {entry.percent:+}%, prices.yml from {entry.valid_from}"
    assert entry.usd_per_million_tokens is not None
    prices |= entry.usd_per_million_tokens.named()
    for kind, instead in (("cache_read", "input"), ("cache_write", "input"), ("reasoning", "output")):
        prices[kind] = prices[instead] if prices[kind] is None else prices[kind]
    return _rounded(prices), f"prices.yml from {entry.valid_from}"


def _specific(entry: NegotiatedPrice) -> tuple[int, bool, bool, int, date]:
    is_pattern = any(sign in entry.model for sign in "*?[")
    return (
        entry.above_input_tokens or 0,
        entry.account is not None,
        not is_pattern,
        len(entry.model),
        entry.valid_from,
    )


def _rounded(prices: Mapping[str, Decimal | None]) -> dict[str, Decimal | None]:
    return {k: None if price is None else price.quantize(PLACES, ROUND_HALF_EVEN) for k, price in prices.items()}


def _may_hold(entry: NegotiatedPrice, provider: str, model: str, account: str | None, tier: str) -> bool:
    return entry.holds(provider=provider, model=model, account=account, tier=tier, day=entry.valid_from)


def _own_days(own: Sequence[NegotiatedPrice]) -> set[date]:
    ends = {entry.valid_to + timedelta(days=1) for entry in own if entry.valid_to and entry.valid_to < FOR_EVER}
    return {entry.valid_from for entry in own} | ends


# -- the catalogue -----------------------------------------------------------------------------------------------------


@cache
def _list_origin() -> str:
    return f"genai-prices {version('genai-prices')}"


@cache
def find_listed(provider: str, model: str, tier: str = "standard") -> ModelInfo | None:
    """The catalogue's model, by its id or by our canonical name of it; None: unknown.

    Where a cloud sells a model at a global and at a dearer regional price, and the name does not say
    which, it is the global one.
    """
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    providers = get_snapshot().providers
    listed = find_provider_by_id(providers, _PROVIDERS.get(provider, provider))
    if listed is None:
        return None
    plain = {candidate.id: candidate for candidate in listed.models}
    if model in plain:
        return plain[model]
    by_name = _by_canonical_name(listed.id)
    if model in by_name:
        return by_name[model]
    # A bare Bedrock id resolves to the regional price there; by our name above it does not.
    found: ModelInfo | None = listed.find_model(model, all_providers=providers)
    if tier != "standard" and not any(found is own for own in listed.models):
        return None  # the maker's batch price says nothing about a reseller's
    return found


@cache
def _by_canonical_name(provider_id: str) -> dict[str, ModelInfo]:
    """Canonical name → model, for the names that mean one price only."""
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    listed = find_provider_by_id(get_snapshot().providers, provider_id)
    candidates: dict[str, list[ModelInfo]] = {}
    for model in listed.models if listed else ():
        name = find_model(Sku(None, model=model.id), FOR_EVER)
        if name is not None and not model.id.endswith(":free"):
            candidates.setdefault(name, []).append(model)
    named: dict[str, ModelInfo] = {}
    for name, models in candidates.items():
        plain = [m for m in models if m.id.rsplit("/", 1)[-1] == name]
        chosen = [m for m in models if m.id.startswith("global.")] or plain or models
        same = {repr(m.prices) for m in chosen}
        if len(same) == 1:
            named[name] = chosen[0]
    return named


def _dates(model: ModelInfo | None) -> Iterable[Any]:
    if model is None:
        return
    if isinstance(model.prices, list):
        yield from (price.constraint for price in model.prices)
    yield from (variant.constraint for variant in model.price_variants or ())


def _list_days(model: ModelInfo | None) -> set[date]:
    return {rule.start_date for rule in _dates(model) if hasattr(rule, "start_date")}


def _times(model: ModelInfo | None) -> set[time]:
    """Times of day (UTC) at which a price changes."""
    rules = [rule for rule in _dates(model) if hasattr(rule, "start_time")]
    moments = {moment for rule in rules for moment in (rule.start_time, rule.end_time)}
    return {
        datetime.combine(date(2026, 1, 1), moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        .astimezone(UTC)
        .time()
        for moment in moments
    }


def _listed_price(model: ModelInfo | None, day: date, at: time, tier: str) -> ModelPrice | None:
    if model is None:
        return None
    moment = datetime.combine(day, at, UTC)
    context = _CONTEXTS[tier]
    if not context:
        return model.get_prices(moment)
    for variant in model.price_variants or ():
        if variant.when == context and (variant.constraint is None or variant.constraint.active(moment)):
            return model.get_prices(moment, context)
    return None


def _starts(price: ModelPrice | None) -> set[int]:
    """Numbers of input tokens above which another price holds."""
    if price is None:
        return set()
    keys = {key for keys in _PRICE_KEYS.values() for key in keys}
    return {tier.start for key in keys for tier in getattr(getattr(price, key, None), "tiers", ())}


def _listed_kind(price: ModelPrice | None, kind: str, above: int) -> Decimal | None:
    """The price of calls with more than `above` input tokens (0: of the smallest)."""
    if price is None:
        return None
    for key in _PRICE_KEYS[kind]:
        listed: Any = getattr(price, key, None)
        if listed is not None:
            for tier in reversed(getattr(listed, "tiers", ())):
                if above >= tier.start:
                    return Decimal(tier.price)
            return Decimal(getattr(listed, "base", listed))
    return None
