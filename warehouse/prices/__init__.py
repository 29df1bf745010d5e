"""What a token costs on a day: list prices of the genai-prices catalogue, and prices of your own over them.

    book     PriceBook: dated bands of prices per provider, model, account and tier, in exact decimals
    files    prices.yml, the negotiated prices
    tables   core.prices, and which price a call is billed at

A price that is not known is None, never 0.
"""

from __future__ import annotations

from warehouse.prices.book import KINDS, TIERS, Band, PriceBook
from warehouse.prices.files import NO_PRICES, NegotiatedPrice, Prices, PricesError, load_prices, parse_prices

__all__ = [
    "KINDS",
    "NO_PRICES",
    "TIERS",
    "Band",
    "NegotiatedPrice",
    "PriceBook",
    "Prices",
    "PricesError",
    "load_prices",
    "parse_prices",
]
