"""Files are what their names say, and whole; what is wrong with one is said with its name and a cure."""

from __future__ import annotations

import gzip
import io
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.errors import PayloadError
from connectors.tabular_files import TableFile, read_table_file, scans
from tests.connectors.billing_files import focus_row, parquet, parquet_bytes, total


def read(tmp_path: Path, name: str, data: bytes) -> TableFile:
    path = tmp_path / name
    path.write_bytes(data)
    return read_table_file(name, path)


def zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bill.csv", data)
    return packed.getvalue()


WHOLE_PARQUET = parquet([focus_row()])
MANY_LINES = b"A,B\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000))


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("bill.csv", b"", r"empty \(0 bytes\)"),
        ("bill.csv", b"\n\n", "the file is empty"),
        ("bill.csv", b"\xef\xbb\xbf", "the file is empty"),
        ("bill.csv", b"\nBilledCost,Tags\n1,2\n", "first line is blank"),
        ("bill.csv", b"\0" * 100, "holds only zero bytes"),
        ("bill.csv", "BilledCost,Größe\n1,2\n".encode("latin-1"), "line 1 is not UTF-8"),
        ("bill.csv", "BilledCost,Name\n1,a\n2,Größe\n".encode("latin-1"), "line 3 is not UTF-8"),
        ("bill.csv", "BilledCost,Tags\n1,2\n".encode("utf-16"), "UTF-16"),
        ("bill.csv", b"BilledCost;EffectiveCost;Tags\n1,5;2,5;{}\n", "separated by semicolons"),
        ("bill.csv", b"BilledCost\tEffectiveCost\tTags\n1\t2\t{}\n", "separated by tabs"),
        ("bill.csv", b"sep=;\nBilledCost;Tags\n1;2\n", "Excel's separator line"),
        (
            "bill.csv",
            gzip.compress(b"A,B\n1,2\n", mtime=0),
            r"looks like a gzip file: its name should end in \.csv\.gz",
        ),
        ("bill.csv", WHOLE_PARQUET, "looks like a Parquet file"),
        ("bill.csv", zipped(b"A,B\n"), "looks like a ZIP or Excel file"),
        ("bill.csv", b'{"a": 1}', "looks like JSON"),
        ("bill.csv", b"<html>denied</html>", "looks like HTML or XML"),
        ("bill.csv.gz", b"", r"empty \(0 bytes\)"),
        ("bill.csv.gz", b"A,B\n1,2\n", "not a gzip file"),
        ("bill.csv.gz", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("bill.csv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("bill.csv.gz", gzip.compress(MANY_LINES, mtime=0)[:-1000], "gzip file is cut off or damaged"),
        (
            "bill.csv.gz",
            gzip.compress(MANY_LINES, mtime=0)[:-8],
            "gzip file is cut off or damaged",
        ),  # rows whole, trailer gone
        ("bill.csv.gz", gzip.compress(MANY_LINES, mtime=0)[:5], "gzip file is cut off or damaged"),
        (
            "bill.csv.gz",
            gzip.compress(MANY_LINES, mtime=0)[:-8] + b"\0\0\0\0\0\0\0\1",
            "gzip file is cut off or damaged",
        ),
        ("bill.parquet", b"", r"empty \(0 bytes\)"),
        ("bill.parquet", WHOLE_PARQUET[:-100], "Parquet file is cut off or damaged"),
        ("bill.parquet", WHOLE_PARQUET.replace(b"BilledCost", b"\xffilledCost"), "Parquet file is cut off or damaged"),
        ("bill.parquet", WHOLE_PARQUET[:4], "Parquet file is cut off or damaged"),
        ("bill.parquet", b"BilledCost,Tags\n", "not a Parquet file"),
        ("bill.json", b"{}", "not a CSV or Parquet file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    with pytest.raises(PayloadError, match=says) as raised:
        read(tmp_path, name, data)
    assert str(raised.value).startswith(f"{name}: ")
    assert " — " in str(raised.value), "no cure"


def test_a_gzip_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    whole = gzip.compress(b"A,B\n1,2\n") + gzip.compress(MANY_LINES)
    assert read(tmp_path, "bill.csv.gz", whole).columns == ("A", "B")
    with pytest.raises(PayloadError, match="cut off"):
        read(tmp_path, "bill.csv.gz", whole[:-500])


def test_what_landing_compressed_is_read_as_the_csv_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf"A"," B ","C,D"\r\n1,2,3\r\n', mtime=0))
    table = read_table_file("bill.csv", path)
    assert (table.columns, table.is_empty) == (("A", "B", "C,D"), False)
    path.write_bytes(gzip.compress(gzip.compress(b"A,B\n")))
    with pytest.raises(PayloadError, match=r"should end in \.csv\.gz"):
        read_table_file("bill.csv", path)


@pytest.mark.parametrize("data", [b"A,B", b"A,B\n", b"A,B\r\n\r\n"])
def test_a_header_alone_is_an_empty_table(tmp_path: Path, data: bytes) -> None:
    table = read(tmp_path, "bill.csv", data)
    assert (table.columns, table.is_empty) == (("A", "B"), True)


def test_a_parquet_file_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    empty = pa.table({"A": pa.array([], pa.float64())})
    table = read(tmp_path, "bill.parquet", parquet_bytes(empty))
    assert (table.columns, table.types, table.is_empty) == (("A",), (pa.float64(),), True)


def test_a_character_cut_in_two_at_the_end_of_what_is_read_is_no_error(tmp_path: Path) -> None:
    for extra in range(4):
        data = b"A,B\n" + b"x" * extra + ("€" * 400_000).encode() + b",1\n"
        assert read(tmp_path, "bill.csv", data).columns == ("A", "B")


def test_suffixes_in_any_case(tmp_path: Path) -> None:
    assert read(tmp_path, "BILL.CSV", b"A,B\n1,2\n").file_format == "csv"
    assert read(tmp_path, "Bill.Csv.GZ", gzip.compress(b"A,B\n1,2\n")).columns == ("A", "B")
    assert read(tmp_path, "bill.snappy.Parquet", WHOLE_PARQUET).file_format == "parquet"


def scan_of(tmp_path: Path, **files: bytes) -> tuple[object, ...]:
    tables = [read(tmp_path, name.replace("__", "."), data) for name, data in files.items()]
    return scans("any", [(table, {"Cost": table.columns[0]}) for table in tables])


def test_files_alike_are_one_scan_and_drift_starts_another(tmp_path: Path) -> None:
    one = parquet_bytes(pa.table({"Cost": [1.5]}))
    more = parquet_bytes(pa.table({"Cost": [2.25], "New": ["x"]}))
    whole_numbers = parquet_bytes(pa.table({"Cost": [3]}))
    other_spelling = parquet_bytes(pa.table({"cost": [4.0]}))
    exact = parquet_bytes(pa.table({"Cost": [Decimal("0.000000000001")]}))
    text = b"Cost,New\n5,x\n"
    found = scan_of(
        tmp_path, a__parquet=whole_numbers, b__parquet=one, c__parquet=more, d__parquet=other_spelling,
        e__parquet=exact, f__csv=text,
    )  # fmt: skip
    assert [len(scan.files) for scan in found] == [1, 2, 1, 1, 1]  # type: ignore[attr-defined]
    assert total(found, "Cost") == Decimal("15.750000000001")
    assert scan_of(tmp_path, a__parquet=one, b__parquet=one)[0].columns == {"Cost": "Cost"}  # type: ignore[attr-defined]
