"""AWS's split cost allocation: what each pod (EKS) or task (ECS) used of the instance that it ran on.

Its rows repeat cost that the instance's own rows hold, so they are no charges. They tell how to part them:
the charges of a node with a GPU are divided by day over the pods' tags (namespace, workload, labels), each pod
with its `split_line_item_split_cost`; what no pod asked for, AWS's unused cost, stays with the node. Σ is the
node's charge as before, to the last digit. Charges of instances without a GPU are added up per service, and
are not divided.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import pyarrow as pa

from warehouse.columns import spellings_of
from warehouse.rates import REPORTING_CURRENCY
from warehouse.scans import Scan
from warehouse.staged_charges import count, create_from_arrow
from warehouse.statements import render
from warehouse.tags import canonical_tags

if TYPE_CHECKING:
    import duckdb

_EKS_KEY = re.compile(r'"aws_eks_([a-z_]+)":')
_NEEDED = ("line_item_operation", "split_line_item_parent_resource_id", "split_line_item_split_cost")
AMOUNTS = ("billed_cost", "effective_cost", "list_cost")
QUANTITIES = ("consumed_quantity", "tokens", "gpu_hours")
TEMPORARY = ("_splits", "_split_tags", "_divided", "_parts")


def divide_by_splits(con: duckdb.DuckDBPyConnection, scan: Scan, delivery_id: str) -> int:
    """Within the load's transaction: divide the delivery's GPU charges by its split rows; returns the rows divided.

    Raises what DuckDB raises for a split cost that is no number.
    """
    groups = [
        group
        for group in scan.groups
        if group.layout.template == "cur" and all(group.columns.has(name) for name in _NEEDED)
    ]
    if not groups:
        return 0
    selects = [render("split_costs/splits.sql", c=group.columns, relation=group.relation) for group in groups]
    con.execute(render("split_costs/staged.sql", selects=selects))
    if not count(con, "SELECT count(*) FROM _splits"):
        return 0
    raw = [row[0] for row in con.execute("SELECT DISTINCT raw_tags FROM _splits WHERE raw_tags IS NOT NULL").fetchall()]
    prefix, listed = groups[0].layout.tag_prefix, groups[0].columns.tag_keys
    tags = pa.table(
        {
            "raw_tags": pa.array(raw, pa.string()),
            "tags": pa.array([_pod_tags(text, prefix, listed) for text in raw], pa.string()),
        }
    )
    create_from_arrow(con, "_split_tags", tags)
    con.execute(render("split_costs/divided.sql"), {"delivery_id": delivery_id})
    divided = count(con, "SELECT count(*) FROM _divided")
    if divided:
        values = {"amounts": AMOUNTS, "quantities": QUANTITIES, "reporting": REPORTING_CURRENCY}
        con.execute(render("split_costs/parts.sql", **values))
        con.execute(render("split_costs/remove_divided.sql"))
        con.execute(render("split_costs/insert_rest.sql", **values))
        con.execute("INSERT INTO core.charge_amounts BY NAME SELECT * EXCLUDE (row_number) FROM _parts")
    return divided


def _pod_tags(raw: str, prefix: str, listed: Collection[str] | None) -> str | None:
    """Canonical tags. The maps of CUR 2.0 write `aws_eks_node` for what the legacy report calls `aws:eks:node`."""
    spelled = None if listed is None else {spelling for key in listed for spelling in spellings_of(key, [""])}
    tags = canonical_tags(raw, prefix, spelled)
    return tags and _EKS_KEY.sub(lambda found: f'"aws:eks:{found[1].replace("_", "-")}":', tags)
