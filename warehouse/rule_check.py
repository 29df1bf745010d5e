"""What the rules of features.yml do to the charges that are there: which take nothing, and what nobody takes.

Everything is told in US dollars of the last DAYS days with charges, effective cost before credits.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from warehouse.features import Features
from warehouse.matching import WORD
from warehouse.statements import render
from warehouse.taking import NOBODY, HasConnection, joined_as_written, tried_rules

DAYS = 30
# What tells whose a charge is, where neither a tag nor a namespace nor an API key does.
_PLACE = ("provider", "sub_account_id", "service_name", "ai_kind")
_READ = ("api_key_id", *_PLACE)
_OWNER_TAGS = re.compile(
    r"^(.*[:/_-])?(feature|app|application|project|team|product|component|service|workload)$", re.IGNORECASE
)
_NAMESPACES = ("k8s.namespace", "k8s-namespace", "aws:eks:namespace", "kubernetes_namespace")
_PLACEHOLDER = "name_of_the_feature"


@dataclass(frozen=True)
class RuleUse:
    """One rule, in the order of trying: what it takes, and what it would take if it came first."""

    name: str
    target: str
    cost_usd: Decimal
    charges: int  # of all days
    matching_charges: int  # also those that earlier rules take
    taken_before_by: tuple[str, ...]  # the earlier rules that take charges which this one matches too
    last_charge_date: date | None

    @property
    def is_dead(self) -> bool:
        """No charge at all looks like what it asks for."""
        return self.matching_charges == 0

    @property
    def is_shadowed(self) -> bool:
        """Charges match, and earlier rules take every one."""
        return self.matching_charges > 0 and self.charges == 0


@dataclass(frozen=True)
class Overlap:
    """Charges that two rules match: `first` takes them."""

    first: str
    second: str
    cost_usd: Decimal


@dataclass(frozen=True)
class Suggestion:
    """A rule that would take some of what nobody takes, as YAML of one item of `rules:`."""

    cost_usd: Decimal  # what it takes, in the last DAYS days
    yaml: str


@dataclass(frozen=True)
class RuleReport:
    """What `check_rules` found; suggestions are the largest first."""

    rules: tuple[RuleUse, ...]
    overlaps: tuple[Overlap, ...]
    unallocated_usd: Decimal
    total_usd: Decimal  # AI spend: what rules take, and what nobody does
    suggestions: tuple[Suggestion, ...]


def check_rules(wh: HasConnection, features: Features, *, suggestions: int = 5) -> RuleReport:
    """Try every rule on every charge; reads core.charges and changes nothing."""
    rules = features.rules_in_order()
    with tried_rules(wh.con, rules) as tried, joined_as_written(wh.con):
        found = wh.con.execute(render("rules/matches.sql", **tried, days=DAYS)).to_arrow_table()
        left = wh.con.execute(
            render("rules/nobodys.sql", **tried, days=DAYS, columns=(*_READ, "tags"))
        ).to_arrow_table()
    costs = found["cost_usd"].to_pylist()
    charges = found["charges"].to_numpy()
    last = found["last_charge_date"].to_pylist()
    taken = found["_taken"].to_numpy()
    uses, overlaps = [], []
    for index, rule in enumerate(rules):
        match = (found[f"_w{index // WORD}"].to_numpy() >> index % WORD & 1).astype(np.bool_)
        own = np.flatnonzero(taken == index)
        earlier = match & (taken != index)
        rivals = sorted(set(taken[earlier].tolist()))
        uses.append(
            RuleUse(
                name=str(rule.name),
                target=rule.target,
                cost_usd=_sum(costs, own),
                charges=int(charges[own].sum()),
                matching_charges=int(charges[match].sum()),
                taken_before_by=tuple(str(rules[rival].name) for rival in rivals),
                last_charge_date=max((last[row] for row in own), default=None),
            )
        )
        for rival in rivals:
            if rules[rival].target != rule.target:
                overlap_usd = _sum(costs, np.flatnonzero(earlier & (taken == rival)))
                overlaps.append(Overlap(str(rules[rival].name), str(rule.name), overlap_usd))
    return RuleReport(
        rules=tuple(uses),
        overlaps=tuple(sorted(overlaps, key=lambda one: (-one.cost_usd, one.first, one.second))),
        unallocated_usd=_sum(costs, np.flatnonzero(taken == NOBODY)),
        total_usd=_sum(costs, np.flatnonzero(taken >= NOBODY)),
        suggestions=tuple(_suggest(left, features, limit=suggestions)),
    )


def _sum(costs: Sequence[Decimal], rows: NDArray[Any]) -> Decimal:
    return sum((costs[row] for row in rows.tolist()), Decimal(0))


def _suggest(unowned: pa.Table, features: Features, *, limit: int) -> list[Suggestion]:
    """One rule at a time: the one that takes most of what is still nobody's, then again without that."""
    left = set(range(unowned.num_rows))
    costs = unowned["cost_usd"].to_pylist()
    conditions = [_conditions(charge) for charge in unowned.select((*_READ, "tags")).to_pylist()]
    suggestions: list[Suggestion] = []
    while left and len(suggestions) < limit:
        groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
        for row in left:
            if conditions[row]:
                groups.setdefault(conditions[row], []).append(row)
        sums = {when: sum((costs[row] for row in members), Decimal(0)) for when, members in groups.items()}
        best = max(sums, key=lambda when: (sums[when], when), default=None)
        if best is None or sums[best] <= 0:
            break
        suggestions.append(Suggestion(sums[best], _write_rule(best, features)))
        left -= set(groups[best])
    return suggestions


def _conditions(charge: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    """What a rule for this charge would ask: the one thing that tells best whose it is, or where it stands."""
    tags = json.loads(charge["tags"]) if charge["tags"] else {}
    owners = [(f"tag.{key}", text) for key, text in sorted(tags.items()) if _OWNER_TAGS.match(key) and text]
    namespaces = [("k8s.namespace", tags[key]) for key in _NAMESPACES if tags.get(key)]
    if owners or namespaces:
        return ((owners or namespaces)[0],)
    asked = ("provider", "api_key_id") if charge["api_key_id"] else _PLACE
    return tuple((name, str(charge[name])) for name in asked if charge[name])


def _write_rule(when: tuple[tuple[str, str], ...], features: Features) -> str:
    asked = ", ".join(f"{_quote(key)}: {_quote(text)}" for key, text in when)
    # A rule with a later priority than the others takes only what they leave.
    last = max((rule.priority for rule in features.rules), default=100)
    priority = f"priority: {last}, " if last > 100 else ""
    target = _guess_feature(" ".join(text for key, text in when if key not in ("provider", "ai_kind")), features)
    return f"- {{{priority}when: {{{asked}}}, feature: {_quote(target)}}}"


def _quote(text: str) -> str:
    """A double-quoted YAML text, whatever a name from a bill may hold."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def _guess_feature(text: str, features: Features) -> str:
    """The feature whose name the charge's own naming resembles; a placeholder where none does."""
    plain = {re.sub(r"[^a-z0-9]+", "", name.lower()): name for name in features.features}
    wanted = re.sub(r"[^a-z0-9]+", "", text.lower())
    held = [name for key, name in plain.items() if key and key in wanted]
    near = difflib.get_close_matches(wanted, list(plain), n=1, cutoff=0.7)
    return max(held, key=len) if held else plain[near[0]] if near else _PLACEHOLDER
