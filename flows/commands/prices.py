"""`trendbreak prices`: what a model costs on a day, and what other prices would make of the traffic."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from flows.errors import FlowError
from flows.lake import open_home
from flows.run import read_prices
from flows.settings import Settings

if TYPE_CHECKING:
    from warehouse.prices import Band

_SHOWN_PROVIDERS = ("openai", "anthropic", "gcp", "aws", "azure", "mistral", "deepseek", "xai", "groq", "cohere")


def show_prices(settings: Settings | None, model: str, *, as_of: date, console: Console) -> None:
    """The prices of `model` on a day, per provider, tier and context. `provider/model` asks one provider.

    Raises FlowError where no provider's price is known.
    """
    from warehouse.prices import KINDS, TIERS, PriceBook

    book = read_prices(settings) if settings else PriceBook()
    asked, _, name = model.rpartition("/")
    own = {entry.provider for entry in book.prices.prices}
    providers = [asked] if asked else list(dict.fromkeys((*_SHOWN_PROVIDERS, *sorted(own))))
    table = Table("", *(kind.replace("_", " ") for kind in KINDS), box=None)
    origins: set[str] = set()
    for provider in providers:
        for account in (None, *book.accounts()):
            for tier in TIERS:
                for band in book.bands(provider, name, account=account, tier=tier):
                    is_of_the_account = account is None or band not in book.bands(provider, name, tier=tier)
                    if band.valid_from <= as_of < band.valid_to and is_of_the_account:
                        who = ", ".join(filter(None, (provider, account, tier, _calls(band))))
                        table.add_row(who, *(_usd(band.usd_per_million[kind]) for kind in KINDS))
                        origins.add(band.origin)
    if not table.row_count:
        raise FlowError(
            f"the price of {model} on {as_of} is not known — give it in prices.yml (`prices:` in trendbreak.yml names "
            "the file)"
        )
    console.print(f"{name} on {as_of}, US dollars per million tokens", markup=False, highlight=False)
    console.print(table)
    console.print(f"from {'; '.join(sorted(origins))}", markup=False, highlight=False)


def diff_prices(settings: Settings, new: Path, *, since: date | None, until: date | None, console: Console) -> None:
    """The telemetry of a period at the prices that hold now and at those of `new`; nothing is changed.

    Takes the warehouse's lock while it reads the calls. Raises FlowError for an empty period.
    """
    from warehouse.prices import PriceBook, load_prices
    from warehouse.prices.tables import called_days, reprice

    book, other = read_prices(settings), PriceBook(load_prices(new))
    with open_home(settings) as warehouse:
        days = called_days(warehouse.con)
        if days is None:
            raise FlowError("there is no telemetry to price — `trendbreak run` loads it")
        first, end = since or days[0], until or days[1]
        if first >= end:
            raise FlowError(f"--since {first} is not before --until {end} — --until is the day after the last")
        now = reprice(warehouse.con, book, since=first, until=end)
        then = reprice(warehouse.con, other, since=first, until=end)
    if not now:
        raise FlowError(
            f"there are no calls from {first} to before {end} — telemetry reaches from {days[0]} to {days[1]}"
        )
    table = Table("feature", "provider", "model", "calls", "now", "new", "change", box=None)
    total = [Decimal(0), Decimal(0)]
    unpriced = [0, 0]
    for key, (calls, without, usd) in now.items():
        _, new_without, new_usd = then[key]
        total = [total[0] + (usd or 0), total[1] + (new_usd or 0)]
        unpriced = [unpriced[0] + without, unpriced[1] + new_without]
        change = "" if usd is None or new_usd is None else f"{new_usd - usd:+,.2f}"
        table.add_row(*(part or "" for part in key), f"{calls:,}", _usd(usd, 2), _usd(new_usd, 2), change)
    table.add_row("total", "", "", "", *(f"{usd:,.2f}" for usd in total), f"{total[1] - total[0]:+,.2f}")
    console.print(f"{first} to before {end}, US dollars, tokens × price", markup=False, highlight=False)
    console.print(table)
    for count, which in zip(unpriced, ("now", "at the new prices"), strict=True):
        if count:
            console.print(f"{count:,} calls have no known price {which}: they are in no sum", markup=False)


def _calls(band: Band) -> str:
    """Which calls the prices are for, where they are not for all."""
    parts = []
    if band.up_to_input_tokens is not None:
        parts.append(f"to {band.up_to_input_tokens // 1000:,}k in")
    elif band.above_input_tokens:
        parts.append(f"above {band.above_input_tokens // 1000:,}k in")
    if band.time_to is not None or band.time_from != time(0):
        parts.append(f"{band.time_from:%H:%M}–{band.time_to or time(0):%H:%M} UTC")
    return ", ".join(parts)


def _usd(usd: Decimal | None, places: int | None = None) -> str:
    if usd is None:
        return "—"
    return f"{usd:,.{places}f}" if places is not None else f"{usd.normalize():,f}"
