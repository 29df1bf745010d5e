"""core.prices: the dated prices of every model that telemetry or a provider's meter names.

The table, the temporary view `priced_calls` (one row per call that counts, with its dollars) and what is added up of
it stand before the models are built: core.usage and the marts of unit economics read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from warehouse.prices.book import KINDS, TIERS, PriceBook
from warehouse.statements import render

if TYPE_CHECKING:
    import duckdb

_PRICE = pa.decimal128(18, 9)
_PRICES = pa.schema(
    [
        ("price_id", pa.int32()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("account", pa.string()),
        ("pricing_tier", pa.string()),
        ("valid_from", pa.date32()),
        ("valid_to", pa.date32()),
        ("time_from", pa.time64("us")),
        ("time_to", pa.time64("us")),
        ("above_input_tokens", pa.int64()),
        ("up_to_input_tokens", pa.int64()),
        *((f"{kind}_usd_per_million", _PRICE) for kind in KINDS),
        ("price_origin", pa.string()),
    ]
)


def apply_prices(con: duckdb.DuckDBPyConnection, book: PriceBook) -> None:
    """Replace core.prices, and make the temporary view priced_calls and tables priced_hours, usage_rows and user_days.

    Runs inside the caller's transaction. A call without a known price has no dollars.
    """
    _write_prices(con, book, "core.prices")
    con.execute(
        "COMMENT ON TABLE core.prices IS 'Dated prices, US dollars per million tokens, of every model that telemetry "
        "or a meter names. valid_to is the day after the last. A model that is not here has no known price.'"
    )
    _write_accounts(con, book)
    _view_calls(con, "priced_calls", "core.prices")
    _write_hours(con)
    con.execute(render("prices/usage_rows.sql"))
    con.execute(render("prices/placed_calls.sql"))
    con.execute(render("prices/user_days.sql"))


def _view_calls(
    con: duckdb.DuckDBPyConnection, name: str, prices: str, *, since: date | None = None, until: date | None = None
) -> None:
    """temp view `name`: the calls that count, with their dollars at `prices`, which temp table <name>_prices keeps."""
    ((is_whole,),) = con.execute(render("prices/whole.sql", kinds=KINDS, prices=prices)).fetchall()
    kept = f"{name}_prices"
    con.execute(render("prices/units.sql", name=kept, prices=prices, kinds=KINDS, is_whole=is_whole))
    con.execute(
        render(
            "prices/priced_calls.sql",
            name=name,
            prices=kept,
            kinds=KINDS,
            is_whole=is_whole,
            since=since,
            until=until,
        )
    )


def _write_hours(con: duckdb.DuckDBPyConnection) -> None:
    """temp table priced_hours: dollars are computed once per group of calls, where that gives the same digits."""
    sizes, minutes, fine_prices = con.execute(render("prices/steps.sql", kinds=KINDS)).fetchall()[0]
    by_group = not fine_prices
    if by_group:
        con.execute(render("prices/call_groups.sql", kinds=KINDS, sizes=sizes or [], minutes=minutes or []))
        con.execute(render("prices/priced_groups.sql", kinds=KINDS))
    else:
        con.execute(render("prices/single_calls.sql", kinds=KINDS))
    con.execute(render("prices/priced_hours.sql", by_group=by_group))
    for view in ("priced_groups", "single_calls"):
        con.execute(f"DROP VIEW IF EXISTS temp.main.{view}")
    con.execute("DROP TABLE IF EXISTS temp.main.call_groups")


def reprice(
    con: duckdb.DuckDBPyConnection, book: PriceBook, *, since: date, until: date
) -> dict[tuple[str, str | None, str | None], tuple[int, int, Decimal | None]]:
    """(feature, provider, model) → (calls, calls without a price, dollars) of the calls of [since, until) at
    the prices of `book`; dollars are None where no call has a price. Nothing that stays is written."""
    with calls_priced_anew(con, book, since=since, until=until):
        rows = con.execute(render("prices/repriced.sql")).fetchall()
    return {
        (feature, provider, model): (calls, unpriced, usd) for feature, provider, model, calls, unpriced, usd in rows
    }


@contextmanager
def calls_priced_anew(con: duckdb.DuckDBPyConnection, book: PriceBook, *, since: date, until: date) -> Iterator[None]:
    """Within the block the temporary view `repriced` holds the calls of [since, until) at the prices of `book`."""
    _write_prices(con, book, "other_prices", temporary=True)
    _write_accounts(con, book)
    _view_calls(con, "repriced", "other_prices", since=since, until=until)
    try:
        yield
    finally:
        con.execute("DROP VIEW IF EXISTS temp.main.repriced")
        for name in ("other_prices", "repriced_prices", "price_accounts"):
            con.execute(f"DROP TABLE IF EXISTS temp.main.{name}")


def _write_prices(con: duckdb.DuckDBPyConnection, book: PriceBook, table: str, *, temporary: bool = False) -> None:
    rows: list[dict[str, Any]] = []
    for provider, model in con.execute(render("prices/named_models.sql")).fetchall():
        for account in (None, *book.accounts()):
            for tier in TIERS:
                rows += _rows(book, provider, model, account, tier)
    columns = {name: [row[name] for row in rows] for name in _PRICES.names if name != "price_id"}
    con.register("_prices", pa.table({"price_id": range(1, len(rows) + 1), **columns}, schema=_PRICES))
    try:
        con.execute(render("prices/create.sql", table=table, temporary=temporary))
    finally:
        con.unregister("_prices")


def _rows(book: PriceBook, provider: str, model: str, account: str | None, tier: str) -> list[dict[str, Any]]:
    return [
        {
            "provider": provider,
            "model": model,
            "account": account,
            "pricing_tier": tier,
            "valid_from": band.valid_from,
            "valid_to": band.valid_to,
            "time_from": band.time_from,
            "time_to": band.time_to,
            "above_input_tokens": band.above_input_tokens,
            "up_to_input_tokens": band.up_to_input_tokens,
            **{f"{kind}_usd_per_million": band.usd_per_million[kind] for kind in KINDS},
            "price_origin": band.origin,
        }
        for band in book.bands(provider, model, account=account, tier=tier)
    ]


def _write_accounts(con: duckdb.DuckDBPyConnection, book: PriceBook) -> None:
    """temp table price_accounts: API key → the account in prices.yml that it is, or belongs to by the bill."""
    con.execute(render("prices/accounts.sql"), [list(book.accounts())])


def called_days(con: duckdb.DuckDBPyConnection) -> tuple[date, date] | None:
    """First day with a call, and the day after the last; None without telemetry."""
    row = con.execute(render("prices/called_days.sql")).fetchone()
    return (row[0], row[1]) if row and row[0] else None
