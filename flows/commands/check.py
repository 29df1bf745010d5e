"""`trendbreak check`: each source reachable, permitted and fresh; each failure with its cure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from connectors.base import CheckResult, Connector, DeliveryRef, DropFolder, Payload, Window
from connectors.errors import ConnectorError
from flows.errors import SettingsError
from flows.report.figures import plural
from flows.settings import Settings, SourceSettings, connect_source, slack_token
from flows.settings.user_ids import KEY_FILE
from warehouse.errors import GIVE_RIGHTS

if TYPE_CHECKING:
    from warehouse.features import Features

# Of a home, what every run writes to: folders, and files that are written in place. Other files are put in place anew.
WRITTEN = (
    "*.lock",
    "landing/", "landing/*/", "landing/*/*/",
    "metrics/", "outbox/", "published/", "report/",
    "prefect/", "prefect/*.db*", "prefect/*.log",
    "state.sqlite*",
    "warehouse/", "warehouse/*",
)  # fmt: skip
# Of a folder of bills so many files are opened, the newest, and none that is larger.
TRIED_FILES = 3
TRIED_BYTES = 32 * 1024 * 1024


class _TooLarge(Exception):
    """More bytes than a check reads."""


def check_all(config: Path, settings: Settings) -> Iterator[tuple[str, CheckResult]]:
    """(subject, result) for the configuration, the features file, a DuckLake, every source, and Slack."""
    count = plural(len(settings.sources), "source")
    yield (
        "config",
        CheckResult(
            "readable",
            bool(settings.sources),
            f"{config}, {count}",
            "name a source under `sources`: there is nothing to read",
        ),
    )
    yield "home", _home(settings)
    features, told = _features(settings)
    yield "features", told
    if settings.events is not None:
        yield "events", _events(settings, features)
    if settings.prices is not None:
        yield "prices", _prices(settings)
    if settings.warehouse is not None:
        yield "warehouse", _lake(settings)
    if settings.state is not None:
        yield "state", _state(settings)
    for source in settings.sources:
        try:
            connector = connect_source(source, os.environ)
            results = connector.check()
            for result in results:
                yield source.name, result
            if isinstance(connector, DropFolder) and connector.kind == "billing" and all(one.ok for one in results):
                for result in _try_newest(settings, source, connector):
                    yield source.name, result
        except SettingsError as error:
            yield source.name, CheckResult("configured", False, str(error))
        except ConnectorError as error:
            yield source.name, CheckResult("reachable", False, error.what, error.cure)
    yield "slack", _slack(settings)


def _try_newest(settings: Settings, source: SourceSettings, connector: Connector) -> Iterator[CheckResult]:
    """Load the newest files into a warehouse that is thrown away: what a run would refuse is refused here."""
    from warehouse.errors import WarehouseError
    from warehouse.landing import Landing
    from warehouse.load import load_delivery
    from warehouse.store import open_warehouse

    now = datetime.now(UTC)
    rates = [(rate.currency, rate.valid_from, rate.usd_per_unit) for rate in settings.currency_rates]
    refs = list(connector.discover(Window(now.date() - timedelta(days=1), now.date())))[-TRIED_FILES:]
    with TemporaryDirectory(prefix="trendbreak-check-") as folder, open_warehouse(Path(folder) / "home") as warehouse:
        for ref in refs:  # in the order of a run, so that both name the same of two that overlap
            try:
                landed = Landing(Path(folder) / "landing").store(
                    ref, _bounded(connector, ref), source_type=connector.type, fetched_at=now
                )
                parsed = connector.parse(landed.files)
                found = load_delivery(
                    warehouse, landed, parsed.parts, notes=parsed.notes, now=now, rates=rates,
                    tag_keys=source.options.get("tag_keys"),
                )  # fmt: skip
            except _TooLarge:
                limit = TRIED_BYTES // 1024**2
                yield CheckResult(
                    ref.scope, True, f"not opened: it has more than {limit} MB; `trendbreak run` reads it"
                )
            except (ConnectorError, WarehouseError) as error:
                where = f"{error.where}: " if error.where else ""
                yield CheckResult(ref.scope, False, f"{where}{error.what}", error.cure)
            else:
                notes = "".join(f"; {note}" for note in found.notes)
                yield CheckResult(ref.scope, True, f"{plural(found.source_rows, 'row')} can be loaded{notes}")


def _bounded(connector: Connector, ref: DeliveryRef) -> Iterator[Payload]:
    left = TRIED_BYTES

    def counted(chunks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal left
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise _TooLarge
            yield chunk

    for payload in connector.fetch(ref):
        yield Payload(payload.name, counted(payload.chunks))


def _home(settings: Settings) -> CheckResult:
    """What a run writes to may be written and read, and its key read, by this user."""
    home = settings.home
    there = next(place for place in (home, *home.parents) if os.path.exists(place))
    written = [there, *(place for pattern in WRITTEN for place in sorted(home.glob(pattern)))]
    for places, right, lacking in (
        (written, os.W_OK, "written"),
        ([*(place for place in written if os.path.isfile(place)), home / KEY_FILE], os.R_OK, "read"),
    ):
        for place in places:
            if os.path.exists(place) and not os.access(place, right):
                return CheckResult("writable", False, f"{place} cannot be {lacking}", GIVE_RIGHTS)
    return CheckResult("writable", True, str(home) if there == home else f"{home} will be made")


def _features(settings: Settings) -> tuple[Features | None, CheckResult]:
    from warehouse.errors import WarehouseError
    from warehouse.features import load_features

    try:
        features = load_features(settings.features)
    except WarehouseError as error:
        return None, CheckResult("valid", False, str(error))
    read = f"{plural(len(features.features), 'feature')}, {plural(len(features.rules), 'rule')}"
    return features, CheckResult("valid", True, read)


def _lake(settings: Settings) -> CheckResult:
    """The extensions load, the catalogue answers, and the data path can be written, read and listed."""
    from flows.lake import find_lake
    from warehouse.errors import WarehouseError
    from warehouse.lake import try_lake

    try:
        lake = find_lake(settings)
        assert lake is not None
        return CheckResult("writable", True, try_lake(lake))
    except SettingsError as error:
        return CheckResult("configured", False, str(error))
    except WarehouseError as error:
        return CheckResult("writable", False, f"{error.where}: {error.what}", error.cure)


def _state(settings: Settings) -> CheckResult:
    from warehouse.errors import WarehouseError
    from warehouse.state import StateStore

    try:
        state = StateStore(settings.state_url)
        state.create()
        state.close()
    except SettingsError as error:
        return CheckResult("configured", False, str(error))
    except WarehouseError as error:
        return CheckResult("writable", False, f"{error.where}: {error.what}", error.cure)
    return CheckResult("writable", True, "its tables are there")


def _events(settings: Settings, features: Features | None) -> CheckResult:
    from flows.settings.planned_events import load_events

    if features is None:
        return CheckResult("valid", False, "cannot be said: which features they may name is not known")
    try:
        found = load_events(settings.events, features.features)
    except SettingsError as error:
        return CheckResult("valid", False, str(error))
    return CheckResult("valid", True, plural(len(found.events), "planned event"))


def _prices(settings: Settings) -> CheckResult:
    from flows.run import read_prices
    from warehouse.errors import WarehouseError

    try:
        book = read_prices(settings)
    except WarehouseError as error:
        return CheckResult("valid", False, str(error))
    return CheckResult("valid", True, plural(len(book.prices.prices), "negotiated price"))


def _slack(settings: Settings) -> CheckResult:
    try:
        token = slack_token(settings, os.environ)
    except SettingsError as error:
        return CheckResult("token", False, str(error))
    if token is None:
        return CheckResult("token", True, f"no token: messages go to {settings.home / 'outbox'} and the terminal")
    from alerts.slack import check_token

    found, cure = check_token(token.get_secret_value(), settings.slack.channel, base_url=settings.slack.base_url)
    return CheckResult("channel", not cure, found, cure)
