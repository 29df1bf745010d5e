"""What-ifs on a team's own traffic: `alerts.whatifs` fed from the marts and from dated prices.

Every function answers for one feature and model, in dollars a month, with all its assumptions. A price that is
not known is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from alerts.whatifs import (
    DAYS_PER_MONTH,
    HOURS_PER_MONTH,
    Answer,
    Range,
    batched_cost_usd,
    break_even_retries,
    break_even_tokens,
    break_even_usd_per_hour,
    cached_cost_usd,
    cascade_cost_usd,
    cost_per_million_tokens_usd,
    pod_usd_per_month,
    pods_needed,
    quantized_cost_usd,
    router_cost_usd,
    saving_range,
)
from flows.errors import FlowError

if TYPE_CHECKING:
    from warehouse.prices import Band, PriceBook

NO_CAP = 10**9  # tokens; no call has as many
KINDS = ("input", "cache_read", "cache_write", "output")
FOLKLORE_TOKENS = (20_000_000, 100_000_000)  # "self-hosting pays from 20 to 100 million tokens a month"
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Traffic:
    """What a feature called of a model in the `days` settled days up to `last_day`. `cost_usd`: what was billed for it;
    its estimate where no bill is there (`is_billed`)."""

    feature: str
    provider: str
    model: str
    last_day: date
    days: int
    left_out: tuple[date, ...]  # beside them: of a self-hosted model, those whose machines have no bill
    calls: int
    retries: int
    tokens: dict[str, int]
    cost_usd: Decimal
    is_billed: bool
    estimated_cost_usd: Decimal | None
    batch_share: Decimal  # of its dollars; what is a batch already
    swing: Range  # cost of the least and the dearest week ÷ the average one

    @classmethod
    def of(cls, row: dict[str, Any]) -> Traffic:
        """From a row of `warehouse.whatif_reads.read_traffic`. Raises FlowError where what it cost is not known."""
        cost_usd, estimated = row["cost_usd"], row["estimated_cost_usd"]
        if cost_usd is None:
            raise FlowError(
                f"the dollars of some charges of {row['feature']}, {row['provider']}/{row['model']} are not known, so "
                "nothing is said — give the currency's rate (docs/configuration.md), or in prices.yml the price of "
                "calls without a bill"
            )
        if not cost_usd and estimated is None and not (row["is_self_hosted"] and row["is_billed"]):
            raise FlowError(
                f"there is no bill for {row['feature']}'s calls of {row['provider']}/{row['model']}, and their price "
                "is not known, so nothing is said — give it in prices.yml, or the provider's bill a source"
            )
        is_billed = bool(cost_usd) or not estimated
        return cls(
            feature=row["feature"],
            provider=row["provider"],
            model=row["model"],
            last_day=row["last_day"],
            days=row["days"],
            left_out=tuple(row["left_out"]),
            calls=row["calls"],
            retries=row["retries"],
            tokens={kind: row[f"{kind}_tokens"] for kind in KINDS},
            cost_usd=cost_usd if is_billed else estimated,
            is_billed=is_billed,
            estimated_cost_usd=estimated,
            batch_share=row["batch_share"],
            swing=Range(
                min(row["least_week"] or Decimal(1), Decimal(1)),
                Decimal(1),
                max(row["most_week"] or Decimal(1), Decimal(1)),
            ),
        )

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def seen_days(self) -> int:
        """Days up to `last_day`, those left out too."""
        return self.days + len(self.left_out)

    @property
    def months(self) -> Decimal:
        return Decimal(self.days) / DAYS_PER_MONTH

    @property
    def subject(self) -> str:
        return f"{self.feature}, {self.model}"

    @property
    def cost_per_month(self) -> Decimal:
        return self.cost_usd / self.months

    @property
    def tokens_per_month(self) -> Decimal:
        return Decimal(sum(self.tokens.values())) / self.months

    @property
    def input_per_call(self) -> int:
        return round(sum(self.tokens[kind] for kind in KINDS[:3]) / self.calls) if self.calls else 0

    def drift(self, priced_usd: Decimal) -> Decimal:
        """Billed ÷ estimated; where the marts have no estimate ÷ `priced_usd`, what the calls cost at known prices."""
        estimated = self.estimated_cost_usd or priced_usd
        return self.cost_usd / estimated if estimated else Decimal(1)

    def at_prices(self, band: Band, of: str) -> Decimal:
        """Dollars a month of the traffic at the prices of the model `of`. Raises FlowError for a kind without one."""
        usd = band.cost_usd(self.tokens)
        if usd is None:
            kinds = ", ".join(kind for kind, n in self.tokens.items() if n and band.usd_per_million[kind] is None)
            raise FlowError(
                f"the price of {of} for {kinds} tokens is not known, so nothing is said — give it in prices.yml "
                "(docs/unit-economics.md)"
            )
        return usd / self.months

    def estimate(self) -> tuple[str, ...]:
        return () if self.is_billed else ("no bill is there for these calls: they cost tokens × dated price",)

    def basis(self) -> tuple[str, ...]:
        """The assumptions that every answer shares."""
        but = f" but {len(self.left_out)} without a bill of its machines" if self.left_out else ""
        return (
            f"the last {self.seen_days} settled days{but} are a usual month: {self.calls:,} calls, "
            f"{sum(self.tokens.values()) / 1_000_000:,.1f}M tokens, {money(self.cost_usd)} "
            + ("billed" if self.is_billed else "estimated"),
            f"a month may have from {percent(self.swing.low)} to {percent(self.swing.high)} of it, as its weeks had",
        )


def _length(traffic: Traffic, *bands: Band) -> tuple[str, ...]:
    """What is assumed of the length of calls, where a price depends on it."""
    limits = sorted({limit for band in bands for limit in (band.above_input_tokens, band.up_to_input_tokens) if limit})
    if not limits:
        return ()
    told = " and ".join(f"{limit:,}" for limit in limits)
    return (f"every call has today's average input, {traffic.input_per_call:,} tokens; prices change at {told}",)


def _answer(
    kind: str,
    traffic: Traffic,
    saving: Callable[..., Decimal],
    assumptions: tuple[str, ...],
    *,
    cost_usd: Decimal | None = None,
    **ranges: Range,
) -> Answer:
    return Answer(
        kind,
        traffic.subject,
        traffic.cost_per_month if cost_usd is None else cost_usd,
        saving_range(saving, traffic.swing, **ranges),
        saving_range(saving, Range.exactly(1), **ranges),
        traffic.basis(),
        (*traffic.estimate(), *assumptions),
    )


def find_price(
    book: PriceBook, provider: str, model: str, day: date, *, tier: str = "standard", input_tokens: int = 0
) -> Band:
    """The price of a model on a day, for calls of so much input. Raises FlowError naming it where it is not known."""
    band = book.price(provider, model, day, tier=tier, input_tokens=input_tokens)
    if band is None:
        what = f"the {tier} price" if tier != "standard" else "the price"
        raise FlowError(
            f"{what} of {provider}/{model} on {day} is not known, so nothing is said — give it in prices.yml "
            "(docs/unit-economics.md)"
        )
    return band


def route(
    traffic: Traffic,
    target: tuple[str, str],
    band: Band,
    *,
    share: Range,
    token_ratio: Range,
    relative_success: Range,
    classifier_usd_per_call: Range,
) -> Answer:
    """A classifier sends `share` of the calls to a cheaper model, which needs `token_ratio` times the tokens and
    succeeds `relative_success` times as often."""
    cheap = traffic.at_prices(band, "/".join(target))
    classifier = classifier_usd_per_call.times(traffic.calls / traffic.months)
    cost = traffic.cost_per_month
    attempt = token_ratio.times(cheap / cost if cost else Decimal(1))
    return _answer(
        "route",
        traffic,
        lambda share, token_ratio, relative_success, classifier_usd: (
            cost
            - router_cost_usd(cost, cheap * token_ratio / relative_success, share=share, classifier_usd=classifier_usd)
        ),
        (
            f"{told(share)} of the calls go to {'/'.join(target)} ({band.origin})",
            f"it needs {told(token_ratio, '×')} the tokens; an attempt costs {told(attempt)} of today's, so it loses "
            f"below {told(attempt)} relative success",
            f"it succeeds {told(relative_success)} as often as today's, and a failed call is made again",
            f"the classifier costs {_dollars(classifier)} a month (${told(classifier_usd_per_call, '')} a call, every "
            "call)",
            *_length(traffic, band),
        ),
        share=share,
        token_ratio=token_ratio,
        relative_success=relative_success,
        classifier_usd=classifier,
    )


def cascade(traffic: Traffic, target: tuple[str, str], band: Band, *, escalated: Range, token_ratio: Range) -> Answer:
    """The cheaper model drafts every call; `escalated` of them are asked again of today's: both are paid."""
    cheap, cost = traffic.at_prices(band, "/".join(target)), traffic.cost_per_month
    return _answer(
        "route (cascade)",
        traffic,
        lambda escalated, token_ratio: cost - cascade_cost_usd(cost, cheap * token_ratio, escalated=escalated),
        (
            f"{'/'.join(target)} drafts every call ({band.origin}): {money(cheap)} a month at today's length",
            f"a draft takes {told(token_ratio, '×')} the tokens",
            f"{told(escalated)} of the drafts are not good enough and are asked again of {traffic.model}",
            *_length(traffic, band),
        ),
        escalated=escalated,
        token_ratio=token_ratio,
    )


def cache(traffic: Traffic, band: Band, *, cacheable_share: Range, hit_rate: Range) -> Answer:
    """`cacheable_share` of the input is a repeated prefix, read from the cache in `hit_rate` of the calls."""
    prices = {kind: band.usd_per_million[kind] or Decimal(0) for kind in KINDS}
    now = traffic.at_prices(band, traffic.name)
    whole = sum(traffic.tokens[kind] for kind in KINDS[:3])
    drift = traffic.drift(now * traffic.months)
    rate = Decimal(traffic.tokens["cache_read"]) / whole if whole else Decimal(0)

    def saving(cacheable_share: Decimal, hit_rate: Decimal) -> Decimal:
        then = cached_cost_usd(traffic.tokens, prices, cacheable_share=cacheable_share, hit_rate=hit_rate)
        return (now - then / traffic.months) * drift

    return _answer(
        "cache",
        traffic,
        saving,
        (
            f"{told(cacheable_share)} of the input repeats as a prefix; today {percent(rate)} of it comes from a cache",
            f"{told(hit_rate)} of the calls find it there, the others write it",
            f"prices per million: input {plain(prices['input'])}, read {plain(prices['cache_read'])}, write "
            f"{plain(prices['cache_write'])} ({band.origin}), scaled to the bill (× {drift:.3f})",
            *_length(traffic, band),
        ),
        cacheable_share=cacheable_share,
        hit_rate=hit_rate,
    )


def usual_prefix(traffic: Traffic) -> Range:
    """The part of the input that may repeat, where nobody says: 30% to 70%, and no less than is cached today."""
    whole = sum(traffic.tokens[kind] for kind in KINDS[:3])
    cached = Decimal(traffic.tokens["cache_read"] + traffic.tokens["cache_write"]) / whole if whole else Decimal(0)
    low = max(Decimal("0.3"), cached)
    return Range.between(low, max(Decimal("0.7"), min(Decimal(1), low + Decimal("0.2"))))


def batch(traffic: Traffic, band: Band, batch_band: Band, *, share: Range) -> Answer:
    """`share` of the calls that are no batch yet can wait for one."""
    now, then = traffic.at_prices(band, traffic.name), traffic.at_prices(batch_band, f"{traffic.name} as a batch")
    cost = traffic.cost_per_month * (1 - traffic.batch_share)
    is_batch = f"{percent(traffic.batch_share)} of the cost is a batch already" if traffic.batch_share else ""
    relative = then / now if now else Decimal(1)
    return _answer(
        "batch",
        traffic,
        lambda share: cost - batched_cost_usd(cost, cost * relative, share=share),
        (
            f"{is_batch or 'none is a batch today'}; of the other calls {told(share)} can wait up to a day",
            f"as a batch they cost {percent(relative)} of the standard price ({batch_band.origin})",
            *_length(traffic, band, batch_band),
        ),
        share=share,
    )


def trim(traffic: Traffic, found: dict[str, Any], *, most_input: int, most_output: int, kept: Range) -> Answer:
    """Caps on input and output; `kept` of what the caps save comes back in calls made again.

    `found`: what `warehouse.whatif_reads.read_trim` says. Raises FlowError where calls have no known price.
    """
    if found["unpriced_calls"]:
        raise FlowError(
            f"{found['unpriced_calls']:,} of {found['calls']:,} calls of {traffic.provider}/{traffic.model} have no "
            "known price, so nothing is said — give it in prices.yml"
        )
    drift = traffic.drift(found["estimated_cost_usd"])
    beyond = (found["input_saving_usd"] + found["output_saving_usd"]) * drift / traffic.months
    return _answer(
        "trim",
        traffic,
        lambda kept: beyond * (1 - kept),
        (
            *(
                f"{what} is cut at {most:,} tokens ({longer:,} of {found['calls']:,} calls are longer)"
                for what, most, longer in (
                    ("input", most_input, found["long_inputs"]),
                    ("output", most_output, found["long_outputs"]),
                )
                if most < NO_CAP
            ),
            "uncached input is cut before cached input; reasoning counts as output",
            f"{told(kept)} of the saving comes back, as calls that need what was cut",
            f"scaled to the bill (× {drift:.3f})",
        ),
        kept=kept,
    )


def quantize(traffic: Traffic, gpu_cost_usd: Decimal, *, gain: Range, extra_retries: Range) -> Answer:
    """A quantized model serves `gain` times the tokens per second, against `extra_retries` more retries per call."""
    cost = gpu_cost_usd / traffic.months
    first = max(traffic.calls - traffic.retries, 1)
    retries = Decimal(traffic.retries) / first
    limit = break_even_retries(gain=gain.low, retries=retries)
    return _answer(
        "quantize",
        traffic,
        lambda gain, extra_retries: (
            cost - quantized_cost_usd(cost, gain=gain, retries=retries, new_retries=retries + extra_retries)
        ),
        (
            f"its GPU machines cost {money(cost)} a month, idle hours included; hours not needed are given back",
            f"throughput grows {told(gain, '×')}",
            f"{percent(retries)} of first calls are retried today (measured); {told(extra_retries)} more would be",
            f"at {percent(limit)} retries the smallest gain is eaten up",
        ),
        cost_usd=cost,
        gain=gain,
        extra_retries=extra_retries,
    )


def selfhost(
    traffic: Traffic,
    *,
    usd_per_hour: Range,
    tokens_per_second: Range,
    utilisation: Range,
    ops_usd_per_month: Range,
) -> Answer:
    """An own pod instead of the API, for this traffic."""
    cost, tokens = traffic.cost_per_month, traffic.tokens_per_month
    if not tokens or cost <= 0:
        days = traffic.seen_days
        raise FlowError(f"{traffic.subject}: no tokens or no cost in the last {days} days — nothing to compare")
    per_million = cost / tokens * _MILLION

    def saving(
        usd_per_hour: Decimal, tokens_per_second: Decimal, utilisation: Decimal, ops_usd_per_month: Decimal
    ) -> Decimal:
        pods = pods_needed(tokens, tokens_per_second, utilisation=utilisation)
        return cost - pods * pod_usd_per_month(usd_per_hour) - ops_usd_per_month

    needed = [
        pods_needed(tokens, speed, utilisation=share)
        for speed, share in (
            (tokens_per_second.high, utilisation.high),
            (tokens_per_second.low, utilisation.low),
        )
    ]
    pod = usd_per_hour.times(HOURS_PER_MONTH)
    busy = (
        cost_per_million_tokens_usd(usd_per_hour.low, tokens_per_second.high),
        cost_per_million_tokens_usd(usd_per_hour.high, tokens_per_second.low),
    )
    even = [break_even_tokens(usd, per_million) / _MILLION for usd in (usd_per_hour.low, usd_per_hour.high)]
    folklore = [break_even_usd_per_hour(Decimal(n), per_million) for n in FOLKLORE_TOKENS]
    corners = saving_range(
        saving,
        Range.exactly(1),
        usd_per_hour=usd_per_hour,
        tokens_per_second=tokens_per_second,
        utilisation=utilisation,
        ops_usd_per_month=ops_usd_per_month,
    )
    return Answer(
        "selfhost",
        traffic.subject,
        cost,
        corners,
        corners,
        traffic.basis()[:1],
        (
            *traffic.estimate(),
            f"the API costs ${per_million:.4f} per million tokens of this traffic",
            f"a pod costs {_ends((usd_per_hour.low, usd_per_hour.high), 'f', sign='$')} an hour, {_dollars(pod)} "
            f"a month, and serves {_ends((tokens_per_second.low, tokens_per_second.high), ',f')} tokens a second: "
            f"{_ends(busy, '.3f', sign='$')} per million when it is never idle",
            f"it is busy {told(utilisation)} of the time: {_span(needed)} needed for {tokens / _MILLION:,.1f}M tokens "
            "a month",
            f"operating it costs {_dollars(ops_usd_per_month)} a month; the open model does as well with as many "
            "tokens",
            f"before ops one pod breaks even at {_ends(even, ',.0f', unit='M')} tokens a month",
            f"that 20 to 100 million tokens a month pay for it is true for hardware at ${folklore[0]:.2f} to "
            f"${folklore[1]:.2f} an hour",
        ),
    )


def _ends(ends: Sequence[Decimal], form: str, *, sign: str = "", unit: str = "") -> str:
    return " to ".join(dict.fromkeys(f"{sign}{end:{form}}{unit}" for end in ends))


def _dollars(given: Range) -> str:
    return " to ".join(dict.fromkeys(money(end) for end in (given.low, given.high)))


def _span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low} pod{'s are' if low > 1 else ' is'}" if low == high else f"{low} to {high} pods are"


def told(given: Range, unit: str = "%") -> str:
    """A range of an assumption in words."""
    ends = [percent(value) if unit == "%" else plain(value) + unit for value in (given.low, given.high)]
    return ends[0] if given.low == given.high else f"{ends[0]} to {ends[1]}"


def percent(share: Decimal) -> str:
    return f"{(share * 100).quantize(Decimal('0.1')).normalize():f}%"


def plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def money(usd: Decimal) -> str:
    """$1,235, -$12.30."""
    return ("-" if usd < 0 else "") + (f"${abs(usd):,.0f}" if abs(usd) >= 1000 else f"${abs(usd):,.2f}")
