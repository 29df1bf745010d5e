"""One company's world, written once for all tests of this folder."""

from decimal import Decimal
from typing import Any

import pytest

from connectors.aws_data_exports import AwsDataExports
from connectors.base import FileScan
from flows.demo.company import Company, invent
from flows.demo.traffic import Traffic, simulate
from flows.demo.world import DemoWorld, prepare
from tests.flows.demo.landed import SEED, deliveries


@pytest.fixture(scope="session")
def company() -> Company:
    return invent(SEED)


@pytest.fixture(scope="session")
def traffic(company: Company) -> Traffic:
    return simulate(company)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> DemoWorld:
    return prepare(tmp_path_factory.mktemp("demo"), SEED)


@pytest.fixture(scope="session")
def aws_rows(world: DemoWorld, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of the AWS bill as the real connector delivers them; money as Decimal."""
    import pyarrow.parquet as pq

    location = next((world.home / "demo" / "aws").glob("*/*"))
    connector = AwsDataExports(name="aws", options=AwsDataExports.Options.model_validate({"location": str(location)}))
    rows: list[dict[str, Any]] = []
    for parsed in deliveries(connector, tmp_path_factory.mktemp("aws")):
        for part in parsed.parts:
            assert isinstance(part, FileScan)
            assert part.layout == "focus"
            for path in part.files:
                rows += pq.read_table(path).to_pylist()
    for row in rows:
        for name in ("BilledCost", "EffectiveCost", "ListCost"):
            row[name] = Decimal(repr(row[name]))
    return rows
