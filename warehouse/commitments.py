"""What was paid or promised in advance: the grants that marts.commitments counts down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from warehouse.statements import render

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Commitment:
    """Prepaid credits, or a commitment to spend, at one source; `valid_to` is its last day."""

    name: str
    source_name: str
    kind: str  # prepaid_credits | spend_commitment
    granted_usd: Decimal
    valid_from: date
    valid_to: date | None
    provider: str | None = None


def write_commitments(con: duckdb.DuckDBPyConnection, commitments: Iterable[Commitment]) -> None:
    """Replace core.commitments."""
    con.execute(render("build/write_commitments.sql"))
    for one in commitments:
        con.execute("INSERT INTO core.commitments VALUES (?, ?, ?, ?, ?, ?, ?)", list(vars(one).values()))
