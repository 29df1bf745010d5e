"""`trendbreak tags`: what the rules of features.yml take, what others would, and the change to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.report import figures
from flows.run import Home, open_run
from flows.settings import Settings

if TYPE_CHECKING:
    from warehouse.rule_changes import RuleMove
    from warehouse.rule_check import RuleReport, RuleUse

OVERLAPS_SHOWN = 10


def show_check(settings: Settings, console: Console) -> bool:
    """Print what every rule takes and what nobody does; True when no rule takes nothing."""
    from warehouse.features import load_features
    from warehouse.preview import open_preview
    from warehouse.rule_check import DAYS, check_rules

    features = load_features(settings.features)
    with open_preview(Home(settings.home).published) as preview:
        report = check_rules(preview, features)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("rule", "gives to", f"last {DAYS} days", "last charge", ""):
        table.add_column(column, justify="right" if column.startswith("last ") else "left", overflow="fold")
    for use in report.rules:
        last = use.last_charge_date.isoformat() if use.last_charge_date else figures.UNKNOWN
        cells = (_clean(use.name), _clean(use.target), figures.usd(use.cost_usd), last, _complaint(use))
        table.add_row(*(Text(cell, style="" if use.charges else "yellow") for cell in cells))
    console.print(table)
    _show_overlaps(report, console)
    _show_unallocated(report, console, days=DAYS)
    idle = [use for use in report.rules if not use.charges]
    if idle:
        take = "takes" if len(idle) == 1 else "take"
        told = f"{figures.plural(len(idle), 'rule')} of {len(report.rules)} {take} nothing"
        console.print(Text(told, style="yellow"))
    return not idle


def _complaint(use: RuleUse) -> str:
    if use.is_dead:
        return "matches no charge"
    if use.is_shadowed:
        return f"takes nothing: {_names(use.taken_before_by)} before it takes all that it matches"
    return f"some of what it matches goes to {_names(use.taken_before_by)}" if use.taken_before_by else ""


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(_clean(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _show_overlaps(report: RuleReport, console: Console) -> None:
    if not report.overlaps:
        return
    console.print(Text("two rules match the same charges; the first takes them:"))
    for one in report.overlaps[:OVERLAPS_SHOWN]:
        console.print(Text(f"  {_clean(one.first)} before {_clean(one.second)}: {figures.usd(one.cost_usd)}"))
    if len(report.overlaps) > OVERLAPS_SHOWN:
        console.print(Text(f"  and {len(report.overlaps) - OVERLAPS_SHOWN} more"))


def _show_unallocated(report: RuleReport, console: Console, *, days: int) -> None:
    share = report.unallocated_usd / report.total_usd if report.total_usd > 0 else None
    console.print(
        Text(
            f"no rule takes {figures.usd(report.unallocated_usd)} of the last {days} days' AI spend "
            f"({figures.percent(share)})"
        )
    )
    if report.suggestions:
        console.print(Text("rules that would take the largest parts, to paste at the end of `rules:`"))
    for one in report.suggestions:
        # Not as markup and not wrapped: it is to be copied.
        console.print(Text(f"  # takes {figures.usd(one.cost_usd)}"), soft_wrap=True)
        console.print(Text(f"  {one.yaml}"), soft_wrap=True)


def show_diff(settings: Settings, new: Path, console: Console) -> None:
    """Print each feature's months under features.yml and under `new`; nothing is changed."""
    from warehouse.features import load_features
    from warehouse.preview import open_preview
    from warehouse.rule_changes import compare_rules

    before, after = load_features(settings.features), load_features(new)
    if new.samefile(settings.features):
        said = f"{_clean(str(new))} is the file in force itself: change a copy of it and give the copy"
        console.print(Text(said, overflow="fold"))
        return
    with open_preview(Home(settings.home).published) as preview:
        moves, _ = compare_rules(preview, before, after)
    _show_moves(moves, console)


def apply_features(settings: Settings, new: Path, console: Console) -> None:
    """Check `new`, put it in the place of features.yml in one step, allocate everything by it and publish.

    Where the build fails, the file is put back and everything stands as before. A run that is killed in
    between leaves the new file, which the next run builds by.
    """
    from flows.steps import build, forecast
    from warehouse.features import load_features

    features = load_features(new)
    with open_run(settings) as run, run.warehouse.turn("build"):
        target = settings.features.resolve()
        old_text = target.read_bytes()
        run.features = features
        _swap(target, new.read_bytes())
        try:
            build.build_warehouse(run)
        except BaseException:
            _swap(target, old_text)
            raise
        # The day's forecasts are of the series as they are now.
        forecast.make_forecasts(run)
        build.publish_snapshot(run)
        assert run.built is not None
        _show_moves(list(run.built.rule_moves), console)
        console.print(Text(f"applied: {target}; published: {run.home.published}", overflow="fold"))


def _swap(target: Path, text: bytes) -> None:
    partial = target.with_name(f".{target.name}.applying")
    partial.write_bytes(text)
    os.chmod(partial, target.stat().st_mode)
    os.replace(partial, target)


def _show_moves(moves: Sequence[RuleMove], console: Console) -> None:
    if not moves:
        console.print(Text("no feature's cost changes"))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("month", "feature", "before", "after", "change", "days"):
        table.add_column(column, justify="right" if column in ("before", "after", "change") else "left")
    for move in moves:
        cells = (
            f"{move.month:%Y-%m}",
            _clean(move.feature),
            _cents(move.old_usd),
            _cents(move.new_usd),
            _cents(move.new_usd - move.old_usd, signed=True),
            f"{move.first_charge_date} to {move.last_charge_date}",
        )
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _cents(amount_usd: Decimal, *, signed: bool = False) -> str:
    return f"{amount_usd:+,.2f}" if signed else f"{amount_usd:,.2f}"


def _clean(text: str) -> str:
    """Names come from people's files and bills: no control character reaches the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
