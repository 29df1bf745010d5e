"""Who gets which share of a shared charge: pure arithmetic on exact decimals.

Every function returns `Shares`: the parts add up to 1 exactly, each but the remainder's is rounded
down to SHARE_PLACES decimals, and `remainder` names the one target that takes what is left. An amount
is split by multiplying it with every other target's share; the remainder's part is the amount minus
the others, so nothing is lost to rounding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal

UNALLOCATED = "unallocated"
SHARE_PLACES = 12
_SMALLEST = Decimal(1).scaleb(-SHARE_PLACES)
ZERO, ONE = Decimal(0), Decimal(1)

# Price of a token kind relative to uncached input, where no price per token is at hand: the middle of
# the list prices of the large providers in 2025 (cache read 0.1 everywhere; cache write 1 to 1.25;
# output 4 to 8). Only used to weigh features against each other within one model.
KIND_WEIGHTS: Mapping[str, Decimal] = {
    "input_tokens": Decimal("1"),
    "cache_read_tokens": Decimal("0.1"),
    "cache_write_tokens": Decimal("1.25"),
    "output_tokens": Decimal("5"),
    "reasoning_tokens": Decimal("5"),
}

# A day teaches the trailing ratio only if telemetry covers it about as well as before. Where a feature
# that was there before is missing, the day is complete only if the bill says that nothing is missing.
_COMPLETE_RATIO = Decimal("0.9")
_COMPLETE_RATIO_FEATURE_MISSING = Decimal("0.9999")


@dataclass(frozen=True)
class Shares:
    """`parts`: target → share, positive, the remainder's included; they add up to 1."""

    parts: Mapping[str, Decimal]
    remainder: str


def weighted_shares(weights: Mapping[str, Decimal], *, total: Decimal | None = None) -> Shares:
    """Shares in proportion to `weights`; what they lack of `total` (at least their sum) is unallocated.

    Negative weights count as 0. Without any positive weight everything is unallocated.
    """
    positive = {name: weight for name, weight in sorted(weights.items()) if weight > 0}
    covered = sum(positive.values(), ZERO)
    whole = max(covered, total or ZERO)
    if not positive:
        return Shares({UNALLOCATED: ONE}, UNALLOCATED)
    parts = {name: (weight / whole).quantize(_SMALLEST, ROUND_DOWN) for name, weight in positive.items()}
    if UNALLOCATED in parts or whole - covered >= whole * _SMALLEST:
        remainder = UNALLOCATED
    else:
        remainder = max(sorted(parts), key=lambda name: parts[name])
    parts[remainder] = ONE - sum((share for name, share in parts.items() if name != remainder), ZERO)
    return Shares({name: share for name, share in parts.items() if share > 0 or name == remainder}, remainder)


def even_shares(features: Sequence[str]) -> Shares:
    """The same share to each."""
    return weighted_shares(dict.fromkeys(features, ONE))


def proportional_shares(
    direct_usd: Mapping[date, Mapping[str, Decimal]], day: date, features: Iterable[str], *, trailing_days: int = 28
) -> Shares:
    """In proportion to the direct cost of `day`; on a day without any, to that of the days before it.

    `direct_usd`: day → feature → US dollars that came to the feature by rule. With no direct cost in
    `trailing_days` either, everything is unallocated.
    """
    names = list(features)
    today = {name: direct_usd.get(day, {}).get(name, ZERO) for name in names}
    if any(cost > 0 for cost in today.values()):
        return weighted_shares(today)
    before = [direct_usd.get(day - timedelta(days=age), {}) for age in range(1, trailing_days + 1)]
    return weighted_shares({name: sum((costs.get(name, ZERO) for costs in before), ZERO) for name in names})


def telemetry_shares(
    *,
    billed_usd: Mapping[date, Decimal],
    estimates: Mapping[date, Mapping[str, Decimal]],
    metered: Mapping[date, tuple[Decimal, Mapping[str, Decimal]]],
    trailing_days: int,
) -> dict[date, Shares]:
    """Shares of each day of `billed_usd` by what telemetry saw of the traffic.

    `estimates`: day → feature → size of its traffic (dollars, or weighted tokens). `metered`: where
    the provider meters, day → (all traffic by its own meter, feature → traffic in the same unit).

    The denominator is the provider's meter where it meters. Elsewhere it is the larger of today's
    telemetry and what the bill lets expect: billed × (telemetry per billed dollar, learned from the last
    `trailing_days` days that were complete). When a feature's telemetry stops, its part so becomes
    unallocated and nobody else's share moves.
    """
    shares: dict[date, Shares] = {}
    complete: list[tuple[Decimal, Decimal]] = []  # (telemetry, billed) of complete days, newest last
    expected: set[str] = set()
    for day in sorted(billed_usd):
        billed = billed_usd[day]
        seen = {name: size for name, size in estimates.get(day, {}).items() if size > 0}
        telemetry = sum(seen.values(), ZERO)
        window = complete[-trailing_days:]
        window_billed = sum((dollars for _, dollars in window), ZERO)
        ratio = sum((size for size, _ in window), ZERO) / window_billed if window_billed > 0 else ZERO
        if day in metered:
            total, by_feature = metered[day]
            shares[day] = weighted_shares(by_feature, total=total)
        else:
            shares[day] = weighted_shares(seen, total=billed * ratio)
        if billed > 0 and seen:
            missing = expected - seen.keys()
            floor = _COMPLETE_RATIO_FEATURE_MISSING if missing else _COMPLETE_RATIO
            if telemetry / billed >= ratio * floor:
                complete.append((telemetry, billed))
                expected = set(seen)
    return shares


def weigh_tokens(
    tokens_by_kind: Mapping[str, int | Decimal | None], weights: Mapping[str, Decimal] = KIND_WEIGHTS
) -> Decimal:
    """Tokens × weight of their kind: as if all were uncached input, by KIND_WEIGHTS, or in dollars, by prices."""
    return sum((weights[kind] * Decimal(count or 0) for kind, count in tokens_by_kind.items()), ZERO)


_VENDOR = re.compile(
    r"^(?:[a-z]{2,6}\.)?(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|mistral|openai|qwen|xai)\.(?=[a-z])"
)
_VERSION = re.compile(r"(?:[-@](?:20\d{2}-?\d{2}-?\d{2}|latest|v\d+(?::\d+)?))+$")


def model_key(model: str) -> str:
    """One name for a model however bill and log write it: without vendor prefix, date or version.

    `openai/gpt-5-mini-2025-08-07` and `gpt-5-mini` are one; so are
    `us.anthropic.claude-sonnet-4-5-20250929-v1:0` and `claude-sonnet-4-5@20250929`.
    """
    text = model.strip().lower()
    return _VENDOR.sub("", _VERSION.sub("", text).rsplit("/", 1)[-1]) or text
