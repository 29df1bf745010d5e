"""What keeps its own row in core.charges, what is added up, and in which form tags stand there."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.warehouse.bills import (
    Home,
    bedrock_row,
    charge_rows,
    focus_row,
    gpu_row,
    one,
    parquet_bytes,
    rows_of,
    usage_rows,
)
from warehouse import classification
from warehouse.store import Warehouse
from warehouse.tags import canonical_tags


def test_what_is_no_ai_is_added_up_per_day_account_service_and_tags(home: Home, wh: Warehouse) -> None:
    rows = [focus_row(1, "1", hour=hour, SkuMeter=f"m{hour}", ResourceId=f"r{hour}") for hour in range(20)]
    rows += [focus_row(1, "1", Tags=None), focus_row(1, "1", SubAccountId="other"), focus_row(2, "1")]
    result = home.load_focus(wh, rows)
    assert result.charge_rows == 4
    assert rows_of(
        wh, "SELECT billed_cost, source_rows, sku_meter, resource_id, region_id, consumed_quantity FROM core.charges "
        "WHERE tags IS NOT NULL AND sub_account_id = '444455556666' AND charge_date = '2026-01-01'"
    ) == [(Decimal(20), 20, None, None, None, None)]  # fmt: skip


def test_ai_keeps_sku_region_and_resource(home: Home, wh: Warehouse) -> None:
    rows = [bedrock_row(1, "0.003", ResourceId=f"profile/{n % 2}") for n in range(10)]
    home.load_focus(wh, [*rows, focus_row(1)])
    found = rows_of(
        wh,
        "SELECT resource_id, sku_meter, region_id, model, token_type, pricing_tier, tokens, consumed_quantity, "
        "consumed_unit, billed_cost FROM core.charges WHERE ai_kind = 'llm_api' ORDER BY 1",
    )
    expected = (
        "USE1-Claude4.6Sonnet-input-tokens", "us-east-1", "claude-sonnet-4-6", "input", "standard",
        Decimal(5000), Decimal(5), "1K tokens", Decimal("0.015"),
    )  # fmt: skip
    assert found == [("profile/0", *expected), ("profile/1", *expected)]


def test_a_node_with_a_gpu_keeps_all_its_charges_that_day(home: Home, wh: Warehouse) -> None:
    node = {"ServiceName": "Amazon Elastic Compute Cloud", "ResourceId": "i-0gpu"}
    disk = {**node, "SkuMeter": "USE1-EBS:VolumeUsage.gp3"}
    plain = {**node, "SkuMeter": "USE1-BoxUsage:m5.large", "ResourceId": "i-0web"}
    home.load_focus(
        wh,
        [
            gpu_row(1),
            gpu_row(1, hour=1),
            focus_row(1, "0.7", **disk),
            focus_row(2, "0.7", **disk),  # the GPU did not run that day
            focus_row(1, "0.1", **plain),
        ],
    )
    found = rows_of(
        wh,
        "SELECT charge_date::VARCHAR, ai_kind, resource_id, sku_meter, gpu_type, gpu_hours, billed_cost "
        "FROM core.charges ORDER BY ALL",
    )
    assert found == [
        ("2026-01-01", "gpu", "i-0gpu", "USE1-BoxUsage:p5.48xlarge", "H100", Decimal(16), Decimal("196.64")),
        ("2026-01-01", "other", "i-0gpu", "USE1-EBS:VolumeUsage.gp3", None, None, Decimal("0.7")),
        ("2026-01-01", "other", None, None, None, None, Decimal("0.1")),
        ("2026-01-02", "other", None, None, None, None, Decimal("0.7")),
    ]


def test_purchases_and_credits_are_no_usage(home: Home, wh: Warehouse) -> None:
    """An upfront fee for GPU hours is not an hour that ran."""
    home.load_focus(wh, [gpu_row(1, ChargeCategory="Purchase"), bedrock_row(1, "-1", ChargeCategory="Credit")])
    assert one(wh, "SELECT count(*) FROM core.charges WHERE ai_kind IN ('gpu', 'llm_api')") == 2
    assert one(wh, "SELECT count(gpu_hours) + count(tokens) FROM core.charges") == 0


def test_focus_values_in_another_case(home: Home, wh: Warehouse) -> None:
    other = [focus_row(day, ChargeCategory=kind) for day, kind in enumerate(("TAX", "credit", "Purchase"), start=2)]
    home.load_focus(wh, [bedrock_row(1, ChargeCategory="usage", ChargeClass="correction"), *other])
    assert rows_of(wh, "SELECT charge_category, charge_class, tokens FROM core.charges ORDER BY charge_date") == [
        ("Usage", "Correction", Decimal(1000)),
        ("Tax", None, None),
        ("Credit", None, None),
        ("Purchase", None, None),
    ]


def test_looks_like_ai_and_fits_nothing(home: Home, wh: Warehouse) -> None:
    row = focus_row(
        1, "2", ProviderName="Acme Cloud", InvoiceIssuerName="Acme", ServiceName="LLM Gateway", SkuMeter="x"
    )
    result = home.load_focus(wh, [row])
    assert rows_of(wh, "SELECT ai_kind, provider, billed_cost FROM core.charges") == [
        ("unclassified", "acme_cloud", Decimal(2))
    ]
    assert "unclassified" in result.notes[-1]


def test_api_rows(home: Home, wh: Warehouse) -> None:
    result = home.load_rows(
        wh,
        charge_rows(
            {"api_key_id": "key_1", "tags": '{"b": "2", "a": "1"}'},
            {
                "model": "claude-sonnet-4-5-20250929",
                "token_type": "uncached_input_tokens",
                "provider_name": "Anthropic",
            },
            {"sku_meter": "web search tool calls", "model": None, "token_type": None, "consumed_unit": None},
        ),
        usage_rows({"api_key_id": "key_1"}),
    )
    assert (result.source_rows, result.charge_rows) == (3, 3)
    assert rows_of(
        wh, "SELECT provider, model, token_type, tokens, api_key_id, tags, ai_kind FROM core.charges ORDER BY ALL"
    ) == [
        ("anthropic", "claude-sonnet-4-5", "input", Decimal(1000), None, None, "llm_api"),
        ("openai", "gpt-5-mini", "input", Decimal(1000), "key_1", '{"a":"1","b":"2"}', "llm_api"),
        ("openai", None, None, None, None, None, "llm_api"),
    ]
    assert rows_of(wh, "SELECT provider, model, input_tokens FROM core.metered_usage") == [
        ("openai", "gpt-5-mini", 1000)
    ]


def test_two_names_of_one_model_are_one_row(home: Home, wh: Warehouse) -> None:
    home.load_rows(wh, charge_rows({"model": "gpt-4o-2024-08-06"}, {"model": "gpt-4o"}))
    assert rows_of(wh, "SELECT model, billed_cost, source_rows FROM core.charges") == [("gpt-4o", Decimal(3), 2)]


MAP = pa.map_(pa.string(), pa.string())
PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))


@pytest.mark.parametrize(
    ("tags", "kind", "expected"),
    [
        ('{"b": "2", "a": "1"}', pa.string(), {"a": "1", "b": "2"}),
        ('{"user:Feature": "x"}', pa.string(), {"Feature": "x"}),
        ('{"resourceTags/user:feature": "x", "costCategory/Team": "y"}', pa.string(), {"Team": "y", "feature": "x"}),
        ('{"aws:createdBy": "x"}', pa.string(), {"aws:createdBy": "x"}),
        ('{"n": 1, "t": true, "z": null, "e": ""}', pa.string(), {"e": "", "n": "1", "t": "true"}),
        ('{"user:a": "1", "a": "2"}', pa.string(), {"a": "2", "user:a": "1"}),
        ('{"costCategory/a": "1", "user:a": "2"}', pa.string(), {"a": "2", "costCategory/a": "1"}),
        ('"team": "x", "env": "prod"', pa.string(), {"env": "prod", "team": "x"}),
        ('[{"key": "k", "value": "v"}]', pa.string(), {"k": "v"}),
        ("not json", pa.string(), {"_unread": "not json"}),
        ("{}", pa.string(), None),
        (None, pa.string(), None),
        ("null", pa.string(), None),
        ('""', pa.string(), None),
        ('"{\\"a\\": \\"1\\"}"', pa.string(), {"a": "1"}),
        ('{"a": "cut \\ud83d"}', pa.string(), {"a": "cut ?"}),
        ('{"b": "2", "user:a": "1"}', pa.json_(), {"a": "1", "b": "2"}),
        (None, pa.json_(), None),
        ([("b", "2"), ("user:a", "1")], MAP, {"a": "1", "b": "2"}),
        ([], MAP, None),
        ([{"key": "b", "value": "2"}, {"key": "a", "value": "1"}], PAIRS, {"a": "1", "b": "2"}),
        ([{"key": "a", "value": "1"}, {"key": "a", "value": "2"}], PAIRS, {"a": "2"}),
        ({"b": "2", "user:a": None}, pa.struct([("b", pa.string()), ("user:a", pa.string())]), {"b": "2"}),
    ],
)
def test_tags_in_one_form(home: Home, wh: Warehouse, tags: object, kind: pa.DataType, expected: object) -> None:
    result = home.load_focus(wh, [focus_row(1, "1", Tags=tags)], "a.parquet", types={"Tags": kind})
    text = one(wh, "SELECT tags FROM core.charges")
    assert (json.loads(text) if text else None) == expected
    if expected is not None:
        assert list(json.loads(text)) == sorted(json.loads(text))
    assert any("no JSON object" in note for note in result.notes) == (tags == "not json")


def test_rows_without_readable_tags_are_counted_and_not_their_texts(home: Home, wh: Warehouse) -> None:
    def told(*tags: str) -> list[str]:
        rows = [focus_row(day, "1", Tags=text) for day, text in enumerate(tags, start=1)]
        return [note for note in home.load_focus(wh, rows, "a.csv").notes if "tags" in note]

    assert told("feature=chat", "feature=chat", '{"a": "1"}') == [
        "the tags of 2 rows are no JSON object: kept unread under '_unread'"
    ]
    assert told('{"a": "1"}', "feature=chat") == ["the tags of 1 row are no JSON object: kept unread under '_unread'"]


@pytest.mark.parametrize(
    "raw", ['{"b": "2", "a": "1"}', '{"user:x": "ü \\" \\\\ \\n"}', '{"n": 1.50, "l": [1, {"a": null}]}', "{}"]
)
def test_sql_and_python_agree_on_tags(home: Home, wh: Warehouse, raw: str) -> None:
    home.load_focus(wh, [focus_row(1, "1", Tags=raw)])
    text, again = one(wh, "SELECT tags FROM core.charges"), canonical_tags(raw)
    assert (json.loads(text) if text else None) == (json.loads(again) if again else None)


def test_two_texts_of_the_same_tags_are_one_row(home: Home, wh: Warehouse) -> None:
    tags = ['{"a":"1","b":"2"}', '{"b": "2", "a": "1"}', '{"user:a": "1", "user:b": "2"}', "{}", None]
    home.load_focus(wh, [focus_row(1, "1", Tags=text) for text in tags])
    assert rows_of(wh, "SELECT tags, billed_cost FROM core.charges ORDER BY ALL") == [
        ('{"a":"1","b":"2"}', Decimal(3)),
        (None, Decimal(2)),
    ]


def test_the_columns_that_tell_groups_apart_are_found(
    home: Home, wh: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up by few columns, which only large deliveries use, gives the rows that all columns give."""
    rows = [
        factory(day, "0.25", SubAccountId=str(account), hour=hour, ChargeDescription=f"{factory.__name__} {account}")
        for factory in (focus_row, gpu_row, bedrock_row)
        for day in (1, 2)
        for account in (1, 2)
        for hour in (0, 1)
    ]
    select = "SELECT * EXCLUDE (delivery_id, scope) FROM core.charges WHERE scope = ? ORDER BY ALL"
    home.load_focus(wh, rows, "plain.csv")
    plain = rows_of(wh, select, "plain.csv")
    monkeypatch.setattr("warehouse.staged_charges.FEWEST_ROWS_TO_REDUCE", 0)
    home.load_focus(wh, [{**row, "BillingAccountId": "b"} for row in rows], "reduced.csv")
    reduced = rows_of(wh, select.replace("delivery_id, scope", "delivery_id, scope, billing_account_id"), "reduced.csv")
    index = [column[0] for column in wh.con.execute("DESCRIBE core.charges").fetchall()].index("billing_account_id") - 2
    assert reduced == [row[:index] + row[index + 1 :] for row in plain]
    assert len(reduced) == 12


def test_a_pattern_that_begins_within_the_bill(
    home: Home, wh: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One SKU, two spans of days: each day's charge is what its SKU was on that day."""
    for path in classification.FOLDER.glob("*.csv"):
        (tmp_path / path.name).write_text(path.read_text())
    rows = (tmp_path / "kinds.csv").read_text().splitlines(keepends=True)
    (tmp_path / "kinds.csv").write_text(rows[0] + "aws,simple storage,,,ai_platform,unknown,2026-01-02,2026-01-03,\n")
    monkeypatch.setattr(classification, "FOLDER", tmp_path)
    home.load_focus(wh, [focus_row(day, "1") for day in (1, 2, 3)])
    assert rows_of(wh, "SELECT ai_kind, resource_id FROM core.charges ORDER BY charge_date") == [
        ("other", None),
        ("ai_platform", "bucket-1"),
        ("other", None),
    ]


PODS = [
    focus_row(1 + pod % 3, "0.5", Tags=json.dumps({"user:team": f"t{pod % 2}", "pod": f"pod-{pod}", "a/b~c": "x"}))
    for pod in range(30)
]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "map.parquet"])
def test_an_allow_list_keeps_rows_few(home: Home, wh: Warehouse, name: str) -> None:
    rows, types = PODS, {}
    if name == "map.parquet":
        rows = [{**row, "Tags": list(json.loads(row["Tags"]).items())} for row in PODS]
        types = {"Tags": MAP}
    result = home.load_focus(wh, rows, name, types=types, tag_keys=["team", "a/b~c", "absent"])
    assert result.charge_rows == 6
    assert rows_of(wh, "SELECT DISTINCT tags FROM core.charges ORDER BY 1") == [
        ('{"a/b~c":"x","team":"t0"}',),
        ('{"a/b~c":"x","team":"t1"}',),
    ]
    assert one(wh, "SELECT sum(billed_cost) FROM core.charges") == 15


def test_an_allow_list_knows_tags_in_every_form(home: Home, wh: Warehouse) -> None:
    forms = [
        '"team": "t","pod": "p"',
        '[{"key": "team", "value": "t"}, {"key": "pod", "value": "p"}]',
        ' {"team": "t"}',
    ]
    forms += ["team=a", "team=b"]
    notes = home.load_focus(wh, [focus_row(1, "1", Tags=text) for text in forms], tag_keys=["team"]).notes
    assert rows_of(wh, "SELECT tags, billed_cost FROM core.charges ORDER BY 1") == [
        ('{"_unread":""}', Decimal(2)),
        ('{"team":"t"}', Decimal(3)),
    ]
    assert "the tags of 2 rows are no JSON object: marked '_unread'" in notes


def test_an_empty_allow_list_keeps_no_tag(home: Home, wh: Warehouse) -> None:
    assert home.load_focus(wh, PODS, tag_keys=[]).charge_rows == 3


def test_the_tag_that_explodes_the_rows_is_named(home: Home, wh: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.staged_charges.MANY_TAG_TEXTS", 25)
    result = home.load_focus(wh, PODS)
    assert result.notes == (
        "the tag 'pod' has 30 values and makes 30 daily rows: list the tags that matter under tag_keys",
    )


def test_tags_of_a_parquet_file_may_be_of_the_type_json(home: Home, wh: Warehouse, tmp_path: Path) -> None:
    row = focus_row(1, "1.5")
    plain = tmp_path / "plain.parquet"
    plain.write_bytes(parquet_bytes([row]))
    typed = tmp_path / "typed.parquet"
    columns = """'{"team": "a"}'::JSON AS Tags, 'Usage'::ENUM('Usage', 'Tax') AS ChargeCategory"""
    duckdb.sql(f"COPY (SELECT * REPLACE ({columns}) FROM '{plain}') TO '{typed}' (FORMAT parquet)")
    home.load_files(wh, {"a.parquet": typed.read_bytes()}, row)
    assert rows_of(wh, "SELECT tags, charge_category, billed_cost FROM core.charges") == [
        ('{"team":"a"}', "Usage", Decimal("1.5"))
    ]


def test_gpus_that_one_column_tells_by_having_no_value(
    home: Home, wh: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one column tells GPUs from the rest, the reader skips by it; a null there is a value like another."""
    monkeypatch.setattr("warehouse.staged_charges.FEWEST_ROWS_TO_REDUCE", 0)
    node = {"ServiceName": "Amazon Elastic Compute Cloud", "ResourceId": "i-0gpu"}
    gpu = {"SkuMeter": "USE1-BoxUsage:p5.48xlarge", "ConsumedUnit": "Hours"}
    rows = [
        focus_row(1, "98", **node, **gpu, RegionId=None),
        focus_row(1, "2", **node, SkuMeter="USE1-BoxUsage:m5.large", ConsumedUnit="Hours"),
        focus_row(2, "4", **node, SkuMeter="USE1-BoxUsage:m5.large", ConsumedUnit="Hours"),
    ]
    home.load_focus(wh, rows, "a.parquet")
    assert rows_of(
        wh, "SELECT charge_date::VARCHAR, ai_kind, resource_id, billed_cost FROM core.charges ORDER BY ALL"
    ) == [
        ("2026-01-01", "gpu", "i-0gpu", Decimal(98)),
        ("2026-01-01", "other", "i-0gpu", Decimal(2)),
        ("2026-01-02", "other", None, Decimal(4)),
    ]


def test_text_that_a_parquet_file_does_not_call_text(home: Home, wh: Warehouse) -> None:
    """Older writers mark their texts as bare bytes (Impala, Hive, fastparquet)."""
    rows = [bedrock_row(1, "1.5", ServiceName="Müller's Bedrock"), bedrock_row(2, "2E-7", ServiceName="Bedrock")]
    rows[1]["SubAccountName"] = rows[0]["SubAccountName"] = "O'Reilly"  # the same in every row: a footer's statistics
    home.load_focus(wh, rows, "a.parquet", types=dict.fromkeys(rows[0], pa.binary()))
    assert rows_of(
        wh, "SELECT service_name, sub_account_name, billed_cost, model, tags FROM core.charges ORDER BY charge_date"
    ) == [
        ("Müller's Bedrock", "O'Reilly", Decimal("1.5"), "claude-sonnet-4-6", '{"feature":"support_chat"}'),
        ("Bedrock", "O'Reilly", Decimal("2E-7"), "claude-sonnet-4-6", '{"feature":"support_chat"}'),
    ]


def test_an_account_that_a_parquet_file_holds_as_a_number(home: Home, wh: Warehouse) -> None:
    """pandas makes a double of a column of numbers in which one is missing."""
    rows = [focus_row(1, "1"), focus_row(2, "2", SubAccountId=None)]
    home.load_focus(wh, rows, "a.parquet", types={"SubAccountId": pa.float64(), "BillingAccountId": pa.int64()})
    assert rows_of(wh, "SELECT sub_account_id, billing_account_id FROM core.charges ORDER BY charge_date") == [
        ("444455556666", "111122223333"),
        (None, "111122223333"),
    ]


def test_a_footer_that_is_no_text_where_only_statistics_are_sought(home: Home, wh: Warehouse) -> None:
    data = parquet_bytes([focus_row(1, "1.5")])
    before, _, after = data.rpartition(b"RegionId")
    home.load_files(wh, {"a.parquet": before + b"\xffegionId" + after}, focus_row())
    assert rows_of(wh, "SELECT region_id, billed_cost FROM core.charges") == [(None, Decimal("1.5"))]
