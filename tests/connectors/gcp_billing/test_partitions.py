"""What is read again, and what is taken back: partitions, whatever the table is cut by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import DeliveryRef, Rows, Window
from connectors.errors import ConfigError, PayloadError
from connectors.gcp_billing import GcpBilling, GcpBillingOptions
from tests.connectors.conformance.ledger import Ledger
from tests.connectors.gcp_billing.export_rows import DETAILED_TABLE, FOCUS_TABLE, SCOPE, TABLE, focus_row, net, row
from tests.servers.bigquery import DETAILED, FOCUS, STANDARD, Dataset, F

WINDOW = Window(date(2026, 1, 5), date(2026, 1, 9))


def connect(billing: Dataset, **options: Any) -> GcpBilling:
    return GcpBilling(name="gcp", options=GcpBillingOptions.model_validate(billing.options(**options)))


def discover(billing: Dataset, window: Window = WINDOW, **options: Any) -> dict[str, str | None]:
    """Partition id → identity."""
    refs = connect(billing, **options).discover(window)
    return {ref.scope.rpartition("/")[2]: ref.identity for ref in refs}


def held(identities: dict[str, str | None]) -> list[str]:
    return [name for name, identity in identities.items() if identity != "empty"]


def moved(before: dict[str, str | None], after: dict[str, str | None]) -> set[str]:
    return {name for name in after if before.get(name) != after[name]}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def net_of(ledger: Ledger) -> Decimal:
    return sum((one["billed_cost"] for _, _, one in ledger.rows), Decimal(0))


def three_days(cost: str = "1.5") -> list[dict[str, Any]]:
    return [row(f"2026-01-0{day}T10:00:00", cost, exported=f"2026-01-0{day}T23:00:00") for day in (5, 6, 7)]


class TestIncremental:
    def test_a_late_row_moves_its_own_partition_and_no_other(self, billing: Dataset, ledger: Ledger) -> None:
        rows = three_days()
        billing.create(TABLE, partition="usage_start_time")
        billing.load(TABLE, rows)
        connector = connect(billing)
        ledger.run(connector, WINDOW)
        before = discover(billing)
        assert held(before) == ["20260105", "20260106", "20260107"]
        late = row("2026-01-05T23:00:00", "0.25", exported="2026-01-08T04:00:00", credits=[("DISCOUNT", "-0.05")])
        billing.load(TABLE, [late])
        assert moved(before, discover(billing)) == {"20260105"}
        for ref in connector.discover(WINDOW):
            if ref.scope == f"{SCOPE}/20260105":
                ledger.load(connector, ref)
        assert net_of(ledger) == net([*rows, late])

    def test_a_partition_that_shrank_or_went_is_taken_back(self, billing: Dataset, ledger: Ledger) -> None:
        billing.create(TABLE)
        rows = [*three_days(), row("2026-01-07T11:00:00", "9", exported="2026-01-07T22:00:00", sku="Other")]
        billing.load(TABLE, rows)
        ledger.run(connect(billing), WINDOW)
        before = discover(billing)
        billing.delete(TABLE, "sku.description = 'Other'")
        billing.delete(TABLE, "DATE(export_time) = '2026-01-05'")
        after = discover(billing)
        assert moved(before, after) == {"20260105", "20260107"}
        assert after["20260105"] == "empty"
        ledger.run(connect(billing), WINDOW)
        assert net_of(ledger) == Decimal("3")
        billing.delete(TABLE)
        ledger.run(connect(billing), WINDOW)
        assert ledger.rows == []

    def test_days_that_never_had_a_row_are_one_empty_delivery_each_and_differ(self, billing: Dataset) -> None:
        billing.create(TABLE)
        refs = list(connect(billing).discover(WINDOW))
        assert [ref.identity for ref in refs] == ["empty"] * 5
        connector = connect(billing)
        payloads = [[(p.name, b"".join(p.chunks)) for p in connector.fetch(ref)] for ref in refs]
        assert len({str(one) for one in payloads}) == 5

    def test_what_is_exported_after_the_window_belongs_to_it(self, billing: Dataset, ledger: Ledger) -> None:
        rows = [*three_days(), row("2026-01-08T23:00:00", "4", exported="2026-01-10T05:00:00")]
        billing.create(TABLE)
        billing.load(TABLE, rows)
        assert held(discover(billing))[-1] == "20260110"
        ledger.run(connect(billing), Window(date(2026, 1, 5), date(2026, 1, 9)))
        assert net_of(ledger) == net(rows)

    def test_nothing_before_the_window_is_looked_at(self, billing: Dataset) -> None:
        billing.create(TABLE)
        billing.load(TABLE, three_days())
        assert held(discover(billing, Window(date(2026, 1, 6), date(2026, 1, 9)))) == ["20260106", "20260107"]

    def test_another_question_is_another_identity(self, billing: Dataset) -> None:
        billing.create(TABLE)
        billing.load(TABLE, three_days()[:1])
        plain, some = discover(billing), discover(billing, tag_keys=["feature"])
        assert plain["20260105"] != some["20260105"] != discover(billing, tag_keys=["team"])["20260105"]
        assert discover(billing) == plain

    def test_rows_that_came_between_discover_and_fetch_are_in(self, billing: Dataset, ledger: Ledger) -> None:
        billing.create(TABLE)
        billing.load(TABLE, three_days())
        connector = connect(billing)
        ref = next(ref for ref in connector.discover(WINDOW) if ref.scope.endswith("20260106"))
        billing.load(TABLE, [row("2026-01-06T11:00:00", "7", exported="2026-01-06T23:30:00")])
        ledger.load(connector, ref)
        assert net_of(ledger) == Decimal("8.5")


class TestPartitionings:
    def test_by_ingestion(self, billing: Dataset, ledger: Ledger) -> None:
        """The emulator takes every row for ingested now."""
        billing.create(TABLE, partition="")
        billing.load(TABLE, three_days())
        today = datetime.now(UTC).date()
        [name] = held(discover(billing, Window(today - timedelta(days=3), today)))
        assert name in {f"{today:%Y%m%d}", f"{today + timedelta(days=1):%Y%m%d}"}
        ledger.run(connect(billing), Window(today - timedelta(days=1), today))
        assert net_of(ledger) == net(three_days())

    @pytest.mark.parametrize(
        ("unit", "partitions"),
        [
            ("HOUR", ["20251231", "20260105", "20260106"]),
            ("DAY", ["20251231", "20260105", "20260106"]),
            ("MONTH", ["202512", "202601"]),
            ("YEAR", ["2025", "2026"]),
        ],
    )
    def test_by_any_unit_of_a_column(self, billing: Dataset, ledger: Ledger, unit: str, partitions: list[str]) -> None:
        used = ("2025-12-31T23:00:00", "2026-01-05T01:00:00", "2026-01-05T09:00:00", "2026-01-06T01:00:00")
        rows = [row(hour, "0.75") for hour in used]
        billing.create(TABLE, partition="usage_start_time", unit=unit)
        billing.load(TABLE, rows)
        window = Window(date(2025, 12, 31), date(2026, 1, 7))
        assert held(discover(billing, window)) == partitions
        if unit in ("HOUR", "YEAR"):
            ledger.run(connect(billing), window)
            assert net_of(ledger) == net(rows)

    @pytest.mark.parametrize("kind", ["DATE", "DATETIME"])
    def test_by_a_column_of_any_type_and_rows_without_a_day(self, billing: Dataset, ledger: Ledger, kind: str) -> None:
        days = ["2026-01-05", None, "2026-01-06", None]
        rows = [row(cost=f"{number}.5", day=day) for number, day in enumerate(days)]
        billing.create(TABLE, [*STANDARD, F("day", kind)], partition="day")
        billing.load(TABLE, rows)
        assert held(discover(billing)) == ["20260105", "20260106", "__NULL__"]
        ledger.run(connect(billing), WINDOW)
        assert net_of(ledger) == net(rows)
        billing.delete(TABLE, "day IS NULL")
        ledger.run(connect(billing), WINDOW)
        assert net_of(ledger) == Decimal("3")

    def test_a_table_without_partitions_and_a_view_go_by_month_of_export(self, billing: Dataset, ledger: Ledger) -> None:
        billing.create("raw", partition=None)
        rows = [row(exported="2025-12-31T23:00:00"), row(exported="2026-01-01T00:00:00"), row(exported="2026-01-09T01:00:00")]
        billing.load("raw", rows)
        view = billing.path("my_bill")
        billing.run(f"CREATE VIEW `{view}` AS SELECT * FROM `{billing.path('raw')}` WHERE cost > 0")
        window = Window(date(2025, 12, 30), date(2026, 1, 9))
        assert held(discover(billing, window, table="raw")) == ["202512", "202601"]
        assert held(discover(billing, window, table="my_bill")) == ["202512", "202601"]
        ledger.run(connect(billing, table="my_bill"), window)
        assert net_of(ledger) == net(rows)
        assert {scope for scope, _, _ in ledger.rows} == {"my_bill/202512", "my_bill/202601"}

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
        from connectors.gcp_billing.tables import choose_table

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

    def test_an_older_table_without_newer_columns_is_read(self, billing: Dataset, ledger: Ledger) -> None:
        new = {"cost_at_list", "tags", "system_labels", "adjustment_info", "transaction_type", "seller_name", "location"}
        billing.create(TABLE, [field for field in STANDARD if field.name not in new])
        rows = [{key: value for key, value in one.items() if key not in new} for one in three_days()]
        billing.load(TABLE, rows)
        ledger.run(connect(billing), WINDOW)
        assert net_of(ledger) == net(rows)
        assert {one["list_cost"] for _, _, one in ledger.rows} == {None}

    def test_another_export_under_the_same_name_counts_nothing_twice(self, billing: Dataset, ledger: Ledger) -> None:
        billing.create(TABLE)
        billing.create(DETAILED_TABLE, DETAILED)
        billing.load(TABLE, three_days())
        billing.load(DETAILED_TABLE, [{**one, "resource": {"name": "vm-1"}} for one in three_days()])
        ledger.run(connect(billing, table=TABLE), WINDOW)
        ledger.run(connect(billing), WINDOW)
        assert net_of(ledger) == net(three_days())
        assert {one["resource_id"] for _, _, one in ledger.rows} == {"vm-1"}

    def test_a_dataset_of_another_project(self, billing: Dataset) -> None:
        billing.create(TABLE)
        options = {**billing.options(), "project": "who-pays", "dataset": f"acme-finops.{billing.name}"}
        connector = GcpBilling(name="gcp", options=GcpBillingOptions.model_validate(options))
        assert [ref.identity for ref in connector.discover(WINDOW)] == ["empty"] * 5


class TestFocus:
    def load(self, billing: Dataset, rows: Iterable[dict[str, Any]]) -> list[DeliveryRef]:
        billing.create(FOCUS_TABLE, FOCUS, partition="x_ExportTime")
        billing.load(FOCUS_TABLE, rows)
        return [ref for ref in connect(billing).discover(WINDOW) if ref.identity != "empty"]

    def read(self, billing: Dataset, ledger: Ledger, refs: list[DeliveryRef]) -> list[dict[str, Any]]:
        from connectors.base import FileScan
        from tests.connectors.conformance.ledger import scan

        found = []
        for ref in refs:
            connector = connect(billing)
            for part in connector.parse(ledger.land(connector, ref)).parts:
                assert isinstance(part, FileScan)
                assert part.layout == "focus"
                assert part.constants == {"InvoiceIssuerName": "Google Cloud"}
                found += scan(part).to_pylist()
        return found

    def test_hours_become_days_and_promotional_credits_rows_of_their_own(self, billing: Dataset, ledger: Ledger) -> None:
        rows = [
            focus_row("2026-01-05T10:00:00", "1.000000001", labels={"feature": "search"}),
            focus_row("2026-01-05T20:00:00", "0.5", labels={"feature": "search"}, credits=[("PROMOTION", "-0.75")]),
            focus_row("2026-01-06T00:00:00", "0.25", labels={"feature": "search"}, credits=[("DISCOUNT", "-0.1")]),
            focus_row("2026-01-06T00:00:00", "-2", ChargeCategory="adjustment", ChargeClass="correction", ListCost=None),
        ]
        found = self.read(billing, ledger, self.load(billing, rows))
        assert sum(one["BilledCost"] for one in found) == Decimal("-0.249999999")
        usage, credit = sorted(
            (one for one in found if one["ChargePeriodStart"].date() == date(2026, 1, 5)), key=lambda one: -one["BilledCost"]
        )
        assert usage["BilledCost"] == usage["EffectiveCost"] == Decimal("2.250000001")
        assert usage["ConsumedQuantity"] == 2000
        assert usage["ListCost"] == 5
        assert usage["ChargePeriodStart"] == datetime(2026, 1, 5, 10, tzinfo=UTC)
        assert usage["ChargePeriodEnd"] == datetime(2026, 1, 5, 21, tzinfo=UTC)
        assert usage["BillingPeriodStart"] == datetime(2026, 1, 1, 8, tzinfo=UTC)
        assert usage["SkuMeter"] == "Gemini 2.5 Flash Text Input - Predictions"
        assert usage["Tags"] == '[{"key":"feature","value":"search"},{"key":"project:env","value":"prod"}]'
        assert (credit["ChargeCategory"], credit["BilledCost"]) == ("Credit", Decimal("-0.75"))
        assert credit["ConsumedQuantity"] is None
        assert credit["ListCost"] == 0
        [correction] = [one for one in found if one["ChargeClass"]]
        assert (correction["ChargeCategory"], correction["ChargeClass"]) == ("Adjustment", "Correction")
        assert correction["ListCost"] is None

    def test_a_focus_partition_that_went_is_taken_back(self, billing: Dataset, ledger: Ledger) -> None:
        self.load(billing, [focus_row()])
        connector = connect(billing)
        ledger.run(connector, WINDOW)
        assert len(ledger.rows) == 1
        billing.delete(FOCUS_TABLE)
        [part] = {part for parsed in ledger.run(connector, WINDOW) for part in map(type, parsed.parts)}
        assert part is Rows
        assert ledger.rows == []

    def test_columns_that_nobody_knows_are_named(self, billing: Dataset, ledger: Ledger) -> None:
        billing.create(FOCUS_TABLE, [*FOCUS, F("x_Surprise")], partition="x_ExportTime")
        billing.load(FOCUS_TABLE, [focus_row(x_Surprise="1")])
        ledger.run(connect(billing), WINDOW)
        assert any("'x_Surprise'" in note for note in ledger.notes)
