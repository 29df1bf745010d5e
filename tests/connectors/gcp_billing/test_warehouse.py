"""From BigQuery to core.charges, through landing and load, as a daily run does it."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from connectors.base import Window
from connectors.gcp_billing import GcpBilling, GcpBillingOptions
from flows.commands.standing import forget_source
from flows.settings import load_settings
from tests.connectors.gcp_billing.export_rows import DETAILED_TABLE, FOCUS_TABLE, focus_row, net, row
from tests.servers.bigquery import DETAILED, FOCUS, Dataset
from warehouse.landing import Landing
from warehouse.load import LoadResult, load_delivery, loaded_identities
from warehouse.overlap import Neighbours
from warehouse.store import open_warehouse

PARTS = Neighbours(are_parts=True)
WINDOW = Window(date(2026, 1, 5), date(2026, 1, 8))
GPU, A3 = "Compute Engine", "A3 Instance"


class Home:
    """A home whose runs are a minute apart."""

    def __init__(self, folder: Path, billing: Dataset, **options: Any) -> None:
        self._folder = folder
        self._connector = GcpBilling(name="gcp", options=GcpBillingOptions.model_validate(billing.options(**options)))
        self._now = datetime(2026, 1, 8, 9, 30, tzinfo=UTC)

    def run(self) -> list[LoadResult]:
        self._now += timedelta(minutes=1)
        landing, results = Landing(self._folder / "landing"), []
        with open_warehouse(self._folder) as warehouse:
            known = loaded_identities(warehouse, "gcp")
            for ref in self._connector.discover(WINDOW):
                if (ref.scope, ref.identity) not in known:
                    payloads = self._connector.fetch(ref)
                    landed = landing.store(ref, payloads, source_type="gcp_billing", fetched_at=self._now)
                    parsed = self._connector.parse(landed.files)
                    results.append(
                        load_delivery(
                            warehouse, landed, parsed.parts, notes=parsed.notes, now=self._now, neighbours=PARTS
                        )
                    )
        return results

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with open_warehouse(self._folder) as warehouse:
            return warehouse.con.execute(sql).fetchall()


def test_the_bill_arrives_exactly_is_restated_and_emptied(billing: Dataset, tmp_path: Path) -> None:
    credits = [("PROMOTION", "-0.111111111111"), ("SUSTAINED_USAGE_DISCOUNT", "-0.25")]
    fifth = [row(cost="0.1", credits=credits), row(cost="1234.567890123456"), row(cost="-2", cost_type="adjustment")]
    # The same hour of the same thing again, exported a day later: no copy of the first.
    sixth = [
        row(cost="0.1", credits=credits, exported="2026-01-06T05:00:00"),
        row(cost="7", cost_type="tax", project=None),
    ]
    sixth[1]["export_time"] = "2026-01-06T05:00:00+00:00"
    billing.create(DETAILED_TABLE, DETAILED)
    billing.load(DETAILED_TABLE, [*fifth, *sixth])
    home = Home(tmp_path, billing)
    total = "SELECT sum(billed_cost), sum(effective_cost_usd), count(DISTINCT scope) FROM core.charges"
    before_credits = "SELECT sum(effective_cost) FROM core.charges WHERE charge_category <> 'Credit'"

    assert all(result.was_loaded for result in home.run())
    assert home.ask(total) == [(net([*fifth, *sixth]), net([*fifth, *sixth]), 2)]
    assert home.ask(before_credits) == [(net([*fifth, *sixth]) + 2 * Decimal("0.111111111111"),)]
    assert home.run() == []
    restated = "SELECT charge_date, old_effective_cost, new_effective_cost FROM ops.restatements ORDER BY rowid"
    assert home.ask(restated) == []

    # A row that comes late, in a partition of its own, and one that the next run finds in a partition it knows.
    day, bill = date(2026, 1, 5), [*fifth, *sixth]
    known = [(day, net(bill), net(bill) + Decimal("3.5")), (day, net(bill) + Decimal("3.5"), net(bill) + 4)]
    bill += [row("2026-01-05T22:00:00", "3.5", exported="2026-01-07T23:00:00")]
    bill += [row("2026-01-05T23:00:00", "0.5", exported="2026-01-06T23:00:00")]
    for number, late in enumerate(bill[-2:], 1):
        billing.load(DETAILED_TABLE, [late])
        [result] = home.run()
        assert (result.was_loaded, result.restatements) == (True, 1)
        assert home.ask(restated) == known[:number]
    assert home.ask(total)[0][0] == net(bill)

    billing.delete(DETAILED_TABLE, "DATE(export_time) = '2026-01-05'")
    billing.delete(DETAILED_TABLE, "cost_type = 'tax'")
    assert len(home.run()) == 2
    assert home.ask(total)[0][0] == home.ask(restated)[-1][2] == net([sixth[0], *bill[-2:]])
    # Of a partition that is forgotten the day loses its part, and no more.
    settings = tmp_path / "trendbreak.yml"
    settings.write_text("home: .\nsources:\n  - {name: drop, type: focus_files, location: .}\n")
    [(scope,)] = home.ask("SELECT DISTINCT scope FROM core.charges WHERE billed_cost = 3.5")
    forget_source(load_settings(settings), "gcp", scope, Console(file=io.StringIO()))
    assert home.ask(restated)[-1] == (day, net([sixth[0], *bill[-2:]]), net([sixth[0], bill[-1]]))
    assert home.ask(total)[0][0] == net([sixth[0], bill[-1]])
    billing.delete(DETAILED_TABLE)
    home.run()
    assert home.ask("SELECT count(*) FROM core.charges") == [(0,)]
    assert home.ask(restated)[-1][2] == 0
    assert home.ask("SELECT count(*) FROM ops.reconciliations WHERE NOT is_equal") == [(0,)]


def test_what_is_ai_is_known_by_its_sku(billing: Dataset, tmp_path: Path) -> None:
    thousand = Decimal(1000)
    gemini = [
        ("Gemini 2.5 Flash Text Input - Predictions", "gemini-2.5-flash", "input", thousand),
        ("Gemini 2.5 Flash GA Text Output - Predictions", "gemini-2.5-flash", "output", thousand),
        ("Gemini 2.5 Flash Thinking Text Output - Predictions", "gemini-2.5-flash", "reasoning", thousand),
        ("Gemini 2.5 Pro Input Text Caching", "gemini-2.5-pro", "cache_read", thousand),
    ]
    rows = [row(sku=sku, resource={"name": None}) for sku, *_ in gemini]
    rows += [row(sku="Gemini 2.5 Flash Input Text Caching Storage", unit="hour", quantity=3)]
    node = {"resource": {"name": "gke-gpu-node"}, "service": GPU, "unit": "hour", "quantity": 8}
    rows += [
        row(sku="Nvidia H100 80GB GPU running in Iowa", **node),
        row(sku="A3 Instance Core running in Americas", **{**node, "unit": "hour"}),
        row(sku="A3 Instance Ram running in Americas", **{**node, "unit": "gibibyte hour"}),
        row(sku="Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Iowa", **{**node, "quantity": 2}),
        row(sku="A4 Nvidia B200 (1 gpu slice) in Iowa", **{**node, "resource": {"name": "b200"}}),
        row(sku="Vertex AI: Online/Batch Prediction management fee", service="Vertex AI", unit="hour"),
        row(sku="N1 Predefined Instance Core running in Americas", **{**node, "resource": {"name": "web-1"}}),
    ]
    rows = [{**one, "service": {"id": "x", "description": GPU}} if one["service"] == GPU else one for one in rows]
    billing.create(DETAILED_TABLE, DETAILED)
    billing.load(DETAILED_TABLE, rows)
    home = Home(tmp_path, billing)
    home.run()
    found = {
        sku: rest
        for sku, *rest in home.ask(
            "SELECT coalesce(sku_meter, '-'), ai_kind, model, token_type, tokens, gpu_type, gpu_hours, resource_id, "
            "provider FROM core.charges"
        )
    }
    for sku, model, token_type, tokens in gemini:
        assert found[sku][:4] == ["llm_api", model, token_type, tokens], sku
    assert found["Gemini 2.5 Flash Input Text Caching Storage"][:4] == [
        "llm_api",
        "gemini-2.5-flash",
        "cache_write_1h",
        None,
    ]
    assert found["Nvidia H100 80GB GPU running in Iowa"][0::4] == ["gpu", "H100"]
    assert found["Nvidia H100 80GB GPU running in Iowa"][5:] == [8, "gke-gpu-node", "gcp"]
    spot = "Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Iowa"
    assert found[spot][4:6] == ["H100", 2]
    assert found["A4 Nvidia B200 (1 gpu slice) in Iowa"][4:6] == ["B200", 8]
    # Processor and memory of the GPU's node are its cost too: the GPU alone would understate it.
    for part in ("A3 Instance Core running in Americas", "A3 Instance Ram running in Americas"):
        assert (found[part][0], *found[part][4:7]) == ("gpu", "H100", None, "gke-gpu-node")
    assert found["Vertex AI: Online/Batch Prediction management fee"][0] == "ai_platform"
    assert found["-"][0] == "other"
    assert home.ask("SELECT sum(billed_cost) FROM core.charges") == [(net(rows),)]


def test_the_focus_export_arrives_too(billing: Dataset, tmp_path: Path) -> None:
    rows = [
        focus_row(cost="1.000000001", labels={"feature": "search"}, credits=[("PROMOTION", "-0.25")]),
        focus_row("2026-01-05T11:00:00", "2.5", labels={"feature": "search"}),
        focus_row("2026-01-05T11:00:00", "-0.75", ChargeCategory="adjustment", ConsumedQuantity=None),
    ]
    billing.create(FOCUS_TABLE, FOCUS, partition="x_ExportTime")
    billing.load(FOCUS_TABLE, rows)
    home = Home(tmp_path, billing)
    home.run()
    assert home.ask("SELECT sum(billed_cost), sum(list_cost) FROM core.charges") == [
        (Decimal("2.750000001"), Decimal("7.5"))
    ]
    usage = home.ask(
        "SELECT billed_cost, ai_kind, model, token_type, tokens, json_extract_string(tags, '$.feature'), "
        "billing_period_start, invoice_issuer_name FROM core.charges WHERE charge_category = 'Usage'"
    )
    expected = ("llm_api", "gemini-2.5-flash", "input", 2000, "search", date(2026, 1, 1), "Google Cloud")
    assert usage == [(Decimal("3.750000001"), *expected)]
    credit = home.ask("SELECT billed_cost, tokens FROM core.charges WHERE charge_category = 'Credit'")
    assert credit == [(Decimal("-0.25"), None)]
    billing.delete(FOCUS_TABLE)
    home.run()
    assert home.ask("SELECT count(*) FROM core.charges") == [(0,)]
