"""The bill loaded by dlt into a DuckDB file: arguments bill.parquet folder. Runs in its own environment
(benchmarks/requirements.txt), without the product. Arrow batches are the fastest that dlt takes; the daily
groups are counted afterwards, in the table."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 100_000
GROUPS = """
SELECT count(*) FROM (
    SELECT
        charge_period_start::DATE AS day, service_name, service_category, sub_account_id, sub_account_name,
        charge_category, tags, CASE WHEN service_name = 'Amazon Bedrock' THEN resource_id END AS resource,
        sum(billed_cost), sum(effective_cost), sum(list_cost), count(*)
    FROM bill.bill GROUP BY ALL
)
"""


def main(bill: str, folder: str) -> None:
    @dlt.resource(name="bill", write_disposition="replace")  # type: ignore[untyped-decorator]
    def batches() -> Iterator[pa.Table]:
        for batch in pq.ParquetFile(bill).iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch])

    database = Path(folder) / "loaded.duckdb"
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    pipeline = dlt.pipeline(
        "bill",
        pipelines_dir=f"{folder}/dlt",
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="bill",
    )
    pipeline.run(batches())
    with duckdb.connect(str(database)) as con:
        row = con.execute(GROUPS).fetchone()
    after = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "rows": row[0] if row else 0,
        "wall": time.perf_counter() - started,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
