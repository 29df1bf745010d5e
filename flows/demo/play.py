"""`trendbreak demo`: write the invented company's inputs, run the daily flow over them, show what came out."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from flows.commands.once import execute
from flows.demo.screen import show_outcome, show_story
from flows.demo.world import DemoWorld, prepare
from flows.settings import load_settings
from flows.summary import RunSummary

DEFAULT_HOME = Path("demo")


def play(*, seed: int, home: Path | None, direct: bool, console: Console) -> None:
    """The whole demo, on the terminal. Each seed has a home of its own under ./demo unless one is given."""
    started = time.perf_counter()
    world = prepare(home or DEFAULT_HOME / f"seed-{seed}", seed)
    written = time.perf_counter() - started
    show_story(world, console)
    summary = run_world(world, direct=direct, console=console)
    show_outcome(world, summary, console, total_seconds=time.perf_counter() - started, written_seconds=written)


def run_world(world: DemoWorld, *, direct: bool, console: Console) -> RunSummary:
    """One daily run over the world, as of its day, with its stand-in for OpenAI's API listening."""
    with world.openai_server() as server:
        world.connect_openai(server.base_url)
        settings = load_settings(world.config_path)
        return execute(world.config_path, settings, as_of=world.as_of, source=None, direct=direct, console=console)
