"""What kind of GPU a driver's name of it means, for the models that set counters beside charges."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from warehouse.classification import find_gpu_type
from warehouse.staged_charges import create_from_arrow

if TYPE_CHECKING:
    import duckdb


def name_gpu_models(con: duckdb.DuckDBPyConnection, day: date) -> None:
    """Make temp table gpu_model_types: every gpu_model of core.gpu_utilization → gpu_type, null where it is unknown."""
    seen = con.execute("SELECT DISTINCT gpu_model FROM core.gpu_utilization WHERE gpu_model IS NOT NULL").fetchall()
    names = [name for (name,) in seen]
    columns = {"gpu_model": names, "gpu_type": [find_gpu_type(name, day) for name in names]}
    create_from_arrow(
        con, "gpu_model_types", pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})
    )
