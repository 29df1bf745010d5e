"""Measure what is posted: planted breaks found, and false alerts per team-month.

    python -m benchmarks.detection.posted                    companies 0 to 39, 5 and 100 clean series
    python -m benchmarks.detection.posted --first 100 --companies 200
    python -m benchmarks.detection.posted --clean 5 --clean 400 --kind all --companies 0 --recall 40     (an hour)

Companies: six features over 120 days with five planted breaks (benchmarks/detection/simulate.py); a planted
break is found when a break of its node, direction and kind begins within ten days of it. Clean teams, of each `--kind`:
find_breaks is run on each day of the replay (of every `--every`-th), on what was known then; a break is posted when
none of the same node and direction was posted before that touches it within a week. Recall: teams of twelve series of
a kind, $200 a day each, ten of them with one event each (simulate.EVENTS) in the last month; found when a daily run of
its window, or of the five days after it, tells it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from alerts.breaks import DetectionSettings, find_breaks, replay_breaks
from alerts.model import Break
from benchmarks.detection.simulate import EVENTS, TEAMS, Planted, cut_panel, draw_company, draw_team

_MONTH = 365.25 / 12
_PATIENCE = 5  # days after an event's window: a fall is posted from its fourth day


@dataclass
class Posted:
    node: str
    direction: str
    onset: date
    last_day: date
    percent: float


@dataclass(frozen=True)
class Replay:
    """`lost`: times a break was gone from a later run though it had ended less than a week before."""

    posted: list[Posted]
    lost: int
    months: float


def is_match(found: Break, planted: Planted) -> bool:
    same = found.node == planted.node and found.direction == planted.direction
    return same and found.kind in planted.kinds and abs((found.onset - planted.onset).days) <= 10


def run_companies(first: int, count: int) -> tuple[Counter[str], Counter[str], int]:
    """(planted by story, found by story, breaks that nobody planted)."""
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    false = 0
    for seed in range(first, first + count):
        company = draw_company(seed)
        breaks = find_breaks(company.panel, company.members)
        for one in company.planted:
            match = next((b for b in breaks if is_match(b, one)), None)
            planted[one.story] += 1
            found[one.story] += match is not None
            if match is not None:
                breaks.remove(match)
        false += len(breaks)
    return planted, found, false


def replay_clean(
    series: int,
    seed: int,
    *,
    kind: str = "mixed",
    first: int = 160,
    replays: int = 90,
    every: int = 1,
    settings: DetectionSettings | None = None,
) -> Replay:
    whole = draw_team(kind, series, first + replays, seed)
    posted: list[Posted] = []
    before: list[Break] = []
    lost = 0
    week = timedelta(days=7)
    for days in range(first, first + replays, every):
        breaks = find_breaks(cut_panel(whole, days), [], settings)
        for b in breaks:
            known = next(
                (
                    p
                    for p in posted
                    if (p.node, p.direction) == (b.node, b.direction)
                    and b.onset <= p.last_day + week
                    and b.last_day >= p.onset - week
                ),
                None,
            )
            if known is None:
                posted.append(Posted(b.node, b.direction, b.onset, b.last_day, float(b.excess_percent)))
            else:
                known.last_day = max(known.last_day, b.last_day)
        here = {(b.node, b.direction) for b in breaks}
        in_sight = [b for b in before if (b.data_through - b.last_day).days + every <= 7]
        lost += sum((b.node, b.direction) not in here for b in in_sight)
        before = breaks
    return Replay(posted, lost, replays / _MONTH)


def measure_recall(kind: str, first: int, teams: int) -> dict[str, float]:
    """Share of the events of each name that daily runs would have posted, of cost alone: without telemetry, whose unit
    costs are less noisy and would find nearly all."""
    found: Counter[str] = Counter()
    days = 250
    for seed in range(first, first + teams):
        rng = np.random.default_rng([seed, 63])
        team = draw_team(kind, 12, days, seed)
        cost = np.array([row / np.median(row[row > 0]) for row in team.cost_usd]) * 200.0
        at = rng.integers(days - 60, days - 36, len(EVENTS))
        for row, (_, factor) in enumerate(EVENTS.values()):
            cost[row] *= factor(np.arange(days) - float(at[row]))
        unknown = np.full(cost.shape, np.nan)
        names = ("calls", "retries", "failed_calls", "tasks", "successful_tasks", "tasks_with_outcome")
        bare = replace(team, cost_usd=cost, **dict.fromkeys(names, unknown))
        told = replay_breaks(bare, DetectionSettings(), days_back=62)
        for row, (name, (window, factor)) in enumerate(EVENTS.items()):
            onset = team.start + timedelta(days=int(at[row]))
            up = 1 if factor(np.array([0.0]))[0] > 1 or name == "from nothing" else -1
            found[name] += any(
                b.node == team.features[row]
                and b.direction == up
                and onset <= b.alarm <= onset + timedelta(days=window + _PATIENCE)
                for b in told
            )
    return {name: found[name] / teams for name in EVENTS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--companies", type=int, default=40)
    parser.add_argument("--clean", type=int, action="append", help="series of a clean panel; may be repeated")
    parser.add_argument("--teams", type=int, default=4, help="clean panels of each size")
    parser.add_argument("--kind", choices=[*TEAMS, "all"], action="append", help="of clean team; may be repeated")
    parser.add_argument("--replays", type=int, default=90, help="days over which each is replayed")
    parser.add_argument("--every", type=int, default=1, help="a run on every so manieth day of them")
    parser.add_argument("--recall", type=int, default=0, metavar="TEAMS", help="also what is found, in so many of each")
    arguments = parser.parse_args()

    kinds = TEAMS if "all" in (arguments.kind or []) else arguments.kind or ["mixed"]
    if arguments.companies:
        print_companies(arguments.first, arguments.companies)
    for size in arguments.clean or [5, 100]:
        for kind in kinds:
            print_clean(size, kind, arguments)
    if arguments.recall:
        print("| team | " + " | ".join(EVENTS) + " |")
        print("|---|" + "---|" * len(EVENTS))
        for kind in kinds:
            recall = measure_recall(kind, arguments.first, arguments.recall)
            print(f"| {kind} | " + " | ".join(f"{share:.2f}" for share in recall.values()) + " |", flush=True)


def print_companies(first: int, runs: int) -> None:
    began = time.perf_counter()
    planted, found, false = run_companies(first, runs)
    for story, count in planted.items():
        print(f"{story:14s} {found[story]:4d} of {count}")
    print(f"{'all':14s} {found.total():4d} of {planted.total()} = {found.total() / planted.total():.1%}")
    print(f"breaks nobody planted: {false} in {runs} runs, {10 * false / runs:.2f} in ten")
    print(f"{(time.perf_counter() - began) / runs:.3f} s per run")


def print_clean(size: int, kind: str, arguments: argparse.Namespace) -> None:
    results = [
        replay_clean(size, arguments.first + k, kind=kind, replays=arguments.replays, every=arguments.every)
        for k in range(arguments.teams)
    ]
    months = sum(r.months for r in results)
    posted = [p for r in results for p in r.posted]
    lost = sum(r.lost for r in results)
    rate = f"{len(posted) / months:.2f} a month"
    print(f"{size} clean series, {kind}: {len(posted)} posted in {months:.1f} team-months, {rate}; {lost} lost")
    for p in posted:
        print(f"   {p.node} {p.direction} {p.percent:+.0f}% {p.onset} to {p.last_day}", flush=True)


if __name__ == "__main__":
    main()
