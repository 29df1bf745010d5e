"""The query that shows the reader the same days."""

from __future__ import annotations

from datetime import timedelta

from alerts.message.sentences import find_newcomer
from alerts.model import ALL_FEATURES, UNALLOCATED, Break


def make_sql(found: Break) -> str:
    """A query for the published snapshot that returns the days and figures of this break.

    The angle brackets and the ampersand of a hostile name are spelled with chr(), so that the query can
    be shown anywhere without escaping and pasted from there unchanged.
    """
    since = max(found.onset - timedelta(days=60), found.data_through - timedelta(days=89))
    since = min(since, found.onset - timedelta(days=28))
    days = f"BETWEEN DATE '{since.isoformat()}' AND DATE '{found.data_through.isoformat()}'"
    feature = sql_text(found.node)
    if found.node == ALL_FEATURES:
        return (
            f"SELECT charge_date, feature, effective_cost_before_credits_usd\n"
            f"FROM marts.feature_cost_daily\n"
            f"WHERE charge_date {days}\n"
            f"ORDER BY charge_date, feature"
        )
    if found.kind in ("unit_cost", "zero_success", "usage"):
        return (
            f"SELECT usage_date, effective_cost_usd, calls, retries, tasks, successful_tasks,\n"
            f"       cost_per_task_usd, cost_per_successful_task_usd\n"
            f"FROM marts.feature_unit_economics_daily\n"
            f"WHERE feature = {feature}\n"
            f"  AND usage_date {days}\n"
            f"ORDER BY usage_date"
        )
    newcomer = find_newcomer(found)
    if found.node == UNALLOCATED and newcomer is not None:
        return (
            f"SELECT charge_date, effective_cost_before_credits_usd\n"
            f"FROM marts.feature_member_daily\n"
            f"WHERE feature = {feature} AND dimension = {sql_text(newcomer.dimension)}\n"
            f"  AND member = {sql_text(newcomer.member)}\n"
            f"  AND charge_date {days}\n"
            f"ORDER BY charge_date"
        )
    return (
        f"SELECT charge_date, effective_cost_before_credits_usd\n"
        f"FROM marts.feature_cost_daily\n"
        f"WHERE feature = {feature}\n"
        f"  AND charge_date {days}\n"
        f"ORDER BY charge_date"
    )


def sql_text(text: str) -> str:
    parts: list[str] = []
    plain = ""
    for character in text:
        if character in "<>&`" or not character.isprintable():
            parts.extend(([f"'{plain}'"] if plain else []) + [f"chr({ord(character)})"])
            plain = ""
        else:
            plain += "''" if character == "'" else character
    if plain or not parts:
        parts.append(f"'{plain}'")
    return parts[0] if len(parts) == 1 else f"({' || '.join(parts)})"
