"""prices.yml: what you pay instead of the list price, from a day on.

    version: 1
    prices:
      - provider: anthropic            # as the warehouse calls it: openai, anthropic, aws, gcp, azure, …
        model: claude-*                # a model, or a pattern with * and ?; left out: every model
        account: ws_support            # sub-account or API key; left out: every account
        valid_from: 2026-03-01         # first day
        valid_to: 2026-12-31           # last day; left out: until further notice
        percent: -12                   # of the list price, all kinds of tokens, every tier
      - provider: openai
        model: ft-support-bot
        valid_from: 2026-03-01
        tier: batch                    # standard (as if left out), batch, flex or priority
        above_input_tokens: 200000     # only calls with more input than this; left out: all
        usd_per_million_tokens: {input: 0.40, cache_read: 0.04, output: 1.60}

Of several entries that hold for a call the most specific one does: account before model before pattern,
then the later valid_from, then the later line. A kind that an entry does not name keeps its list price;
where there is none, cache_read and cache_write cost what input does, reasoning what output does.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from warehouse.errors import WarehouseError

# A decimal place beyond the ninth of a dollar per million tokens is not kept.
Usd = Annotated[Decimal, Field(ge=0, le=100_000, max_digits=15, decimal_places=9, allow_inf_nan=False)]


class PricesError(WarehouseError):
    """prices.yml cannot work as it stands; the text lists every problem, one per line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenPrices(_Strict):
    """US dollars per million tokens of each kind."""

    input: Usd | None = None
    cache_read: Usd | None = None
    cache_write: Usd | None = None
    output: Usd | None = None
    reasoning: Usd | None = None

    def named(self) -> dict[str, Decimal]:
        """The kinds that are given."""
        return {kind: price for kind, price in self if price is not None}


class NegotiatedPrice(_Strict):
    """One entry: a change to the list price, or prices in its place."""

    provider: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)] = "*"
    account: Annotated[str, Field(min_length=1)] | None = None
    tier: Literal["standard", "batch", "flex", "priority"] | None = None
    valid_from: date
    valid_to: date | None = None
    percent: Annotated[Decimal, Field(gt=-100, le=1000, allow_inf_nan=False)] | None = None
    usd_per_million_tokens: TokenPrices | None = None
    above_input_tokens: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> NegotiatedPrice:
        if (self.percent is None) == (self.usd_per_million_tokens is None):
            raise ValueError("write either `percent:` or `usd_per_million_tokens:`")
        if self.usd_per_million_tokens is not None and not self.usd_per_million_tokens.named():
            raise ValueError("usd_per_million_tokens names no kind of token")
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to is before valid_from {self.valid_from}: the entry would never hold")
        return self

    def holds(self, *, provider: str, model: str, account: str | None, tier: str, day: date) -> bool:
        """Whether the entry speaks for such a call."""
        return (
            self.provider == provider
            and fnmatchcase(model, self.model)
            and self.account in (None, account)
            and self._speaks_for(tier)
            and self.valid_from <= day
            and (self.valid_to is None or day <= self.valid_to)
        )

    def _speaks_for(self, tier: str) -> bool:
        if self.tier is None and self.percent is not None:
            return True
        return (self.tier or "standard") == tier


class Prices(_Strict):
    """A checked prices.yml. Make it with `load_prices` or `parse_prices`."""

    version: Literal["1"]
    prices: tuple[NegotiatedPrice, ...] = ()


NO_PRICES = Prices(version="1")


def load_prices(path: Path) -> Prices:
    """Read and check the file. Raises PricesError listing every problem as `file:line: field: problem`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PricesError(f"{path}: no such file — check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PricesError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_prices(text, name=str(path))


def parse_prices(text: str, *, name: str = "prices.yml") -> Prices:
    """Check the text of a prices.yml; `name` is how errors call it."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise PricesError(f"{name}:{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    lines: dict[tuple[str | int, ...], int] = {}
    problems: list[tuple[int, str]] = []
    raw = _read(node, (), lines, problems)
    if not isinstance(raw, dict):
        raise PricesError(f"{name}:1: the file must be a mapping that starts with `version: 1`")
    found: Prices | None = None
    try:
        found = Prices.model_validate(raw)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            problems.append(_explain(problem, lines))
    if problems or found is None:
        raise PricesError("\n".join(f"{name}:{line}: {text}" for line, text in sorted(set(problems))))
    return found


def _read(
    node: yaml.Node | None,
    loc: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
    problems: list[tuple[int, str]],
) -> Any:
    """The node's plain content, every scalar as its text; notes lines, and keys that stand twice."""
    if node is None:
        return None
    lines.setdefault(loc, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in content:
                problems.append((line, f"{_field((*loc, key))}: this key is written twice; the second would win"))
                continue
            lines[(*loc, key)] = line
            content[key] = _read(value_node, (*loc, key), lines, problems)
        return content
    if isinstance(node, yaml.SequenceNode):
        return [_read(item, (*loc, index), lines, problems) for index, item in enumerate(node.value)]
    return None if node.tag == "tag:yaml.org,2002:null" else node.value


def _explain(problem: Any, lines: Mapping[tuple[str | int, ...], int]) -> tuple[int, str]:
    loc = tuple(problem["loc"])
    field = f"{_field(loc)}: " if loc else ""
    here = loc
    while here and here not in lines:
        here = here[:-1]
    line = lines.get(here, 1)
    if problem["type"] == "extra_forbidden":
        valid = _valid_keys(loc)
        near = difflib.get_close_matches(str(loc[-1]), valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
        return line, f"{field}unknown key; {hint}"
    if problem["type"] == "missing":
        return line, f"{field}this key is required"
    if loc == ("version",):
        return line, f"{field}this program reads version 1, not {problem.get('input')!r}"
    given = problem.get("input")
    shown = f", not {given!r}" if isinstance(given, str) else ""
    text = str(problem["msg"]).removeprefix("Value error, ")
    return line, f"{field}{text[:1].lower() + text[1:]}{shown}"


def _valid_keys(loc: tuple[str | int, ...]) -> list[str]:
    model: type[BaseModel] = Prices
    if len(loc) > 1:
        model = TokenPrices if "usd_per_million_tokens" in loc[:-1] else NegotiatedPrice
    return list(model.model_fields)


def _field(loc: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
