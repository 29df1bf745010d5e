"""`trendbreak whatif`: the commands. The work is in `flows.commands.whatif`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import ConfigOption
from flows.errors import FlowError
from flows.lake import open_home

if TYPE_CHECKING:
    from alerts.whatifs import Answer, Range
    from flows.commands.whatif import Traffic
    from flows.settings import Settings

whatif_app = typer.Typer(help="What a change would save on your own traffic, with every assumption, as a range.")

FeatureOption = Annotated[str, typer.Option("--feature", "-f", help="The feature whose traffic it is.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="A model, or provider/model. [default: the feature's dearest]")
]
ToOption = Annotated[str, typer.Option("--to", help="The cheaper model, as provider/model.")]


@whatif_app.command("route")
def route(
    feature: FeatureOption,
    to: ToOption,
    model: ModelOption = None,
    cascade: Annotated[bool, typer.Option("--cascade", help="The cheaper model drafts, the other corrects.")] = False,
    share: Annotated[str, typer.Option(help="Router: part of the calls it takes.")] = "0.5..0.8",
    escalated: Annotated[str, typer.Option(help="Cascade: part of the drafts asked again.")] = "0.2..0.4",
    token_ratio: Annotated[str, typer.Option(help="Tokens it needs for one of today's.")] = "1..1.5",
    relative_success: Annotated[str, typer.Option(help="Router: its success ÷ today's.")] = "0.9..1",
    classifier: Annotated[str, typer.Option(help="Router: dollars per classified call.")] = "0.0001",
    config: ConfigOption = None,
) -> None:
    """Send a part of the calls to a cheaper model, by a router or as a cascade."""
    from flows.commands import whatif

    settings = _settings(config)
    traffic, book, today = _traffic(settings, feature, model)
    provider, _, name = to.partition("/")
    if not name:
        raise FlowError(f"--to {to!r} names no provider — write provider/model, as in openai/gpt-5-mini")
    band = whatif.find_price(book, provider, name, today, input_tokens=traffic.input_per_call)
    ratio = read_range(token_ratio, "--token-ratio")
    if cascade:
        answer = whatif.cascade(
            traffic, (provider, name), band, escalated=_shares(escalated, "--escalated"), token_ratio=ratio
        )
    else:
        answer = whatif.route(
            traffic,
            (provider, name),
            band,
            share=_shares(share, "--share"),
            token_ratio=ratio,
            relative_success=_positive(relative_success, "--relative-success"),
            classifier_usd_per_call=read_range(classifier, "--classifier"),
        )
    _say(answer)


@whatif_app.command("cache")
def cache(
    feature: FeatureOption,
    model: ModelOption = None,
    cacheable: Annotated[
        str | None, typer.Option(help="Part of the input that repeats. [default: 0.3..0.7, and what is cached today]")
    ] = None,
    hit_rate: Annotated[str, typer.Option(help="Part of the calls that find it in the cache.")] = "0.6..0.9",
    config: ConfigOption = None,
) -> None:
    """Read the repeated prefix of prompts from the provider's cache."""
    from flows.commands import whatif

    traffic, book, today = _traffic(_settings(config), feature, model)
    band = whatif.find_price(book, traffic.provider, traffic.model, today, input_tokens=traffic.input_per_call)
    prefix = _shares(cacheable, "--cacheable") if cacheable else whatif.usual_prefix(traffic)
    _say(whatif.cache(traffic, band, cacheable_share=prefix, hit_rate=_shares(hit_rate, "--hit-rate")))


@whatif_app.command("batch")
def batch(
    feature: FeatureOption,
    model: ModelOption = None,
    share: Annotated[str, typer.Option(help="Part of the calls that can wait a day.")] = "0.1..0.5",
    config: ConfigOption = None,
) -> None:
    """Send what can wait as a batch."""
    from flows.commands import whatif

    traffic, book, today = _traffic(_settings(config), feature, model)
    size = traffic.input_per_call
    band = whatif.find_price(book, traffic.provider, traffic.model, today, input_tokens=size)
    cheaper = whatif.find_price(book, traffic.provider, traffic.model, today, tier="batch", input_tokens=size)
    _say(whatif.batch(traffic, band, cheaper, share=_shares(share, "--share")))


@whatif_app.command("trim")
def trim(
    feature: FeatureOption,
    model: ModelOption = None,
    max_input: Annotated[int | None, typer.Option(min=1, help="Cap on a call's whole input, tokens.")] = None,
    max_output: Annotated[int | None, typer.Option(min=1, help="Cap on a call's output, tokens.")] = None,
    kept: Annotated[str, typer.Option(help="Part of the saving that comes back as calls made again.")] = "0.1..0.5",
    config: ConfigOption = None,
) -> None:
    """Cap context and output. Reads the calls themselves, so it cannot work while a run does."""
    from flows.commands import whatif
    from warehouse.whatif_reads import read_trim

    if max_input is None and max_output is None:
        raise FlowError("nothing is capped — give --max-input, --max-output, or both")
    caps = {"most_input": max_input or whatif.NO_CAP, "most_output": max_output or whatif.NO_CAP}
    settings = _settings(config)
    traffic, book, _ = _traffic(settings, feature, model)
    with open_home(settings) as warehouse:
        found = read_trim(
            warehouse.con,
            book,
            feature=feature,
            provider=traffic.provider,
            model=traffic.model,
            **caps,
            last_day=traffic.last_day,
            days=traffic.seen_days,
            left_out=traffic.left_out,
        )
    _say(whatif.trim(traffic, found, **caps, kept=_shares(kept, "--kept")))


@whatif_app.command("quantize")
def quantize(
    feature: FeatureOption,
    model: ModelOption = None,
    gain: Annotated[str, typer.Option(help="Tokens per second after ÷ before.")] = "1.3..1.8",
    extra_retries: Annotated[str, typer.Option(help="Retries per first call that come on top.")] = "0..0.05",
    config: ConfigOption = None,
) -> None:
    """Serve a self-hosted model in fewer bits: throughput gained against retries measured."""
    from flows.commands import whatif
    from warehouse.whatif_reads import read_gpu_cost

    settings = _settings(config)
    traffic, _, _ = _traffic(settings, feature, model)
    with open_published(settings) as con:
        cost_usd = read_gpu_cost(
            con, feature=feature, last_day=traffic.last_day, days=traffic.seen_days, left_out=traffic.left_out
        )
    if not cost_usd:
        raise FlowError(f"{feature} has no GPU machines in its last settled days — there is nothing to quantize")
    _say(
        whatif.quantize(
            traffic,
            cost_usd,
            gain=_positive(gain, "--gain"),
            extra_retries=read_range(extra_retries, "--extra-retries"),
        )
    )


@whatif_app.command("selfhost")
def selfhost(
    feature: FeatureOption,
    model: ModelOption = None,
    usd_per_hour: Annotated[str, typer.Option(help="A pod's price per hour.")] = "19",
    tokens_per_second: Annotated[str, typer.Option(help="Tokens a second that a pod serves.")] = "2800",
    utilisation: Annotated[str, typer.Option(help="Part of the time that it is busy.")] = "0.3..0.6",
    ops: Annotated[str, typer.Option(help="Dollars a month to operate it.")] = "0..5000",
    config: ConfigOption = None,
) -> None:
    """Serve the traffic from an own pod; says the break-even, and which hardware price would make folklore true."""
    from flows.commands import whatif

    traffic, _, _ = _traffic(_settings(config), feature, model)
    _say(
        whatif.selfhost(
            traffic,
            usd_per_hour=_positive(usd_per_hour, "--usd-per-hour"),
            tokens_per_second=_positive(tokens_per_second, "--tokens-per-second"),
            utilisation=_positive(utilisation, "--utilisation", most=Decimal(1)),
            ops_usd_per_month=read_range(ops, "--ops"),
        )
    )


def read_range(text: str, option: str) -> Range:
    """`0.4..0.8`, `0.6` or `40%..80%`. Raises FlowError naming the option."""
    from alerts.whatifs import Range

    ends = []
    for part in text.split("..") if ".." in text else [text, text]:
        number = part.strip()
        try:
            value = Decimal(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
        except InvalidOperation:
            value = Decimal("nan")
        if not value.is_finite() or value < 0:
            raise FlowError(f"{option} {text!r}: {part!r} is no number — write 0.6, 60% or a range as 0.4..0.8")
        ends.append(value)
    if len(ends) != 2 or ends[0] > ends[1]:
        raise FlowError(f"{option} {text!r} is no range — write its low end first, as in 0.4..0.8")
    return Range.between(*ends)


def _shares(text: str, option: str) -> Range:
    found = read_range(text, option)
    if found.high > 1:
        raise FlowError(f"{option} {text!r} is more than all of it — write a part from 0 to 1")
    return found


def _positive(text: str, option: str, *, most: Decimal | None = None) -> Range:
    found = read_range(text, option)
    if found.low <= 0 or (most is not None and found.high > most):
        raise FlowError(f"{option} {text!r} must be above 0" + (f" and at most {most}" if most is not None else ""))
    return found


def _settings(config: Path | None) -> Settings:
    from flows.lake import bring_published
    from flows.settings import config_path, load_settings

    settings = load_settings(config_path(config))
    bring_published(settings)
    return settings


def open_published(settings: Settings) -> Any:
    from flows.run import Home
    from warehouse.reads import open_snapshot

    published = Home(settings.home).published
    if not published.is_file():
        raise FlowError(f"{published}: nothing is published yet — `trendbreak run` publishes")
    return open_snapshot(published)


def _traffic(settings: Settings, feature: str, model: str | None) -> tuple[Traffic, Any, Any]:
    """(traffic, prices, today). Raises FlowError naming what there is."""
    from flows.commands.whatif import Traffic
    from flows.run import read_prices
    from warehouse.whatif_reads import read_traffic

    book = read_prices(settings)
    with open_published(settings) as con:
        rows = read_traffic(con, feature=feature)
        known = rows or sorted({row["feature"] for row in read_traffic(con)})
    if not rows:
        raise FlowError(f"telemetry knows no calls of {feature!r} in its last settled days — it knows {_list(known)}")
    chosen = [row for row in rows if model in (None, row["model"], f"{row['provider']}/{row['model']}")]
    if not chosen:
        raise FlowError(f"{feature} did not call {model!r} — it called {_list(row['model'] for row in rows)}")
    return Traffic.of(chosen[0]), book, datetime.now(UTC).date()


def _list(names: Any) -> str:
    return ", ".join(str(name) for name in names) or "none"


def _say(answer: Answer) -> None:
    from flows.commands.whatif import money

    saved, new = answer.saving_usd, answer.new_cost_usd
    ends = f"{money(saved.expected)} a month ({money(saved.low)} to {money(saved.high)})"
    if saved.high < 0:
        ends = f"{money(-saved.expected)} a month ({money(-saved.high)} to {money(-saved.low)})"
    verdict = "saves" if saved.low > 0 else "loses" if saved.high < 0 else "may save or lose"
    typer.echo(f"{answer.kind}: {answer.subject}")
    typer.echo(f"  costs  {money(answer.cost_usd)} a month")
    typer.echo(f"  would cost  {money(new.expected)} a month ({money(new.low)} to {money(new.high)})")
    typer.echo(f"  {verdict}  {ends}")
    typer.echo("assumed:")
    for line in (*answer.basis, *answer.assumptions):
        typer.echo(f"  - {line}")
