"""SKUs in the grammar of each provider → what they are; regions, versions, tiers and units vary.

`skus.csv` is invented. One row is one SKU as a bill writes it and, from `ai_kind` on, what must be known of it.
"""

from __future__ import annotations

import csv
from datetime import date
from fractions import Fraction
from pathlib import Path

from warehouse.classification import Classification, Sku, classify

SKUS = Path(__file__).parent / "skus.csv"
DAY = date(2026, 11, 1)


def test_every_sku_is_what_its_row_says() -> None:
    wrong = []
    with SKUS.open(newline="") as handle:
        records = list(csv.DictReader(handle))
    for record in records:
        row = {name: cell or None for name, cell in record.items()}
        sku = Sku(
            provider=row["provider"],
            service_name=row["service"],
            sku_meter=row["meter"],
            charge_description=row["description"],
            consumed_unit=row["unit"],
            model=row["model_id"],
            token_type=row["token_kind"],
        )
        expected = Classification(
            ai_kind=record["ai_kind"],
            workload=record["workload"],
            model=row["model"],
            token_type=row["token_type"],
            pricing_tier=row["pricing_tier"],
            gpu_type=row["gpu_type"],
            tokens_per_unit=int(record["tokens_per_unit"]) if row["tokens_per_unit"] else None,
            gpu_hours_per_unit=Fraction(record["gpu_hours_per_unit"]) if row["gpu_hours_per_unit"] else None,
        )
        found = classify(sku, DAY)
        if found != expected:
            wrong.append(f"{sku}:\n  {found}\n  instead of {expected}")
    assert len(records) > 250
    assert not wrong, "\n".join(wrong)


def test_every_pattern_of_a_table_reads() -> None:
    """A wrong expression or a cell too many would only show on the day a bill meets it."""
    from warehouse.classification import TABLES, read_table

    assert all(read_table(name) for name in TABLES)
    assert all(None not in row.cells for name in TABLES for row in read_table(name))
