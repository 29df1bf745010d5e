"""AWS Data Exports with FOCUS, on disk and on S3: the manifest decides, and a period is whole or not loaded."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.aws_data_exports import AwsDataExports
from connectors.base import Connector, DeliveryRef, FileScan, Window
from connectors.errors import ConfigError, ConnectorError, IncompleteDelivery, PayloadError, PermissionDenied
from connectors.http_api import RetryPolicy
from connectors.object_storage import LocationOptions
from connectors.registry import connect
from tests.connectors.billing_files import AwsExport, Site, focus_csv, focus_names, focus_row, land, parquet, total
from tests.servers.s3 import BucketSite, Fault, FaultyS3, FolderSite, Moto, allow, moto_server, use_test_credentials

WINTER = Window(date(2025, 12, 1), date(2026, 3, 1))
PART = "focus-00001.snappy.parquet"


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
        (tmp_path / "site").mkdir()
        return FolderSite(tmp_path / "site")
    return BucketSite(moto)


def bill(*costs: str, **more: Any) -> bytes:
    """Parquet as AWS writes it: doubles, a MAP of tags, its own columns beside FOCUS's."""
    own = {"x_Operation": "InvokeModel", "x_ServiceCode": "AmazonBedrock"}
    rows = [{**focus_row(day + 1), "Tags": [("feature", "chat")], **own, **more} for day in range(len(costs))]
    for row, cost in zip(rows, costs, strict=True):
        row |= {"BilledCost": float(cost), "EffectiveCost": float(cost)}
    return parquet(rows, Tags=pa.map_(pa.string(), pa.string()))


def source(site: Site, prefix: str = "exports/focus") -> AwsDataExports:
    made = connect("aws_data_exports", name="aws", options=site.options(prefix))
    assert isinstance(made, AwsDataExports)
    return made


def discover(of: AwsDataExports, window: Window = WINTER) -> dict[str, DeliveryRef]:
    return {ref.scope: ref for ref in of.discover(window)}


def fetch(of: AwsDataExports, ref: DeliveryRef) -> dict[str, bytes]:
    return {payload.name: b"".join(payload.chunks) for payload in of.fetch(ref)}


def parse(of: AwsDataExports, ref: DeliveryRef, folder: Path) -> tuple[tuple[FileScan, ...], tuple[str, ...]]:
    parsed = of.parse(land(of.fetch(ref), folder))
    scans = tuple(part for part in parsed.parts if isinstance(part, FileScan))
    assert len(scans) == len(parsed.parts)
    return scans, parsed.notes


def age(site: FolderSite | BucketSite, key: str) -> None:
    """Make a file a day older; S3 keeps whole seconds."""
    if isinstance(site, FolderSite):
        path = site.root / key
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 86_400))
    else:
        from moto.s3.models import s3_backends

        stored = s3_backends["123456789012"]["aws"].buckets[site.bucket].keys[key]
        stored.last_modified -= timedelta(days=1)


def test_it_keeps_the_contract() -> None:
    made = connect("aws_data_exports", name="aws", options={"location": "s3://b/x"})
    assert isinstance(made, Connector)
    assert (made.type, made.kind, made.settle_days) == ("aws_data_exports", "billing", 2)


def test_every_period_that_touches_the_window_is_a_delivery(site: FolderSite | BucketSite) -> None:
    export = AwsExport(site)
    for period in ("2025-10", "2025-12", "2026-01", "2026-02", "2026-03"):
        export.deliver(period, {PART: bill("1")})
    refs = discover(source(site))
    assert list(refs) == ["BILLING_PERIOD=2025-12", "BILLING_PERIOD=2026-01", "BILLING_PERIOD=2026-02"]
    january = refs["BILLING_PERIOD=2026-01"]
    assert january.window == Window(date(2026, 1, 1), date(2026, 2, 1))
    assert (january.replaces, january.source_name) == ("scope", "aws")
    assert list(discover(source(site), Window(date(2026, 3, 31), date(2026, 4, 1)))) == ["BILLING_PERIOD=2026-03"]
    assert discover(source(site), Window(date(2026, 4, 1), date(2026, 4, 2))) == {}


def test_a_delivery_arrives_byte_for_byte_and_sums_exactly(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    first, second = bill("0.1", "0.2", "-0.05"), bill("1e-7", "12345.678901")
    AwsExport(site).deliver("2026-01", {PART: first, "focus-00002.snappy.parquet": second})
    of = source(site)
    [ref] = of.discover(WINTER)
    payloads = fetch(of, ref)
    assert [name for name in payloads if name.endswith("Manifest.json")] == ["export/focus-Manifest.json"]
    assert payloads["export/data/BILLING_PERIOD=2026-01/focus-00001.snappy.parquet"] == first
    assert payloads["export/data/BILLING_PERIOD=2026-01/focus-00002.snappy.parquet"] == second
    scans, notes = parse(of, ref, tmp_path / "landed")
    [scan] = scans
    assert (scan.layout, scan.file_format, len(scan.files)) == ("focus", "parquet", 2)
    assert total(scans, "BilledCost") == Decimal("12345.9289011")
    # AWS's own columns are documented: they need no note.
    assert notes == (
        "data/BILLING_PERIOD=2026-01/focus-00001.snappy.parquet, "
        "data/BILLING_PERIOD=2026-01/focus-00002.snappy.parquet: FOCUS 1.0, judged by its columns",
    )


@pytest.mark.parametrize(("version", "meter"), [("1.0", "x_UsageType"), ("1.2", "SkuMeter")])
def test_both_versions_as_csv(version: str, meter: str, tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    names = [*focus_names(version), *(["x_UsageType"] if version == "1.0" else [])]
    rows = [{name: row.get(name) for name in names} | {meter: "USE1-x"} for row in (focus_row(1), focus_row(2))]
    AwsExport(site).deliver("2026-01", {"focus-00001.csv.gz": gzip.compress(focus_csv(rows))})
    of = source(site)
    [ref] = of.discover(WINTER)
    scans, notes = parse(of, ref, tmp_path / "landed")
    assert scans[0].columns["SkuMeter"] == meter
    assert total(scans, "EffectiveCost") == 3
    assert notes == (f"data/BILLING_PERIOD=2026-01/focus-00001.csv.gz: FOCUS {version}, judged by its columns",)


@pytest.mark.parametrize("prefix", ["exports/focus", "exports/focus/", "exports", ""])
def test_the_location_may_be_the_export_or_above_it(site: FolderSite | BucketSite, prefix: str) -> None:
    AwsExport(site).deliver("2026-01", {PART: bill("1")})
    site.put("logs/2026/x.log", b"")
    of = source(site, prefix)
    [ref] = of.discover(WINTER)
    assert f"export/data/BILLING_PERIOD=2026-01/{PART}" in fetch(of, ref)


def test_several_exports_below_are_listed_and_asked_about(site: FolderSite | BucketSite) -> None:
    for root in ("exports/focus", "exports/team/cur2"):
        AwsExport(site, root).deliver("2026-01", {PART: bill("1")})
    with pytest.raises(ConfigError, match=r"2 exports lie below .*exports/focus, .*exports/team/cur2.*point location"):
        discover(source(site, "exports"))
    assert len(discover(source(site, "exports/team"))) == 1


@pytest.mark.parametrize(
    ("prefix", "kind", "says"),
    [
        ("exports/focus/data", ConfigError, "point location at the export's own folder"),
        ("exports/focus/metadata", ConfigError, "point location at the export's own folder"),
        ("exports/focus/metadata/BILLING_PERIOD=2026-01", ConfigError, "point location at the export's own folder"),
        ("other", ConfigError, "no AWS data export here or below.*up to 24 hours"),
        ("new", IncompleteDelivery, "new/focus has data but no manifest yet"),
        ("recommendations", ConfigError, "no AWS data export here or below"),
    ],
)
def test_where_no_export_is(site: FolderSite | BucketSite, prefix: str, kind: type[ConnectorError], says: str) -> None:
    AwsExport(site).deliver("2026-01", {PART: bill("1")})
    site.put("other/data/readme.txt", b"")
    site.put("new/focus/data/BILLING_PERIOD=2026-01/x.parquet", bill("1"))
    site.put("recommendations/metadata/date=2026-01-01/recommendations-Manifest.json", b"{}")
    with pytest.raises(kind, match=says):
        discover(source(site, prefix))


def test_an_export_in_a_folder_called_data_is_found(site: FolderSite | BucketSite) -> None:
    AwsExport(site, "data/focus").deliver("2026-01", {PART: bill("1")})
    assert len(discover(source(site, ""))) == 1


def test_a_whole_bucket_is_not_searched_for_ever(tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / f"f{number}").mkdir()
    with pytest.raises(ConfigError, match=r"more than 200 folders.*point location"):
        discover(source(FolderSite(tmp_path), ""))


def test_superseded_executions_and_leftovers_are_not_read(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    export = AwsExport(site)
    export.deliver(
        "2026-01", {PART: bill("1"), "focus-00002.snappy.parquet": bill("1")}, execution="20260102T060000Z-a"
    )
    export.deliver("2026-01", {PART: bill("7")}, execution="20260103T060000Z-b")
    site.put("exports/focus/data/BILLING_PERIOD=2026-01/focus-00009.snappy.parquet", b"")
    of = source(site)
    [ref] = of.discover(WINTER)
    assert sorted(fetch(of, ref)) == [
        f"export/data/BILLING_PERIOD=2026-01/20260103T060000Z-b/{PART}",
        "export/focus-Manifest.json",
    ]
    assert total(parse(of, ref, tmp_path / "landed")[0], "BilledCost") == 7


def test_the_same_files_twice_in_a_manifest_count_once(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    AwsExport(site).deliver("2026-01", {PART: bill("7")}, also_named=[PART])
    of = source(site)
    [ref] = of.discover(WINTER)
    assert total(parse(of, ref, tmp_path)[0], "BilledCost") == 7


def test_when_aws_changes_the_folders_case_the_newer_manifest_counts(
    site: FolderSite | BucketSite, tmp_path: Path
) -> None:
    export = AwsExport(site)
    export.deliver("2026-01", {PART: bill("1")})
    for suffix in ("", "-FOCUS"):
        age(site, f"exports/focus/metadata/BILLING_PERIOD=2026-01/focus-Manifest{suffix}.json")
    export.deliver("2026-01", {PART: bill("7")}, folder="billing_period")
    of = source(site)
    [ref] = of.discover(WINTER)
    assert ref.scope == "BILLING_PERIOD=2026-01"
    assert total(parse(of, ref, tmp_path)[0], "BilledCost") == 7


def test_two_manifests_equally_old_are_refused(tmp_path: Path) -> None:
    export = AwsExport(FolderSite(tmp_path))
    for folder in ("BILLING_PERIOD", "billing_period"):
        export.deliver("2026-01", {PART: bill("1")}, folder=folder)
        os.utime(
            tmp_path / f"exports/focus/metadata/{folder}=2026-01/focus-Manifest.json", (1_768_000_000, 1_768_000_000)
        )
    with pytest.raises(ConfigError, match=r"two manifests of one period, equally old"):
        discover(source(FolderSite(tmp_path)))


def test_identity_changes_when_anything_of_the_delivery_does(site: FolderSite | BucketSite) -> None:
    export, of = AwsExport(site), source(site)

    def identity() -> str | None:
        return discover(of)["BILLING_PERIOD=2026-01"].identity

    export.deliver("2026-01", {PART: bill("1")})
    seen = [identity()]
    assert identity() == seen[0]
    # Overwrite mode: the same names, so the manifest's bytes are the same.
    export.deliver("2026-01", {PART: bill("2")})
    seen.append(identity())
    export.deliver("2026-01", {PART: bill("2")}, also_named=["focus-00002.snappy.parquet"])
    seen.append(identity())  # now it names a file that is missing
    export.deliver("2026-01", {PART: bill("2"), "focus-00002.snappy.parquet": bill("3")})
    seen.append(identity())
    export.deliver("2026-02", {PART: bill("9")})  # another period is none of its business
    assert identity() == seen[-1]
    assert len(set(seen)) == len(seen) == 4


def test_a_missing_file_holds_up_its_own_period_only(site: FolderSite | BucketSite) -> None:
    export = AwsExport(site)
    export.deliver("2026-01", {PART: bill("1")}, also_named=["focus-00002.snappy.parquet"])
    export.deliver("2026-02", {PART: bill("2")})
    of = source(site)
    refs = discover(of)
    with pytest.raises(
        IncompleteDelivery,
        match=r"focus-Manifest\.json: the manifest names 1 of 2 files that are not there: s3://acme-",
    ):
        fetch(of, refs["BILLING_PERIOD=2026-01"])
    assert len(fetch(of, refs["BILLING_PERIOD=2026-02"])) == 2


def test_a_named_file_of_zero_bytes_is_not_loaded(site: FolderSite | BucketSite) -> None:
    AwsExport(site).deliver("2026-01", {PART: bill("1"), "focus-00002.snappy.parquet": b""})
    of = source(site)
    [ref] = of.discover(WINTER)
    with pytest.raises(IncompleteDelivery, match=r"files of 0 bytes: .*focus-00002"):
        fetch(of, ref)


def test_a_period_that_aws_is_overwriting_is_not_loaded(tmp_path: Path) -> None:
    """The old manifest still names what is new already: one file of today beside one of yesterday."""
    site = FolderSite(tmp_path)
    export, files = AwsExport(site), {PART: bill("1"), "focus-00002.snappy.parquet": bill("2")}
    export.deliver("2026-01", files)
    of = source(site)
    delivered = time.time() - 8 * 3600
    for path in (tmp_path / export.root).rglob("*.*"):
        os.utime(path, (delivered, delivered + 600 * (path.suffix == ".parquet")))  # copied in another order
    assert len(fetch(of, next(of.discover(WINTER)))) == 3
    os.utime(tmp_path / export.root / "data" / "BILLING_PERIOD=2026-01" / PART)
    with pytest.raises(IncompleteDelivery, match=r"1 of 2 files are newer than the manifest that names them: .*00001"):
        fetch(of, next(of.discover(WINTER)))
    export.deliver("2026-01", files)
    assert len(fetch(of, next(of.discover(WINTER)))) == 3


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (
            "s3://acme-billing/exports/focus/data/BILLING_PERIOD=2026-01/../../../../etc/passwd",
            "leads out of the export",
        ),
        ("../../../secret.parquet", "leads out of the export"),
        ("data/BILLING_PERIOD=2026-01/./a.parquet", "leads out of the export"),
        ("data/BILLING_PERIOD=2026-01/..\\..\\a.parquet", "leads out of the export"),
        ("data/BILLING_PERIOD=2026-01//etc/a.parquet", "leads out of the export"),
        ("/etc/passwd", "not where AWS puts data files"),
        ("s3://acme-billing/exports/focus/data/BILLING_PERIOD=2025-12/a.parquet", "a file of another period"),
        ("s3://acme-billing/exports/focus/data/BILLING_PERIOD=2026-01/a.csv.zip", "format that is not read"),
    ],
)
def test_a_manifest_that_leads_elsewhere_is_refused(named: str, says: str, tmp_path: Path) -> None:
    site = FolderSite(tmp_path)
    site.put("secret.parquet", bill("1"))
    AwsExport(site).put_manifest("2026-01", [named])
    of = source(site)
    [ref] = of.discover(WINTER)
    with pytest.raises(PayloadError, match=says) as raised:
        fetch(of, ref)
    assert "focus-Manifest.json" in str(raised.value)


@pytest.mark.parametrize(
    ("manifest", "kind", "says"),
    [
        (b"", IncompleteDelivery, "cut off or no JSON"),
        (b'{"dataFiles": ["s3://', IncompleteDelivery, "cut off or no JSON"),
        (b"[]", PayloadError, "no JSON object"),
        (b"{}", PayloadError, "neither dataFiles nor reportKeys"),
        (b'{"dataFiles": []}', IncompleteDelivery, "names no data file yet"),
        (b'{"dataFiles": [7]}', PayloadError, "names 7 as a data file"),
        (b"\xff\xfe\x00", IncompleteDelivery, "cut off or no JSON"),
    ],
)
def test_a_manifest_that_is_none(manifest: bytes, kind: type[ConnectorError], says: str, tmp_path: Path) -> None:
    site = FolderSite(tmp_path)
    AwsExport(site).deliver("2026-01", {PART: bill("1")})
    site.put("exports/focus/metadata/BILLING_PERIOD=2026-01/focus-Manifest.json", manifest)
    of = source(site)
    [ref] = of.discover(WINTER)
    with pytest.raises(kind, match=says):
        fetch(of, ref)


@pytest.mark.parametrize(
    "told",
    [
        "s3://acme-billing/exports/focus",
        "s3://another-bucket/somewhere/else/focus",
        "s3://acme-billing//focus",
        "exports/focus",
        "/exports/focus",
        "file:///srv/exports/focus",
        ".",
    ],
)
def test_a_copied_export_still_finds_its_files(site: FolderSite | BucketSite, told: str) -> None:
    if told == ".":
        export = AwsExport(site)
        export.deliver("2026-01", {PART: bill("1")})
        export.put_manifest("2026-01", [f"data/BILLING_PERIOD=2026-01/{PART}"])
    else:
        AwsExport(site, told=told).deliver("2026-01", {PART: bill("1")})
    of = source(site)
    [ref] = of.discover(WINTER)
    assert f"export/data/BILLING_PERIOD=2026-01/{PART}" in fetch(of, ref)


def test_a_delivery_replaced_while_it_is_read_is_not_mixed(site: FolderSite | BucketSite) -> None:
    export, of = AwsExport(site), source(site)
    export.deliver("2026-01", {PART: bill("1"), "focus-00002.snappy.parquet": bill("2")})
    [ref] = of.discover(WINTER)
    payloads = of.fetch(ref)
    next(payloads)
    b"".join(next(payloads).chunks)
    export.deliver("2026-01", {PART: bill("3"), "focus-00002.snappy.parquet": bill("4")})
    with pytest.raises(IncompleteDelivery, match="changed while it was being read"):
        [b"".join(payload.chunks) for payload in payloads]


def test_a_manifest_replaced_after_the_last_file_is_noticed(site: FolderSite | BucketSite) -> None:
    export, of = AwsExport(site), source(site)
    export.deliver("2026-01", {PART: bill("1")})
    [ref] = of.discover(WINTER)
    payloads = of.fetch(ref)
    next(payloads)
    b"".join(next(payloads).chunks)
    export.deliver("2026-01", {PART: bill("1"), "focus-00002.snappy.parquet": bill("2")})
    with pytest.raises(IncompleteDelivery, match=r"focus-Manifest\.json"):
        list(payloads)


def test_columns_that_come_within_a_period_are_told(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    old, new = bill("1"), bill("2", SkuMeter="USE1-x", Brand="new")
    AwsExport(site).deliver("2026-01", {"a.parquet": old, "b.parquet": new})
    of = source(site)
    [ref] = of.discover(WINTER)
    scans, notes = parse(of, ref, tmp_path / "landed")
    assert len(scans) == 1
    assert total(scans, "BilledCost") == 3
    assert [note for note in notes if "Brand" in note] == [
        "data/BILLING_PERIOD=2026-01/b.parquet: 1 column outside FOCUS kept aside: Brand"
    ]
    assert [note for note in notes if "SkuMeter" in note] == [
        "column 'SkuMeter' is missing in data/BILLING_PERIOD=2026-01/a.parquet: unknown for the rows there"
    ]


def test_a_column_in_another_spelling_is_not_missing(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    lower = parquet([{name.lower(): cell for name, cell in focus_row(1, RegionId="eu").items()}])
    AwsExport(site).deliver("2026-01", {"a.parquet": bill("1", SkuMeter="x", SkuId="y"), "b.parquet": lower})
    of = source(site)
    [ref] = of.discover(WINTER)
    _, notes = parse(of, ref, tmp_path / "landed")
    assert [note.partition(" in data")[0] for note in notes if "missing" in note] == [
        "column 'regionid' is missing",
        "columns 'SkuMeter', 'SkuId' are missing",
    ]


def test_types_that_drift_within_a_period_lose_no_digit(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    whole = parquet([{**focus_row(), "BilledCost": 2, "EffectiveCost": 2}])
    broken = parquet([{**focus_row(), "BilledCost": 1.5, "EffectiveCost": 1.5}])
    exact = parquet([{**focus_row(), "BilledCost": Decimal("0.000000000001")}])
    AwsExport(site).deliver("2026-01", {"a.parquet": whole, "b.parquet": broken, "c.parquet": exact})
    of = source(site)
    [ref] = of.discover(WINTER)
    assert total(parse(of, ref, tmp_path / "landed")[0], "BilledCost") == Decimal("3.500000000001")


def test_a_missing_cost_column_is_named(site: FolderSite | BucketSite, tmp_path: Path) -> None:
    row = focus_row()
    del row["EffectiveCost"]
    AwsExport(site).deliver("2026-01", {PART: parquet([row])})
    of = source(site)
    [ref] = of.discover(WINTER)
    with pytest.raises(
        PayloadError, match=rf"^data/BILLING_PERIOD=2026-01/{PART}: the FOCUS column EffectiveCost is miss"
    ):
        parse(of, ref, tmp_path / "landed")


def test_a_damaged_data_file_is_named(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    AwsExport(site).deliver("2026-01", {PART: bill("1")[:-20]})
    of = source(site)
    [ref] = of.discover(WINTER)
    with pytest.raises(PayloadError, match=rf"{PART}: the Parquet file is cut off"):
        parse(of, ref, tmp_path / "landed")


def test_check_tells_the_newest_delivery(site: FolderSite | BucketSite) -> None:
    export = AwsExport(site)
    export.deliver("2025-12", {PART: bill("1")})
    export.deliver("2026-01", {PART: bill("1")})
    results = source(site, "exports").check()
    assert all(result.ok for result in results)
    assert results[0].detail.endswith("exports/focus, data export")
    assert results[1].detail.startswith("2 periods; 2026-01 has 1 files, ")
    assert results[2].detail.endswith(f"BILLING_PERIOD=2026-01/{PART} can be read")
    export.deliver("2026-02", {}, also_named=["gone.parquet"])
    failed = [result for result in source(site).check() if not result.ok]
    assert "gone.parquet" in failed[0].detail
    assert failed[0].cure


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    [result] = source(FolderSite(tmp_path), "nowhere").check()
    assert (result.ok, result.detail) == (False, "there is no such folder or file")
    (tmp_path / "exports/focus/metadata/BILLING_PERIOD=2026-01").mkdir(parents=True)
    results = source(FolderSite(tmp_path)).check()
    assert [(result.name, result.ok) for result in results] == [("export", True), ("delivery", False)]


def test_check_finds_that_listing_is_allowed_and_reading_is_not(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = BucketSite(moto)
    AwsExport(bucket).deliver("2026-01", {PART: bill("1")})
    for name, text in moto.user(allow("s3:ListBucket")).items():
        monkeypatch.setenv(name, text)
    with moto.policies_enforced():
        [result] = source(bucket).check()
        assert (result.ok, result.cure) == (False, f"allow s3:GetObject on arn:aws:s3:::{bucket.bucket}/*")
        with pytest.raises(PermissionDenied, match="s3:GetObject"):
            discover(source(bucket))


@pytest.fixture
def faulty() -> Iterator[FaultyS3]:
    with FaultyS3().running() as server:
        yield server


class FaultySite:
    """The faulty server as a place to put an export."""

    def __init__(self, server: FaultyS3) -> None:
        self.server = server

    def put(self, key: str, data: bytes) -> None:
        self.server.objects[key] = data

    def remove(self, key: str) -> None:
        del self.server.objects[key]

    def options(self, prefix: str = "") -> dict[str, Any]:
        return self.server.options(prefix)


def test_a_shaky_line_gives_the_same_bytes(faulty: FaultyS3) -> None:
    data = bill(*["1.5"] * 28)
    AwsExport(FaultySite(faulty)).deliver("2026-01", {PART: data})
    faulty.faults = [Fault("list", "SlowDown", 503), Fault("get", cut_after=0), *[Fault("get", cut_after=4000)] * 2]
    quick = RetryPolicy(attempts=4, first_wait_seconds=0.001, longest_wait_seconds=0.01)
    options = LocationOptions.model_validate(faulty.options("exports/focus"))
    of = AwsDataExports(name="aws", options=options, retry=quick)
    [ref] = of.discover(WINTER)
    assert fetch(of, ref)[f"export/data/BILLING_PERIOD=2026-01/{PART}"] == data
    assert faulty.faults == []


def test_a_refresh_asks_no_more_with_a_long_history(faulty: FaultyS3) -> None:
    export, counts = AwsExport(FaultySite(faulty)), []
    of = source(FaultySite(faulty))
    for month in range(1, 13):
        export.deliver(f"2025-{month:02}", {PART: bill("1")}, execution="20260102T060000Z-a")
        if month in (2, 12):
            faulty.requests.clear()
            window = Window(date(2025, month, 1), date(2025, month, 2))
            [ref] = of.discover(window)
            fetch(of, ref)
            counts.append(len(faulty.requests))
    assert counts[0] == counts[1] <= 9


@pytest.mark.parametrize("months", [2, 23])
def test_closed_periods_that_are_delivered_anew_are_found_by_one_listing(faulty: FaultyS3, months: int) -> None:
    """How long the history is does not count: only what was written since is read."""
    export, of = AwsExport(FaultySite(faulty)), source(FaultySite(faulty))
    for month in range(months):
        export.deliver(f"{2024 + month // 12}-{1 + month % 12:02}", {PART: bill("1")}, execution="20240102T060000Z-a")
    faulty.modified = dict.fromkeys(faulty.objects, "2024-03-01T06:00:00.000Z")
    assert list(of.discover_restated(date(2026, 1, 1), date(2025, 12, 1))) == []
    export.deliver("2024-02", {PART: bill("2")}, execution="20260201T060000Z-b")
    faulty.modified.pop("exports/focus/metadata/BILLING_PERIOD=2024-02/focus-Manifest.json")
    faulty.requests.clear()
    [ref] = of.discover_restated(date(2026, 1, 1), date(2025, 12, 1))
    assert ref.scope == "BILLING_PERIOD=2024-02"
    assert len(faulty.requests) <= 8
    assert fetch(of, ref)[f"export/data/BILLING_PERIOD=2024-02/20260201T060000Z-b/{PART}"] == bill("2")
    assert list(of.discover_restated(date(2024, 2, 29), date(2025, 12, 1))) == []


def test_a_manifest_that_lists_what_json_cannot_hide(tmp_path: Path) -> None:
    # The order of keys and the spaces are AWS's own affair.
    site = FolderSite(tmp_path)
    AwsExport(site).deliver("2026-01", {PART: bill("1")})
    path = tmp_path / "exports/focus/metadata/BILLING_PERIOD=2026-01/focus-Manifest.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(json.loads(path.read_bytes()), indent=4, sort_keys=True).encode())
    of = source(site)
    [ref] = of.discover(WINTER)
    assert len(fetch(of, ref)) == 2
