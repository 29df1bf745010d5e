"""Three queries to try next. They run on the published snapshot; a test runs each of them."""

from __future__ import annotations

from pathlib import Path

from flows.commands.terminal import command
from flows.report.data import SuggestedQuery

_QUESTIONS = (
    ("What does one success of each feature cost, and what did it cost before?", "cost-per-successful-task"),
    ("What belongs to no feature, and since when?", "unallocated"),
    (
        "What do we pay per model? Your own SQL, read-only:",
        "SELECT model, sum(effective_cost_usd) AS usd, sum(tokens) AS tokens "
        "FROM core.allocations WHERE model IS NOT NULL GROUP BY ALL ORDER BY usd DESC",
    ),
)


def suggest_queries(config: Path | None = None) -> tuple[SuggestedQuery, ...]:
    """Two canned queries and one SELECT, as commands that work when pasted into the shell that ran this."""
    return tuple(SuggestedQuery(title, command("query", query, config=config)) for title, query in _QUESTIONS)
