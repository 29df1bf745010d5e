"""The warehouse that trendbreak.yml names: the file in home, or a DuckLake."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from flows.errors import FlowError, SettingsError
from flows.settings import DUCKLAKE, Settings
from flows.settings.references import resolve_address

if TYPE_CHECKING:
    from warehouse.lake import Lake, S3Access
    from warehouse.store import Warehouse


@contextmanager
def open_home(settings: Settings, *, wait_seconds: float = 0) -> Iterator[Warehouse]:
    """The warehouse of the settings, opened to be written. Raises WarehouseLocked while a run holds the file."""
    from warehouse.store import open_warehouse

    with open_warehouse(settings.home, wait_seconds=wait_seconds, lake=find_lake(settings)) as warehouse:
        yield warehouse


def find_lake(settings: Settings) -> Lake | None:
    """The DuckLake of the settings, with its secrets resolved; None where the warehouse is a file in home."""
    if settings.warehouse is None:
        return None
    from warehouse.lake import Lake

    written = settings.warehouse.removeprefix(DUCKLAKE)
    data_path = settings.lake.data_path or str(settings.home / "lake")
    return Lake(
        catalogue=resolve_address(written, os.environ, "warehouse", prefect_home=settings.home / "prefect"),
        data_path=data_path,
        s3=_find_access(settings) if data_path.startswith("s3://") else None,
        schema=settings.lake.catalogue_schema,
    )


def bring_published(settings: Settings) -> str:
    """On a DuckLake, make the published file of this home the newest one, whichever machine published it.

    Why it could not be done, where the file of before can still be read; "" where all is well.
    """
    from flows.run import Home
    from warehouse.errors import WarehouseError

    try:
        lake = find_lake(settings)
        if lake is not None:
            from warehouse.publish import bring_published as bring

            bring(lake, Home(settings.home).published)
    except (SettingsError, WarehouseError) as error:
        if not Home(settings.home).published.is_file():
            raise
        return str(error)
    return ""


@contextmanager
def past_snapshot(settings: Settings, moment: datetime, sql: str) -> Iterator[Path]:
    """A file with what was published of a DuckLake at that moment: every table, and the rows of those that `sql` names.

    Raises FlowError for a warehouse in a file, which keeps no past.
    """
    from warehouse.lake_snapshots import copy_snapshot, find_published
    from warehouse.model_runner import read_tables

    lake = find_lake(settings)
    if lake is None:
        raise FlowError("--at: a warehouse in a file keeps no past — a DuckLake does (docs/configuration.md)")
    import duckdb

    try:
        with duckdb.connect() as con:
            filled = read_tables(con, sql)
    except (ValueError, duckdb.Error):
        filled = None  # DESCRIBE, SUMMARIZE and the like: everything is there
    with tempfile.TemporaryDirectory(prefix="trendbreak-at-") as folder:
        file = Path(folder) / "trendbreak.duckdb"
        copy_snapshot(lake, find_published(lake, at=moment).version, file, filled=filled)
        yield file


def read_moment(text: str) -> datetime:
    """`--at`: a UTC day, which means its end, or a UTC time of day. Raises FlowError."""
    try:
        if len(text) == len("2026-11-20"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FlowError(f"--at {text!r} is no day or time — write 2026-11-20 or 2026-11-20T09:30") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _find_access(settings: Settings) -> S3Access:
    """What boto3's own chain finds (environment, profile, workload identity, instance role), as it is now."""
    from botocore.session import get_session

    from warehouse.lake import S3Access

    session = get_session()
    credentials = session.get_credentials()
    if credentials is None:
        raise SettingsError(
            f"lake.data_path: no credentials for {settings.lake.data_path} — set AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role"
        )
    found = credentials.get_frozen_credentials()
    return S3Access(
        region=settings.lake.region or session.get_config_variable("region") or "us-east-1",
        key_id=found.access_key,
        secret=found.secret_key,
        session_token=found.token,
        endpoint_url=settings.lake.endpoint_url,
    )
