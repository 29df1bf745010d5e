"""Measure what is posted: planted breaks found, and false alerts per team-month.

    python -m benchmarks.detection.posted                    companies 0 to 39, 5 and 100 clean series
    python -m benchmarks.detection.posted --first 100 --companies 200
    python -m benchmarks.detection.posted --clean 400 --replays 90     (minutes)

Companies: six features over 120 days with five planted breaks (benchmarks/detection/simulate.py); a planted
break is found when a break of its node, direction and kind begins within ten days of it. Clean panels:
find_breaks is run on each day of the replay, on what was known then; a break is posted when none of the
same node and direction was posted before that touches it within a week.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from alerts.breaks import DetectionSettings, find_breaks
from alerts.model import Break
from benchmarks.detection.simulate import Planted, cut_panel, draw_clean_panel, draw_company

_MONTH = 365.25 / 12


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
    series: int, seed: int, *, first: int = 160, replays: int = 90, settings: DetectionSettings | None = None
) -> Replay:
    whole = draw_clean_panel(series, first + replays, seed)
    posted: list[Posted] = []
    before: list[Break] = []
    lost = 0
    week = timedelta(days=7)
    for days in range(first, first + replays):
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
        lost += sum((b.node, b.direction) not in here and (b.data_through - b.last_day).days + 1 <= 7 for b in before)
        before = breaks
    return Replay(posted, lost, replays / _MONTH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--companies", type=int, default=40)
    parser.add_argument("--clean", type=int, action="append", help="series of a clean panel; may be repeated")
    parser.add_argument("--teams", type=int, default=4, help="clean panels of each size")
    parser.add_argument("--replays", type=int, default=90, help="daily runs over each")
    arguments = parser.parse_args()

    began = time.perf_counter()
    planted, found, false = run_companies(arguments.first, arguments.companies)
    for story, count in planted.items():
        print(f"{story:14s} {found[story]:4d} of {count}")
    runs = arguments.companies
    print(f"{'all':14s} {found.total():4d} of {planted.total()} = {found.total() / planted.total():.1%}")
    print(f"breaks nobody planted: {false} in {runs} runs, {10 * false / runs:.2f} in ten")
    print(f"{(time.perf_counter() - began) / runs:.3f} s per run")
    for size in arguments.clean or [5, 100]:
        results = [replay_clean(size, arguments.first + k, replays=arguments.replays) for k in range(arguments.teams)]
        months = sum(r.months for r in results)
        count = sum(len(r.posted) for r in results)
        lost = sum(r.lost for r in results)
        rate = f"{count / months:.2f} a month"
        print(f"{size} clean series: {count} posted in {months:.1f} team-months, {rate}; {lost} lost")
        for r in results:
            for p in r.posted:
                print(f"   {p.node} {p.direction} {p.percent:+.0f}% {p.onset} to {p.last_day}")


if __name__ == "__main__":
    main()
