"""Run many demo companies end to end and count what is found (`make measure-demo`).

    python tests/measure_demo_seeds.py --first 1000 --seeds 20

Each seed is a company that nobody looked at; five breaks are planted in each. The whole pipeline
runs over its bills, without Prefect. Printed per seed: which breaks were found, what was reported
that nobody planted; at the end recall per story, and false incidents per ten runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flows.demo.scoring import Score, score
from flows.demo.world import DemoWorld, prepare


def run_demo(world: DemoWorld) -> list[Mapping[str, Any]]:
    """One direct daily run over the world; the incidents of its ledger."""
    from rich.console import Console

    from flows.demo.play import run_world
    from warehouse.state import StateStore

    summary = run_world(world, direct=True, console=Console(quiet=True))
    if summary.failures:
        raise RuntimeError(f"seed {world.seed}: {summary.failures}")
    return list(StateStore(f"sqlite:///{world.home / 'state.sqlite'}").list_incidents())


def measure(first: int, seeds: int) -> bool:
    """True when at least 90% are found and there is at most one false incident in ten runs."""
    found: Counter[str] = Counter()
    planted: Counter[str] = Counter()
    false = 0
    for seed in range(first, first + seeds):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="trendbreak-demo-") as folder:
            world = prepare(Path(folder), seed)
            outcome = score(world.planted, run_demo(world))
        for one, incident in outcome.found:
            planted[one.story] += 1
            found[one.story] += incident is not None
        false += len(outcome.false)
        print(_line(world, outcome, time.perf_counter() - started), flush=True)
    total_found, total_planted = found.total(), planted.total()
    print()
    for story in sorted(planted):
        print(f"{story:<14} {found[story]:>3} of {planted[story]}")
    recall, false_per_ten = total_found / total_planted, 10 * false / seeds
    print(f"{'all':<14} {total_found:>3} of {total_planted} = {recall:.1%}")
    print(f"false incidents per ten runs: {false_per_ten:g}")
    return recall >= 0.9 and false_per_ten <= 1


def _line(world: DemoWorld, outcome: Score, seconds: float) -> str:
    missed = [f"{one.story} ({one.node}, {one.onset})" for one, incident in outcome.found if incident is None]
    false = [
        f"{incident['node']} {incident['direction']} {incident['kind']} {incident['onset']}"
        f"–{incident['last_day']} [{incident['status']}]"
        for incident in outcome.false
    ]
    text = f"seed {world.seed}: {outcome.recalled}/{len(outcome.found)} found, {len(false)} false, {seconds:.1f} s"
    if missed:
        text += f"\n    missed: {'; '.join(missed)}"
    if false:
        text += f"\n    false:  {'; '.join(false)}"
    return text


def main() -> None:
    """Parse the command line, measure, exit with 1 below the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    arguments = parser.parse_args()
    if not measure(arguments.first, arguments.seeds):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
