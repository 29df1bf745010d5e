"""Charges given to features by many rules: seconds beside a bare scan of the same charges, and peak memory.

    python -m benchmarks.allocate.run [--charges 1000000] [--rules 500] [--resources 2000] [--split]

scan      SELECT the grain of allocations, sum(every measure) GROUP BY the grain: what any allocation must read and add
allocate  warehouse.allocate.allocate, which tries the rules, writes core.allocations and conserves every measure
beyond    allocate − scan; the aim is 10 s at ten million charges and 500 rules on two cores, which is 20 s of CPU

Charges are spread over a year, 40 services, 30 accounts, 2,000 resources and thousands of distinct tag texts, so that
nearly every charge is a combination of its own. Rules ask about tags, accounts, services and resources by equals, in,
prefix, glob and regex; few take much, as in real files.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from warehouse.allocate import GRAIN, MEASURES, allocate
from warehouse.features import Features, parse_features
from warehouse.store import Warehouse, open_warehouse

# Every combination of what charges say of themselves, and charges that have one each, by its number.
DIMENSIONS = """
INSERT INTO core.charge_dimensions BY NAME
SELECT
    a * 400 + s * 10 + r * 2 + k AS charge_group, FALSE AS is_shadow,
    'bill' AS source_name, 'focus_files' AS source_type, '2026' AS scope, 'd1' AS delivery_id,
    'payer' AS billing_account_id, 'AWS' AS invoice_issuer_name, 'AWS' AS provider_name, 'aws' AS provider,
    'account-' || a AS sub_account_id, 'Service ' || s AS service_name, 'region-' || r AS region_id,
    'Usage' AS charge_category, CASE WHEN k = 0 THEN 'gpu' ELSE 'ai_platform' END AS ai_kind,
    'inference' AS workload, 'USD' AS billing_currency, 'reported' AS basis
FROM range(30) AS accounts(a), range(40) AS services(s), range(5) AS regions(r), range(2) AS kinds(k)
"""
AMOUNTS = """
INSERT INTO core.charge_amounts BY NAME
SELECT
    (hash(i, 1) % 30 * 400 + hash(i, 2) % 40 * 10 + hash(i, 3) % 5 * 2 + (hash(i, 8) % 3 > 0)::INTEGER)::BIGINT
        AS charge_group,
    DATE '2025-06-01' + (i % 365)::INTEGER AS charge_date,
    'arn:aws:x:node-' || hash(i, 4) % $2 AS resource_id,
    CASE WHEN hash(i, 5) % 4 > 0 THEN
        '{"team": "team-' || hash(i, 6) % 100 || '", "feature": "feature-' || hash(i, 7) % 200 || '"}'
    END AS tags,
    1 AS source_rows, cost AS billed_cost, cost AS effective_cost, cost AS list_cost
FROM (SELECT i, ((hash(i) % 1000000)::DECIMAL(38, 12) / 1000000)::DECIMAL(38, 12) AS cost FROM range($1) AS t(i))
"""


def features_of(rules: int, *, split: bool) -> Features:
    """`rules` rules of every operator; the last takes what has no tags, to a split where one is wanted."""
    kinds = (
        "tag.feature: {{equals: feature-{n}}}",
        "tag.team: team-{n}, service_name: {{prefix: 'Service 1'}}",
        "resource_id: {{glob: '*node-{n}'}}, region_id: region-1",
        "resource_id: {{regex: 'node-{n}[0-9]$'}}, sub_account_id: account-3",
        "sub_account_id: {{in: [account-{n}, account-1{n}]}}, tag.team: {{present: true}}",
    )
    lines = ["version: 1", "features:", *(f"  f{n}: {{}}" for n in range(50)), "rules:"]
    for n in range(rules - 1):
        when = kinds[n % len(kinds)].format(n=n // len(kinds))
        lines.append(f"  - {{name: r{n}, when: {{{when}}}, feature: f{n % 50}}}")
    target = "split: rest" if split else "feature: f0"
    lines.append(f"  - {{name: rest, when: {{tag.feature: {{present: false}}}}, {target}}}")
    if split:
        lines += ["splits:", "  rest: {method: even, features: [f1, f2, f3, f4]}"]
    return parse_features("\n".join(lines))


def scan_seconds(wh: Warehouse) -> tuple[float, float]:
    """Reading and adding the charges at the grain of allocations, written to a table as allocations are: wall, CPU."""
    sums = ", ".join(f"sum({column}) AS {column}" for column in MEASURES)
    grouped = wh.con.sql("FROM core.charges").aggregate(f"{', '.join(GRAIN)}, {sums}")
    started, cpu = time.perf_counter(), time.process_time()
    grouped.create("core.scanned")
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    wh.con.execute("DROP TABLE core.scanned")
    return seconds, cpu


def main() -> None:
    """Print the seconds of each, and whether every cost is conserved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--charges", type=int, default=1_000_000)
    parser.add_argument("--rules", type=int, default=500)
    parser.add_argument("--resources", type=int, default=2000, help="distinct resource_id texts")
    parser.add_argument("--split", action="store_true", help="untagged charges go to a split of four")
    arguments = parser.parse_args()
    features = features_of(arguments.rules, split=arguments.split)
    with tempfile.TemporaryDirectory(prefix="trendbreak-allocate-") as scratch, open_warehouse(Path(scratch)) as wh:
        wh.con.execute(DIMENSIONS)
        wh.con.execute(AMOUNTS, [arguments.charges, arguments.resources])
        wh.con.execute("CHECKPOINT")
        scan_seconds(wh)  # the file's pages are read once, for both
        scan, scan_cpu = scan_seconds(wh)
        started, cpu = time.perf_counter(), time.process_time()
        allocate(wh, features)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        equal = wh.con.execute(
            "SELECT (SELECT sum(effective_cost) FROM core.charges) = (SELECT sum(effective_cost) FROM core.allocations)"
        ).fetchone()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{arguments.charges:,} charges × {arguments.rules} rules: scan {scan:.1f} s ({scan_cpu:.1f} s CPU), "
        f"allocate {seconds:.1f} s ({cpu:.1f} s CPU), beyond {seconds - scan:.1f} s ({cpu - scan_cpu:.1f} s CPU, "
        f"{(cpu - scan_cpu) / scan_cpu:.2f} of the scan), peak {peak:,.0f} MB, costs equal: {equal and equal[0]}"
    )


if __name__ == "__main__":
    main()
