"""One run: its settings, its clock, the open warehouse, and what its steps found.

A run holds the warehouse's lock from its first step to its last; readers use the published
snapshot and are never in its way. On a DuckLake runs read different sources at once, and only what comes
after (build, forecast, alerts, publication) is one run's at a time.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.lake import open_home
from flows.logs import log_event
from flows.settings import Settings, SourceSettings, connect_source
from flows.settings.planned_events import EventsFile, load_events

if TYPE_CHECKING:
    from alerts.forecast import PanelForecast
    from alerts.model import Action, Break, FeaturePanel, Message
    from connectors.base import Connector
    from warehouse.build import BuildResult
    from warehouse.features import Features
    from warehouse.landing import LandedDelivery, Landing
    from warehouse.load import LoadResult
    from warehouse.prices import PriceBook
    from warehouse.state import StateStore
    from warehouse.store import Warehouse


RULE_MEMORY_DAYS = 42  # what moved within the detector's memory: DetectionSettings.remember_days
LATE_DAYS = 2  # a source is late when so many days that are due are not in


@dataclass(frozen=True)
class Home:
    """Where a home keeps what."""

    root: Path

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def published(self) -> Path:
        return self.root / "published" / "trendbreak.duckdb"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def report(self) -> Path:
        return self.root / "report" / "index.html"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics" / "trendbreak.prom"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"


@dataclass(frozen=True)
class Folder:
    """What a folder of files held: the scopes it offered, and the files left out as copies (name → original)."""

    offered: frozenset[str]
    copies: Mapping[str, str]


@dataclass
class Run:
    """What the steps of one run share. Steps read what earlier steps left and write their own part."""

    settings: Settings = field(repr=False)
    home: Home
    run_id: str
    now: datetime
    as_of: date  # the run's own day: days before it can be complete, it cannot
    sources: tuple[SourceSettings, ...]
    features: Features
    prices: PriceBook
    warehouse: Warehouse
    landing: Landing
    state: StateStore
    environment: Mapping[str, str] = field(repr=False)
    say: Callable[[str, str], None]  # (label of a step, why it failed or "")
    events: EventsFile = field(default_factory=lambda: EventsFile(version=1))  # planned, from events.yml
    who: str = "trendbreak"  # on whose behalf: stands beside recorded changes
    failures: dict[str, str] = field(default_factory=dict)  # source name → what went wrong, with the cure
    notes: list[str] = field(default_factory=list)  # about what was read: versions, columns kept aside
    notices: list[str] = field(default_factory=list)  # what a person should act on
    whole_reads: set[str] = field(default_factory=set)  # sources whose every period was looked at
    kept_shadows: set[str] = field(default_factory=set)  # sources that should count and may not yet
    folders: dict[str, Folder] = field(default_factory=dict)  # per source that is a folder of files
    landed: dict[str, dict[Any, LandedDelivery]] = field(default_factory=dict)  # per source, by what was offered
    loads: dict[str, list[LoadResult]] = field(default_factory=dict)
    settled_through: dict[str, date] = field(default_factory=dict)  # per billing source with charges
    data_through: date | None = None  # newest day that all features whose sources are on time have settled
    feature_through: dict[str, date] = field(default_factory=dict)  # feature → its own newest settled day
    built: BuildResult | None = None
    panel: FeaturePanel | None = None
    forecast: PanelForecast | None = None
    month_ends: list[dict[str, Any]] = field(
        default_factory=list
    )  # per feature and in total, as kept in the state store
    breaks: list[Break] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    delivered: list[Any] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def present(self) -> datetime:
        """The run's clock, as far on as the run has taken."""
        return self.now + timedelta(seconds=time.perf_counter() - self.started)

    def fail(self, source_name: str, text: str) -> None:
        """Note what went wrong with a source; it may go wrong with several of its deliveries."""
        known = self.failures.get(source_name)
        self.failures[source_name] = f"{known}\n{text}" if known else text

    def connect(self, source: SourceSettings) -> Connector:
        """The source's connector, with its secrets resolved."""
        return connect_source(source, self.environment, home=self.home.root)

    @contextmanager
    def timed(self, title: str) -> Iterator[None]:
        """Adds the wall seconds of the block to `seconds[title]`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[title] = self.seconds.get(title, 0.0) + time.perf_counter() - started

    @contextmanager
    def told(self, label: str) -> Iterator[None]:
        """Says the step that the block is, and why it failed: by an exception, or noted with `fail`."""
        before = dict(self.failures)
        try:
            yield
        except Exception as error:
            self._tell(label, str(error) or type(error).__name__)
            raise
        news = [text.removeprefix(before.get(name, "")) for name, text in self.failures.items()]
        self._tell(label, " ".join(text.strip() for text in news if text))

    def _tell(self, label: str, failure: str) -> None:
        self.say(label, failure)
        seconds = round(self.seconds.get(label, 0.0), 3)
        if failure:
            log_event("step failed", level=logging.ERROR, run=self.run_id, step=label, seconds=seconds, error=failure)
        else:
            log_event("step done", run=self.run_id, step=label, seconds=seconds)


def login_name() -> str:
    """Who runs this process, as far as the system knows."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's number without a name
        return f"uid {os.getuid()}"


_progress: ContextVar[Callable[[str, str], None]] = ContextVar("progress", default=lambda label, failure: None)


@contextmanager
def progress(say: Callable[[str, str], None]) -> Iterator[None]:
    """Within the block, runs say each finished step to `say` as (label, failure), also through Prefect."""
    token = _progress.set(say)
    try:
        yield
    finally:
        _progress.reset(token)


def read_prices(settings: Settings) -> PriceBook:
    """List prices, with the team's own over them. Raises warehouse.prices.PricesError."""
    from warehouse.prices import PriceBook, load_prices

    return PriceBook(load_prices(settings.prices)) if settings.prices else PriceBook()


@contextmanager
def open_run(
    settings: Settings,
    *,
    as_of: date | None = None,
    only_source: str | None = None,
    now: datetime | None = None,
    wait_seconds: float = 0,
) -> Iterator[Run]:
    """Open home, take the warehouse's lock (a DuckLake has none), and hand out the run. `as_of`: default today, UTC.

    Raises SettingsError for an unknown source or a features file that cannot work, and
    warehouse.errors.WarehouseLocked when another run holds the lock longer than `wait_seconds`.
    """
    from warehouse.features import load_features
    from warehouse.landing import Landing
    from warehouse.state import StateStore

    now = now or datetime.now(UTC)
    sources = (settings.source(only_source),) if only_source else settings.sources
    features = load_features(settings.features)
    prices = read_prices(settings)
    home = Home(settings.home)
    state = StateStore(settings.state_url)
    with open_home(settings, wait_seconds=wait_seconds) as warehouse:
        state.create()
        yield Run(
            settings=settings,
            home=home,
            run_id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
            now=now,
            as_of=as_of or now.date(),
            sources=sources,
            features=features,
            events=load_events(settings.events, features.features),
            prices=prices,
            warehouse=warehouse,
            landing=Landing(home.landing),
            state=state,
            environment=os.environ,
            say=_progress.get(),
            who=login_name(),
        )
