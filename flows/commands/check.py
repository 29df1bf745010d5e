"""`trendbreak check`: each source reachable, permitted and fresh; each failure with its cure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from connectors.base import CheckResult
from connectors.errors import ConnectorError
from flows.errors import SettingsError
from flows.report.figures import plural
from flows.settings import Settings, connect_source, slack_token


def check_all(config: Path, settings: Settings) -> Iterator[tuple[str, CheckResult]]:
    """(subject, result) for the configuration, the features file, every source, and Slack."""
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
    yield "features", _features(settings)
    if settings.prices is not None:
        yield "prices", _prices(settings)
    for source in settings.sources:
        try:
            for result in connect_source(source, os.environ).check():
                yield source.name, result
        except SettingsError as error:
            yield source.name, CheckResult("configured", False, str(error))
        except ConnectorError as error:
            yield source.name, CheckResult("reachable", False, error.what, error.cure)
    yield "slack", _slack(settings)


def _features(settings: Settings) -> CheckResult:
    from warehouse.errors import WarehouseError
    from warehouse.features import load_features

    try:
        features = load_features(settings.features)
    except WarehouseError as error:
        return CheckResult("valid", False, str(error))
    return CheckResult(
        "valid", True, f"{plural(len(features.features), 'feature')}, {plural(len(features.rules), 'rule')}"
    )


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
