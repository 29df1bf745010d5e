"""A drop folder, on disk and on S3: what is found, what is a copy, what a file becomes."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import Connector, DeliveryRef, FileScan, Window
from connectors.errors import ConfigError, IncompleteDelivery, PayloadError
from connectors.focus_files import FocusFiles
from connectors.focus_files.days import window_in_name
from connectors.focus_files.fetch import payload_name
from connectors.registry import connect
from connectors.schema import FOCUS_REQUIRED
from tests.connectors.billing_files import (
    AwsExport,
    focus_csv,
    focus_names,
    focus_row,
    land,
    parquet,
    total,
)
from tests.servers.s3 import BucketSite, FolderSite, Moto, moto_server, use_test_credentials

ANY = Window(date(2026, 6, 1), date(2026, 6, 2))
ROWS = [focus_row(1, cost="10.00000000001"), focus_row(2, cost="-2.5"), focus_row(3, cost="1E-7")]
SUM = Decimal("7.50000010001")


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use_test_credentials(monkeypatch)


@pytest.fixture(params=["folder", "bucket"])
def site(request: pytest.FixtureRequest, tmp_path: Path, moto: Moto) -> FolderSite | BucketSite:
    if request.param == "folder":
        (tmp_path / "inbox").mkdir()
        return FolderSite(tmp_path / "inbox")
    return BucketSite(moto)


def connector(site: FolderSite | BucketSite, prefix: str = "", **options: Any) -> FocusFiles:
    made = connect("focus_files", name="drop", options={**site.options(prefix), **options})
    assert isinstance(made, FocusFiles)
    return made


def discover(source: FocusFiles) -> dict[str, DeliveryRef]:
    return {ref.scope: ref for ref in source.discover(ANY)}


def parse(source: FocusFiles, ref: DeliveryRef, folder: Path) -> tuple[tuple[FileScan, ...], tuple[str, ...]]:
    parsed = source.parse(land(source.fetch(ref), folder))
    scans = tuple(part for part in parsed.parts if isinstance(part, FileScan))
    assert len(scans) == len(parsed.parts)
    return scans, parsed.notes


def parse_bytes(name: str, data: bytes, folder: Path) -> tuple[tuple[FileScan, ...], tuple[str, ...]]:
    site = FolderSite(folder / "one")
    site.put(name, data)
    source = connector(site)
    [ref] = source.discover(ANY)
    return parse(source, ref, folder / "landed")


def test_it_keeps_the_contract() -> None:
    source = connect("focus_files", name="drop", options={"location": "/nowhere"})
    assert isinstance(source, Connector)
    assert (source.type, source.kind) == ("focus_files", "billing")


def test_every_data_file_is_a_delivery_and_nothing_else(site: FolderSite | BucketSite) -> None:
    taken = ["a.csv", "B.CSV.GZ", "2026/01/c.parquet", "2026/01/d.snappy.PARQUET"]
    ignored = [
        ".hidden.csv", ".git/x.csv", "~$bill.csv", "e.csv.tmp", "f.csv.part", "g.csv~", "notes.txt", "h.json",
        "_temporary/0/i.parquet", "lake/_delta_log/0.checkpoint.parquet", "j.csv.crdownload",
    ]  # fmt: skip
    for key in [*taken, *ignored]:
        site.put(key, key.encode())
    refs = discover(connector(site))
    assert sorted(refs) == sorted(taken)
    assert {ref.replaces for ref in refs.values()} == {"scope"}
    assert {ref.source_name for ref in refs.values()} == {"drop"}
    assert len({ref.identity for ref in refs.values()}) == len(taken)


def test_only_names_that_match_the_pattern(site: FolderSite | BucketSite) -> None:
    for key in ("azure-jan.csv", "Azure-feb.CSV", "oci.csv", "azure/march.csv"):
        site.put(key, key.encode())
    assert sorted(discover(connector(site, files="azure-*"))) == ["Azure-feb.CSV", "azure-jan.csv"]
    assert sorted(discover(connector(site, files="azure/*"))) == ["azure/march.csv"]
    assert discover(connector(site, files="gcp*")) == {}


def test_identity_follows_the_bytes(site: FolderSite | BucketSite) -> None:
    site.put("a.csv", focus_csv(ROWS))
    before = discover(connector(site))["a.csv"]
    assert discover(connector(site))["a.csv"] == before
    site.put("a.csv", focus_csv(ROWS[:2]))
    assert discover(connector(site))["a.csv"].identity != before.identity


def test_a_file_arrives_byte_for_byte_and_sums_exactly(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    data = focus_csv(ROWS, null="NULL")
    site.put("2026/Jan.CSV", data)
    source = connector(site)
    [ref] = source.discover(ANY)
    [payload] = source.fetch(ref)
    assert (payload.name, b"".join(payload.chunks)) == ("2026/Jan.csv", data)
    scans, notes = parse(source, ref, tmp_path / "landed")
    assert (scans[0].layout, scans[0].file_format) == ("focus", "csv")
    assert total(scans, "BilledCost") == SUM
    assert notes == ("2026/Jan.csv: FOCUS 1.0, judged by its columns",)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4"])
def test_each_version_is_recognised(version: str, tmp_path: Path) -> None:
    rows = [{name: row.get(name) for name in focus_names(version)} for row in ROWS]
    scans, notes = parse_bytes("a.csv.gz", gzip.compress(focus_csv(rows)), tmp_path)
    assert notes == (f"a.csv.gz: FOCUS {version}, judged by its columns",)
    assert total(scans, "EffectiveCost") == SUM
    assert ("ProviderName" in scans[0].columns) is (version != "1.4")


def test_byte_order_mark_spelling_and_extra_columns(tmp_path: Path) -> None:
    rows = [{**row, "x_Team": "core", "Id": 7} for row in ROWS]
    data = b"\xef\xbb\xbf" + focus_csv(rows, spell=lambda name: f"{name[0].lower()}{name[1:]}")
    scans, notes = parse_bytes("azure.csv", data, tmp_path)
    assert total(scans, "BilledCost") == SUM
    assert notes[1] == "azure.csv: 2 columns outside FOCUS kept aside: id, x_Team"
    assert "Id" not in scans[0].columns


def test_null_is_empty_or_the_word_null(tmp_path: Path) -> None:
    from tests.connectors.billing_files import values

    rows = [focus_row(1, ListCost=None), focus_row(2, ListCost=Decimal("3"))]
    for number, null in enumerate(("", "NULL", "null", "\\N")):
        scans, _ = parse_bytes("a.csv", focus_csv(rows, null=null), tmp_path / str(number))
        assert values(scans[0], "ListCost") == [None, Decimal("3")]


@pytest.mark.parametrize("money", [pa.float64(), pa.decimal128(38, 12), pa.string()])
def test_parquet_in_every_type_of_money(money: pa.DataType, tmp_path: Path) -> None:
    cast: Any = {pa.float64(): float, pa.string(): str}.get(money, lambda cost: cost)
    rows = [{**row, "BilledCost": cast(row["BilledCost"])} for row in ROWS]
    scans, notes = parse_bytes("a.parquet", parquet(rows, BilledCost=money), tmp_path)
    assert scans[0].file_format == "parquet"
    assert total(scans, "BilledCost") == SUM
    assert notes == ("a.parquet: FOCUS 1.0, judged by its columns",)


@pytest.mark.parametrize("missing", ["BilledCost", "EffectiveCost", "BillingCurrency"])
def test_a_missing_column_is_named_with_the_file(missing: str, tmp_path: Path) -> None:
    rows = [{name: cell for name, cell in row.items() if name != missing} for row in ROWS]
    for name, data in (("sub/a.csv", focus_csv(rows)), ("sub/a.parquet", parquet(rows))):
        with pytest.raises(PayloadError, match=rf"^{name}: the FOCUS column {missing} is missing — add it"):
            parse_bytes(name, data, tmp_path / name.rpartition(".")[2])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv.gz", gzip.compress(focus_csv(ROWS * 500))[:-50], "cut off"),
        ("a.parquet", parquet(ROWS)[:-50], "cut off"),
        ("a.csv", focus_csv(ROWS).replace(b",", b";"), "semicolons"),
        ("a.csv", focus_csv(ROWS).decode().encode("utf-16"), "UTF-16"),
        ("a.csv", focus_csv(ROWS).decode().encode("utf-16-le"), "UTF-16"),
        ("a.csv", focus_csv(ROWS, spell=lambda name: f"{name} Kosten Währung"), "look German"),
    ],
)
def test_a_damaged_file_is_refused_by_name(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match=rf"^{name}: .*{says}.* — "):
        parse_bytes(name, data, tmp_path)


def test_a_header_alone_is_reported_and_loads_nothing(tmp_path: Path) -> None:
    scans, notes = parse_bytes("a.csv", focus_csv([], columns=FOCUS_REQUIRED), tmp_path)
    assert total(scans, "BilledCost") == 0
    assert notes[-1] == "a.csv: a header and no rows"


def test_equal_bytes_under_two_names_are_one_delivery(site: FolderSite | BucketSite) -> None:
    data, other = focus_csv(ROWS), focus_csv([focus_row(1, cost="10.00000000009"), *ROWS[1:]])
    assert len(data) == len(other)
    site.put("z-first.csv", data)
    age(site, "z-first.csv")
    site.put("a-copy.csv", data)
    site.put("same-size.csv", other)
    source = connector(site)
    assert sorted(discover(source)) == ["same-size.csv", "z-first.csv"]
    [told] = [result for result in source.check() if result.name == "copies"]
    assert told.detail == "a-copy.csv is left out: it is a copy of z-first.csv"


def test_a_file_beside_its_packed_self_is_one_delivery(site: FolderSite | BucketSite) -> None:
    data = focus_csv(ROWS)
    site.put("jan/bill.csv.gz", gzip.compress(data))
    age(site, "jan/bill.csv.gz")
    site.put("jan/bill.csv", data)
    site.put("feb/bill.csv", focus_csv(ROWS[:1]))
    assert sorted(discover(connector(site))) == ["feb/bill.csv", "jan/bill.csv.gz"]


def test_a_packed_file_that_goes_on_after_the_text_is_no_copy(site: FolderSite | BucketSite) -> None:
    data = focus_csv(ROWS)
    site.put("bill.csv", data)
    age(site, "bill.csv")
    site.put("a/bill.csv.gz", gzip.compress(data) + gzip.compress(focus_csv(ROWS)[-100:]))
    site.put("b/bill.csv.gz", gzip.compress(data)[:-9])
    site.put("c/bill.csv.gz", gzip.compress(data[:50]) + gzip.compress(data[50:]))  # two members, one text
    assert sorted(discover(connector(site))) == ["a/bill.csv.gz", "b/bill.csv.gz", "bill.csv"]


AZURE = "exports/focus-daily/20260101-20260131"
RUNS = [f"0000000{number}-aaaa-4bbb-8ccc-dddddddddddd" for number in range(3)]


def azure_run(site: FolderSite | BucketSite, run: int, parts: list[bytes], *, is_finished: bool = True) -> None:
    """A run as Azure writes it: the parts, then a manifest that names them."""
    blobs = []
    for number, part in enumerate(parts, start=1):
        key = f"{AZURE}/{RUNS[run]}/part_{number - 1}_0001.csv"
        site.put(key, part)
        blobs.append({"blobName": f"container/{key}", "byteCount": len(part), "dataRowCount": part.count(b"\n") - 1})
    manifest = {
        "blobCount": len(blobs),
        "exportConfig": {"type": "FocusCost", "dataVersion": "1.2-preview"},
        "runInfo": {"runId": RUNS[run], "submittedTime": f"2026-01-0{5 - run}T06:00:00.1234567Z"},
        "blobs": blobs,
    }
    if is_finished:
        site.put(f"{AZURE}/{RUNS[run]}/manifest.json", json.dumps(manifest).encode())


def test_of_azures_runs_the_newest_is_the_month(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    for run, cost in ((2, "1"), (1, "2")):
        azure_run(site, run, [focus_csv([focus_row(1, cost=cost)]), focus_csv([focus_row(2, cost=cost)])])
    source = connector(site)
    before = discover(source)
    assert list(before) == [AZURE]
    assert before[AZURE].window == Window(date(2026, 1, 1), date(2026, 2, 1))
    scans, _ = parse(source, before[AZURE], tmp_path / "1")
    assert total(scans, "BilledCost") == 4
    # The next run is being written: the last whole one stays. Then it is the month.
    azure_run(site, 0, [focus_csv([focus_row(1, cost="7")])], is_finished=False)
    assert discover(source) == before
    azure_run(site, 0, [focus_csv([focus_row(1, cost="7")])])
    [after] = source.discover(ANY)
    assert (after.scope, after.identity == before[AZURE].identity) == (AZURE, False)
    assert total(parse(source, after, tmp_path / "2")[0], "BilledCost") == 7
    told = [result.detail for result in source.check() if "superseded" in result.detail]
    assert len(told) == 1
    assert told[0].startswith("4 left out, superseded by a newer Azure run")


@pytest.mark.parametrize(("prefix", "scope"), [("exports/focus-daily", "20260101-20260131"), (AZURE, ".")])
def test_azures_runs_are_seen_from_any_folder_above(
    site: FolderSite | BucketSite, prefix: str, scope: str, tmp_path: Path
) -> None:
    for run, cost in ((1, "2"), (0, "7")):
        azure_run(site, run, [focus_csv([focus_row(1, cost=cost)])])
    source = connector(site, prefix)
    [ref] = source.discover(ANY)
    assert ref.scope == scope
    assert total(parse(source, ref, tmp_path)[0], "BilledCost") == 7


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bill-\xff.csv")).write_bytes(focus_csv(ROWS))
    with pytest.raises(ConfigError, match=r"bill-\\udcff\.csv.*rename"):
        discover(connector(FolderSite(tmp_path)))


def test_an_azure_run_without_all_its_parts_is_not_loaded(site: FolderSite | BucketSite) -> None:
    azure_run(site, 0, [focus_csv(ROWS), focus_csv(ROWS[:1])])
    site.remove(f"{AZURE}/{RUNS[0]}/part_1_0001.csv")
    site.put(f"{AZURE}/{RUNS[0]}/part_0_0001.csv", focus_csv(ROWS)[:-30])
    source = connector(site)
    [ref] = source.discover(ANY)
    with pytest.raises(IncompleteDelivery, match=r"manifest\.json.*part_0_0001\.csv, part_1_0001\.csv.*copy the run"):
        list(source.fetch(ref))
    assert [result.ok for result in source.check()] == [True, True, False]


def test_azure_runs_without_manifests_go_by_their_age(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    for run, cost in ((0, "1"), (1, "7")):
        azure_run(site, run, [focus_csv([focus_row(1, cost=cost)])], is_finished=False)
        if run == 0:
            age(site, f"{AZURE}/{RUNS[0]}/part_0_0001.csv")
    source = connector(site)
    [ref] = source.discover(ANY)
    assert total(parse(source, ref, tmp_path)[0], "BilledCost") == 7


def test_a_copy_that_kept_its_time_leaves_the_original_in_place(tmp_path: Path) -> None:
    site = FolderSite(tmp_path)
    site.put("b.csv", focus_csv(ROWS))
    shutil.copy2(tmp_path / "b.csv", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").stat().st_mtime_ns == (tmp_path / "b.csv").stat().st_mtime_ns
    assert list(discover(connector(site))) == ["b.csv"]


def age(site: FolderSite | BucketSite, key: str) -> None:
    """Make a file older than the ones that follow; S3 keeps whole seconds."""
    if isinstance(site, FolderSite):
        os.utime(site.root / key, (1_700_000_000, 1_700_000_000))
    else:
        from moto.s3.models import s3_backends

        stored = s3_backends["123456789012"]["aws"].buckets[site.bucket].keys[key]
        stored.last_modified -= timedelta(days=1)


def test_the_files_of_an_aws_export_are_not_globbed(site: FolderSite | BucketSite) -> None:
    AwsExport(site).deliver("2026-01", {"focus-00001.snappy.parquet": parquet(ROWS)}, folder="billing_period")
    with pytest.raises(ConfigError, match=r"this is an AWS Data Export.*source type aws_data_exports"):
        discover(connector(site))


def test_a_location_that_is_one_file(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    site.put("bills/a.csv", focus_csv(ROWS))
    site.put("bills/b.csv", focus_csv(ROWS[:1]))
    source = connector(site, "bills/a.csv")
    for _ in range(2):
        assert list(discover(source)) == ["a.csv"]
    assert total(parse(source, discover(source)["a.csv"], tmp_path / "landed")[0], "BilledCost") == SUM


def test_check_says_what_is_there(site: FolderSite | BucketSite) -> None:
    empty = connector(site, files="*.parquet").check()
    assert [(result.name, result.ok) for result in empty] == [("reachable", True), ("files", False)]
    assert "or correct files: *.parquet" in empty[1].cure
    site.put("a.csv", focus_csv(ROWS))
    site.put("b.xlsx", b"PK")
    found = {result.name: result for result in connector(site).check()}
    assert found["files"].ok
    assert found["files"].detail.startswith("1 to read, the newest a.csv of ")
    assert found["other files"].detail == "1 left out, no FOCUS format: b.xlsx"


def test_check_names_a_missing_folder(tmp_path: Path) -> None:
    [result] = connector(FolderSite(tmp_path / "nowhere")).check()
    assert (result.ok, result.detail) == (False, "there is no such folder or file")
    assert result.cure


def test_a_file_that_is_replaced_before_the_fetch_is_not_mixed(site: FolderSite | BucketSite) -> None:
    site.put("a.csv", focus_csv(ROWS))
    source = connector(site)
    [ref] = source.discover(ANY)
    site.put("a.csv", focus_csv(ROWS[:2]))
    with pytest.raises(IncompleteDelivery, match=r"a\.csv.*changed"):
        [b"".join(payload.chunks) for payload in source.fetch(ref)]


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("2026-01/bill.csv", (date(2026, 1, 1), date(2026, 2, 1))),
        ("BILLING_PERIOD=2025-12/x-00001.csv", (date(2025, 12, 1), date(2026, 1, 1))),
        ("azure/20260101-20260131/part_0.csv", (date(2026, 1, 1), date(2026, 2, 1))),
        ("cur/20260101-20260201/part_0.csv", (date(2026, 1, 1), date(2026, 2, 1))),
        ("bill_2026-01-05_to_2026-01-09.csv", (date(2026, 1, 5), date(2026, 1, 10))),
        ("oci-202602.csv", (date(2026, 2, 1), date(2026, 3, 1))),
        ("made-on-2026-02-07.csv", None),
        ("made-on-20260207.csv", None),
        ("123202601.csv", None),
        ("20260231-20260301.csv", None),
        ("bill.csv", None),
    ],
)
def test_the_days_a_name_tells(name: str, window: tuple[date, date] | None) -> None:
    assert window_in_name(name) == (Window(*window) if window else None)


def test_the_days_a_file_tells(tmp_path: Path) -> None:
    site = FolderSite(tmp_path)
    february = {
        "BillingPeriodStart": datetime(2026, 2, 1, tzinfo=UTC),
        "BillingPeriodEnd": datetime(2026, 3, 1, tzinfo=UTC),
    }
    january = {
        "BillingPeriodStart": datetime(2026, 1, 1, tzinfo=UTC),
        "BillingPeriodEnd": datetime(2026, 2, 1, tzinfo=UTC),
    }
    site.put("a.csv", focus_csv([focus_row(**february)]))
    site.put("b.csv.gz", gzip.compress(b"\xef\xbb\xbf" + focus_csv([focus_row(**january)])))
    site.put("c.parquet", parquet([focus_row(**january), focus_row(**february)]))
    site.put("d.csv", b"no,such\n1,2\n")
    site.put("e.parquet", b"damaged")
    for name in ("d.csv", "e.parquet"):
        os.utime(tmp_path / name, (1_750_000_000, 1_750_000_000))  # 2025-06-15
    windows = {scope: ref.window for scope, ref in discover(connector(site)).items()}
    month = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
    june = Window(date(2025, 6, 1), date(2025, 7, 1))
    assert windows == {
        "a.csv": Window(month[1], month[2]),
        "b.csv.gz": Window(month[0], month[1]),
        "c.parquet": Window(month[0], month[2]),
        "d.csv": june,
        "e.parquet": june,
    }


@pytest.mark.parametrize(
    ("name", "payload"),
    [("a.CSV", "a.csv"), ("x/B.Csv.Gz", "x/B.csv.gz"), ("/x//y.csv", "x/y.csv"), ("../../x.csv", "x.csv")],
)
def test_payload_names_are_relative_and_recognisable(name: str, payload: str) -> None:
    assert payload_name(name) == payload
