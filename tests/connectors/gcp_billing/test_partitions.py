"""What is read again, and what is taken back: partitions, whatever the table is cut by."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import FileScan, Window
from connectors.errors import ConfigError, PayloadError
from connectors.gcp_billing import GcpBilling, GcpBillingOptions
from connectors.gcp_billing.tables import choose_table
from tests.connectors.conformance.ledger import Ledger, scan
from tests.connectors.gcp_billing.export_rows import DETAILED_TABLE, FOCUS_TABLE, TABLE, focus_row, net, row
from tests.servers.bigquery import DETAILED, FOCUS, STANDARD, Dataset, F, pairs

WINDOW = Window(date(2026, 1, 5), date(2026, 1, 9))


def connect(billing: Dataset, **options: Any) -> GcpBilling:
    return GcpBilling(name="gcp", options=GcpBillingOptions.model_validate(billing.options(**options)))


def discover(billing: Dataset, window: Window = WINDOW, **options: Any) -> dict[str, str | None]:
    """Partition id → identity."""
    refs = connect(billing, **options).discover(window)
    return {ref.scope.rpartition("/")[2]: ref.identity for ref in refs}


def held(identities: dict[str, str | None]) -> list[str]:
    return [name for name, identity in identities.items() if identity != "empty"]


class Runs:
    """Daily runs as the flow makes them: what has a known identity is not fetched again."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        self._known: dict[str, str | None] = {}

    def run(self, billing: Dataset, window: Window = WINDOW, **options: Any) -> set[str]:
        """The partitions that were read, or taken back."""
        connector, read = connect(billing, **options), set()
        for ref in connector.discover(window):
            if self._known.get(ref.scope) != ref.identity:
                known = ref.scope in self._known
                self._known[ref.scope] = ref.identity
                self.ledger.load(connector, ref)
                if known or ref.identity != "empty":
                    read.add(ref.scope.rpartition("/")[2])
        return read

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [one for _, _, one in self.ledger.rows]

    @property
    def net(self) -> Decimal:
        return sum((one["billed_cost"] for one in self.rows), Decimal(0))


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "ledger")


def two_days(cost: str = "1.5") -> list[dict[str, Any]]:
    return [row(f"2026-01-0{day}T10:00:00", cost, exported=f"2026-01-0{day}T23:00:00") for day in (5, 6)]


class TestIncremental:
    def test_a_late_row_moves_its_own_partition_and_no_other(self, billing: Dataset, runs: Runs) -> None:
        rows = two_days()
        billing.create(TABLE, partition="usage_start_time")
        billing.load(TABLE, rows)
        assert runs.run(billing) == {"20260105", "20260106"}
        assert runs.run(billing) == set()
        late = row("2026-01-05T23:00:00", "0.25", exported="2026-01-08T04:00:00", credits=[("DISCOUNT", "-0.05")])
        billing.load(TABLE, [late])
        assert runs.run(billing) == {"20260105"}
        assert runs.net == net([*rows, late])

    def test_a_partition_that_shrank_or_went_is_taken_back(self, billing: Dataset, runs: Runs) -> None:
        billing.create(TABLE)
        billing.load(TABLE, [*two_days(), row("2026-01-06T11:00:00", "9", exported="2026-01-06T22:00:00", sku="Other")])
        runs.run(billing)
        assert runs.net == 12
        billing.delete(TABLE, "sku.description = 'Other'")
        billing.delete(TABLE, "DATE(export_time) = '2026-01-05'")
        assert runs.run(billing) == {"20260105", "20260106"}
        assert runs.net == Decimal("1.5")
        billing.delete(TABLE)
        assert runs.run(billing) == {"20260106"}
        assert runs.rows == []

    def test_days_that_never_had_a_row_are_one_empty_delivery_each_and_differ(self, billing: Dataset) -> None:
        billing.create(TABLE)
        connector = connect(billing)
        refs = list(connector.discover(WINDOW))
        assert [ref.identity for ref in refs] == ["empty"] * 5
        payloads = [[(p.name, b"".join(p.chunks)) for p in connector.fetch(ref)] for ref in refs]
        assert len({str(one) for one in payloads}) == 5

    def test_the_window_begins_with_its_first_day_and_has_no_end(self, billing: Dataset) -> None:
        """What is exported after the last day speaks of it."""
        billing.create(TABLE)
        billing.load(TABLE, [*two_days(), row("2026-01-08T23:00:00", "4", exported="2026-01-10T05:00:00")])
        assert held(discover(billing)) == ["20260105", "20260106", "20260110"]
        assert held(discover(billing, Window(date(2026, 1, 6), date(2026, 1, 9)))) == ["20260106", "20260110"]

    def test_another_question_is_another_identity(self, billing: Dataset) -> None:
        billing.create(TABLE)
        billing.load(TABLE, two_days()[:1])
        asked = [
            discover(billing, **more)["20260105"] for more in ({}, {"tag_keys": ["feature"]}, {"tag_keys": ["team"]})
        ]
        assert len(set(asked)) == 3
        assert discover(billing)["20260105"] == asked[0]

    def test_rows_that_came_between_discover_and_fetch_are_in(self, billing: Dataset, tmp_path: Path) -> None:
        billing.create(TABLE)
        billing.load(TABLE, two_days())
        connector, ledger = connect(billing), Ledger(tmp_path)
        ref = next(ref for ref in connector.discover(WINDOW) if ref.scope.endswith("20260106"))
        billing.load(TABLE, [row("2026-01-06T11:00:00", "7", exported="2026-01-06T23:30:00")])
        ledger.load(connector, ref)
        assert sum(one["billed_cost"] for _, _, one in ledger.rows) == Decimal("8.5")


class TestPartitionings:
    def test_by_ingestion(self, billing: Dataset, runs: Runs) -> None:
        """The emulator takes every row for ingested now."""
        billing.create(TABLE, partition="")
        billing.load(TABLE, two_days())
        today = datetime.now(UTC).date()
        [name] = runs.run(billing, Window(today - timedelta(days=1), today))
        assert name in {f"{today:%Y%m%d}", f"{today + timedelta(days=1):%Y%m%d}"}
        assert runs.net == net(two_days())

    @pytest.mark.parametrize(
        ("unit", "partitions"),
        [
            ("HOUR", ["20251231", "20260105"]),
            ("DAY", ["20251231", "20260105"]),
            ("MONTH", ["202512", "202601"]),
            ("YEAR", ["2025", "2026"]),
        ],
    )
    def test_by_any_unit_of_a_column(self, billing: Dataset, runs: Runs, unit: str, partitions: list[str]) -> None:
        rows = [row(hour, "0.75") for hour in ("2025-12-31T23:00:00", "2026-01-05T01:00:00", "2026-01-05T09:00:00")]
        billing.create(TABLE, partition="usage_start_time", unit=unit)
        billing.load(TABLE, rows)
        window = Window(date(2025, 12, 31), date(2026, 1, 7))
        assert held(discover(billing, window)) == partitions
        if unit in ("HOUR", "YEAR"):
            runs.run(billing, window)
            assert runs.net == net(rows)

    @pytest.mark.parametrize("kind", ["DATE", "DATETIME"])
    def test_by_a_column_of_any_type_and_rows_without_a_day(self, billing: Dataset, runs: Runs, kind: str) -> None:
        billing.create(TABLE, [*STANDARD, F("day", kind)], partition="day")
        rows = [row(cost="1.5", day="2026-01-05"), row(cost="0.5", day=None), row(cost="0.25", day=None)]
        billing.load(TABLE, rows)
        assert runs.run(billing) == {"20260105", "__NULL__"}
        assert runs.net == net(rows)
        billing.delete(TABLE, "day IS NULL")
        assert runs.run(billing) == {"__NULL__"}
        assert runs.net == Decimal("1.5")

    def test_a_table_without_partitions_and_a_view_go_by_month_of_export(self, billing: Dataset, runs: Runs) -> None:
        billing.create("raw", partition=None)
        rows = [row(exported=time) for time in ("2025-12-31T23:00:00", "2026-01-01T00:00:00", "2026-01-09T01:00:00")]
        billing.load("raw", [*rows, row(cost="0")])
        view = billing.path("my_bill")
        billing.run(f"CREATE VIEW `{view}` AS SELECT * FROM `{billing.path('raw')}` WHERE cost > 0")
        window = Window(date(2025, 12, 30), date(2026, 1, 9))
        assert held(discover(billing, window, table="raw")) == ["202512", "202601"]
        assert runs.run(billing, window, table="my_bill") == {"202512", "202601"}
        assert runs.net == net(rows)
        assert {scope for scope, _, _ in runs.ledger.rows} == {"my_bill/202512", "my_bill/202601"}

    def test_what_bigquery_expires_by_itself_is_not_taken_back(self, billing: Dataset) -> None:
        billing.create(TABLE, expiration_days=3)
        window = Window(date(2026, 1, 1), date(2026, 1, 9))
        # On the 9th, a partition of the 5th has expired in the course of the 8th.
        assert list(discover(billing, window)) == ["20260106", "20260107", "20260108", "__NULL__"]


class TestWhichTable:
    def test_detailed_before_standard_before_focus(self, billing: Dataset) -> None:
        billing.create(FOCUS_TABLE, FOCUS, partition="x_ExportTime")
        billing.create("cloud_pricing_export", [F("x")], partition=None)
        [table, *_] = connect(billing).check()
        assert FOCUS_TABLE in table.detail
        billing.create(TABLE)
        assert TABLE in connect(billing).check()[0].detail
        billing.create(DETAILED_TABLE, DETAILED)
        table, others, *_ = connect(billing).check()
        assert DETAILED_TABLE in table.detail
        assert TABLE in others.detail
        assert FOCUS_TABLE in others.detail
        assert TABLE in connect(billing, table=TABLE).check()[0].detail

    def test_one_that_began_much_later_does_not_replace_the_history(self) -> None:
        options = GcpBillingOptions(project="acme", dataset="billing")
        start = datetime(2025, 1, 1, tzinfo=UTC)
        both = {TABLE: start, DETAILED_TABLE: start + timedelta(days=6)}
        assert choose_table(both, options).name == DETAILED_TABLE
        late = {TABLE: start, DETAILED_TABLE: start + timedelta(days=60)}
        assert choose_table(late, options).name == TABLE
        assert choose_table(late, options).others == (DETAILED_TABLE,)

    def test_several_accounts_are_a_question(self, billing: Dataset) -> None:
        billing.create(TABLE)
        billing.create(TABLE.replace("01AB2C", "FFFFFF"))
        with pytest.raises(ConfigError, match=f"2 billing accounts: {TABLE}") as caught:
            discover(billing)
        assert "set table" in caught.value.cure
        assert discover(billing, table=TABLE)

    def test_none_says_what_is_there_and_how_to_switch_it_on(self, billing: Dataset) -> None:
        billing.create("something_else", [F("x")], partition=None)
        with pytest.raises(ConfigError, match="no billing export among 1 tables: something_else") as caught:
            discover(billing)
        assert "detailed usage cost export" in caught.value.cure

    def test_one_that_is_no_export_says_what_it_lacks(self, billing: Dataset) -> None:
        billing.create("mine", [field for field in STANDARD if field.name not in ("cost", "credits")])
        with pytest.raises(PayloadError, match=r"it lacks cost, credits\.amount"):
            discover(billing, table="mine")

    def test_an_older_table_without_newer_columns_is_read(self, billing: Dataset, runs: Runs) -> None:
        new = {
            "cost_at_list",
            "tags",
            "system_labels",
            "adjustment_info",
            "transaction_type",
            "seller_name",
            "location",
        }
        billing.create(TABLE, [field for field in STANDARD if field.name not in new])
        rows = [{key: value for key, value in one.items() if key not in new} for one in two_days()[:1]]
        billing.load(TABLE, rows)
        runs.run(billing)
        assert runs.net == net(rows)
        assert {one["list_cost"] for one in runs.rows} == {None}

    def test_another_export_under_the_same_name_counts_nothing_twice(self, billing: Dataset, runs: Runs) -> None:
        billing.create(TABLE)
        billing.create(DETAILED_TABLE, DETAILED)
        billing.load(TABLE, two_days()[:1])
        billing.load(DETAILED_TABLE, [{**one, "resource": {"name": "vm-1"}} for one in two_days()[:1]])
        runs.run(billing, table=TABLE)
        assert runs.run(billing) == {"20260105"}
        assert runs.net == net(two_days()[:1])
        assert {one["resource_id"] for one in runs.rows} == {"vm-1"}

    def test_a_dataset_of_another_project(self, billing: Dataset) -> None:
        billing.create(TABLE)
        options = {**billing.options(), "project": "who-pays", "dataset": f"acme-finops.{billing.name}"}
        connector = GcpBilling(name="gcp", options=GcpBillingOptions.model_validate(options))
        assert [ref.identity for ref in connector.discover(WINDOW)] == ["empty"] * 5


class TestFocus:
    def read(self, billing: Dataset, tmp_path: Path) -> list[dict[str, Any]]:
        connector, ledger, found = connect(billing), Ledger(tmp_path), []
        for ref in connector.discover(WINDOW):
            if ref.identity != "empty":
                [part] = connector.parse(ledger.land(connector, ref)).parts
                assert isinstance(part, FileScan)
                assert part.layout == "focus"
                assert part.constants == {"InvoiceIssuerName": "Google Cloud"}
                found += scan(part).to_pylist()
        return found

    def test_hours_become_days_and_promotional_credits_rows_of_their_own(
        self, billing: Dataset, tmp_path: Path
    ) -> None:
        feature = {"feature": "search"}
        adjustment = {"ChargeCategory": "adjustment", "ChargeClass": "correction", "ListCost": None}
        billing.create(FOCUS_TABLE, FOCUS, partition="x_ExportTime")
        billing.load(
            FOCUS_TABLE,
            [
                focus_row("2026-01-05T10:00:00", "1.000000001", labels=feature),
                focus_row("2026-01-05T20:00:00", "0.5", labels=feature, credits=[("PROMOTION", "-0.75")]),
                focus_row("2026-01-06T00:00:00", "0.25", labels=feature, credits=[("DISCOUNT", "-0.1")]),
                focus_row("2026-01-06T00:00:00", "-2", **adjustment),
            ],
        )
        found = self.read(billing, tmp_path)
        assert sum(one["BilledCost"] for one in found) == Decimal("-0.249999999")
        fifth = [one for one in found if one["ChargePeriodStart"].date() == date(2026, 1, 5)]
        usage, credit = sorted(fifth, key=lambda one: -one["BilledCost"])
        assert usage["BilledCost"] == usage["EffectiveCost"] == Decimal("2.250000001")
        assert usage["ConsumedQuantity"] == 2000
        assert usage["ListCost"] == 5
        assert usage["ChargePeriodStart"] == datetime(2026, 1, 5, 10, tzinfo=UTC)
        assert usage["ChargePeriodEnd"] == datetime(2026, 1, 5, 21, tzinfo=UTC)
        assert usage["BillingPeriodStart"] == datetime(2026, 1, 1, 8, tzinfo=UTC)
        assert usage["SkuMeter"] == "Gemini 2.5 Flash Text Input - Predictions"
        assert usage["Tags"] == '{"feature": "search", "project:env": "prod"}'
        assert (credit["ChargeCategory"], credit["BilledCost"]) == ("Credit", Decimal("-0.75"))
        assert credit["ConsumedQuantity"] is None
        assert credit["ListCost"] == 0
        [correction] = [one for one in found if one["ChargeClass"]]
        assert (correction["ChargeCategory"], correction["ChargeClass"]) == ("Adjustment", "Correction")
        assert correction["ListCost"] is None

    def test_tags_of_googles_focus_view_are_told_apart_by_their_kind(self, billing: Dataset, tmp_path: Path) -> None:
        tags = pairs("Tags", "key", "value", F("x_type"), F("x_inherited", "BOOLEAN"))
        own = [field for field in FOCUS if field.name not in ("x_Labels", "x_ProjectLabels", "x_Credits")]
        billing.create(FOCUS_TABLE, [*own, tags], partition="x_ExportTime")
        kinds = [("env", "dev", "label"), ("env", "prod", "project_label"), ("pod", "7", "label"), ("env", "x", "tag")]
        made = focus_row(Tags=[{"key": key, "value": value, "x_type": kind} for key, value, kind in kinds])
        for name in ("x_Labels", "x_ProjectLabels", "x_Credits"):
            del made[name]
        billing.load(FOCUS_TABLE, [made])
        [one] = self.read(billing, tmp_path)
        assert json.loads(one["Tags"]) == {"env": "dev", "project:env": "prod", "pod": "7", "tag:env": "x"}

    def test_one_that_went_is_taken_back_and_columns_nobody_knows_are_named(self, billing: Dataset, runs: Runs) -> None:
        billing.create(FOCUS_TABLE, [*FOCUS, F("x_Surprise")], partition="x_ExportTime")
        billing.load(FOCUS_TABLE, [focus_row(x_Surprise="1")])
        runs.run(billing, tag_keys=["feature"])
        assert len(runs.rows) == 1
        assert any("'x_Surprise'" in note for note in runs.ledger.notes)
        billing.delete(FOCUS_TABLE)
        assert runs.run(billing, tag_keys=["feature"]) == {"20260105"}
        assert runs.rows == []
