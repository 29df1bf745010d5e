"""Bills, tags, manifests and files that mean harm: each is stopped, or passes as the plain text that it is."""

import gzip
import json
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import unpacking
from connectors.errors import ConnectorError, PayloadError
from connectors.events import Events
from connectors.focus_files import FocusFiles
from connectors.tabular_files import read_table_file
from flows.errors import SettingsError
from flows.run import open_run
from flows.settings import Settings, load_settings
from flows.steps.direct import run_direct
from flows.summary import RunSummary, summarise
from tests.flows.small_bill import HEADER, first_day, month_after, write_small_home
from warehouse.errors import WarehouseError
from warehouse.features import load_features

# What a stranger could write into a tag, a service's name or a resource.
SQL = "x'); DROP TABLE core.charges; --"
MARKUP = "<script>alert(1)</script><!channel> <https://evil.example|click> *bold* `code`"
HOSTILE = (SQL, MARKUP, "\"; ATTACH 'evil.db'; --", '=HYPERLINK("https://evil.example")', "\u202egnp.exe", "{{7*7}}")


def bill(days: int = 60) -> tuple[list[str], Decimal]:
    """A bill whose service names, SKU, tag keys and values are hostile; one of them breaks trend at the end."""
    lines, total = [HEADER], Decimal(0)
    for offset in range(days):
        day = first_day(days) + timedelta(days=offset)
        period = day.replace(day=1)
        for number, text in enumerate(HOSTILE):
            cost = Decimal("100.125") * (12 if number == 1 and offset >= days - 4 else 1) + Decimal(offset * 7 % 5)
            total += cost
            tags = json.dumps({"feature": text, text: "value"}).replace('"', '""')
            service = text.replace('"', '""')
            lines.append(
                f"{cost},{cost},{cost},123456789012,USD,{period}T00:00:00Z,{month_after(period)}T00:00:00Z,Usage,"
                f'{day}T00:00:00Z,{day + timedelta(days=1)}T00:00:00Z,AWS,AWS,"{service}",'
                f'AI and Machine Learning,111122223333,"{tags}"'
            )
    return lines, total


def run(settings: Settings) -> RunSummary:
    with open_run(settings) as one:
        run_direct(one)
        return summarise(one)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decimal, RunSummary]:
    folder = tmp_path_factory.mktemp("hostile")
    config = write_small_home(folder)
    lines, total = bill()
    (folder / "inbox" / "bill.csv").write_text("\n".join(lines) + "\n")
    rules = [
        f"  - {{name: r{n}, when: {{tag.feature: {json.dumps(text)}}}, feature: support_chat}}"
        for n, text in enumerate(HOSTILE)
    ]
    (folder / "features.yml").write_text(
        'version: 1\nfeatures:\n  support_chat: {owner: "@maya", unit: answer}\nrules:\n' + "\n".join(rules) + "\n"
    )
    return folder, total, run(load_settings(config))


def test_sql_in_tags_is_text_and_every_dollar_arrives(ran: tuple[Path, Decimal, RunSummary]) -> None:
    folder, total, summary = ran
    assert not summary.failures
    with duckdb.connect(str(folder / "data" / "published" / "trendbreak.duckdb"), read_only=True) as con:
        assert con.execute("SELECT sum(billed_cost) FROM core.charges").fetchall() == [(total,)]
        owned = "SELECT sum(billed_cost) FROM core.allocations WHERE feature = 'support_chat'"
        assert con.execute(owned).fetchall() == [(total,)], "a rule matches hostile text as it is"
        services = {row[0] for row in con.execute("SELECT DISTINCT service_name FROM core.charges").fetchall()}
        assert SQL in services
        assert MARKUP in services
    assert not list(folder.rglob("evil.db*"))


def test_markup_from_a_bill_reaches_neither_slack_nor_html_nor_markdown(ran: tuple[Path, Decimal, RunSummary]) -> None:
    folder, _, summary = ran
    messages = [json.loads(path.read_text()) for path in (folder / "data" / "outbox").glob("*.json")]
    assert messages, "the break must be told"
    told = json.dumps(messages, ensure_ascii=False)
    assert "evil.example" in told or "script" in told, "the message names what drives the break, so the text is in it"
    for active in ("<!channel>", "<script>", "<https://evil.example"):
        assert active not in told
    page = (folder / "data" / "report" / "index.html").read_text()
    assert "<script>alert(1)" not in page
    assert 'href="https://evil.example' not in page
    from flows.summary import summary_markdown

    markdown = summary_markdown(summary)
    assert "<script>" not in markdown
    assert "(https://evil.example" not in markdown


def test_a_gzip_bomb_is_refused_by_name_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "FREE_BYTES", 1 << 20)
    lines, _ = bill(2)
    path = tmp_path / "bill.csv.gz"
    with gzip.open(path, "wb") as packed:
        packed.write(("\n".join(lines) + "\n").encode())
        packed.write(b"0" * (16 << 20))
    with pytest.raises(PayloadError, match=r"bill\.csv\.gz.*unpack to more than"):
        read_table_file("bill.csv.gz", path)
    # The same where two files are compared, before anything is fetched.
    (tmp_path / "bill.csv").write_text("\n".join(lines) + "\n")
    source = FocusFiles(name="drop", options=FocusFiles.Options.model_validate({"location": str(tmp_path)}))
    started = time.monotonic()
    assert list(source.discover(_window()))
    assert time.monotonic() - started < 10


def _window() -> Any:
    from connectors.base import Window

    return Window(first_day(), first_day(1))


def test_a_bomb_of_one_endless_line_of_telemetry_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "FREE_BYTES", 1 << 20)
    (tmp_path / "calls.jsonl.gz").write_bytes(gzip.compress(b"x" * (8 << 20)))
    source = Events(name="calls", options=Events.Options.model_validate({"location": str(tmp_path)}))
    [ref] = source.discover(_window())
    with pytest.raises(PayloadError, match=r"calls\.jsonl\.gz.*unpack to more than"):
        [b"".join(payload.chunks) for payload in source.fetch(ref)]


def test_an_honest_file_that_packs_well_is_read(tmp_path: Path) -> None:
    lines, _ = bill(30)
    path = tmp_path / "bill.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    assert read_table_file("bill.csv.gz", path).columns[0] == "BilledCost"


def test_a_parquet_file_that_claims_more_than_it_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "FREE_ROWS", 1_000)
    column = pa.array([0], pa.int64()).take(pa.array([0] * 2_000_000))
    path = tmp_path / "bill.parquet"
    pq.write_table(pa.table({"BilledCost": column}), path, compression="zstd")
    with pytest.raises(PayloadError, match="claim to hold 2,000,000 rows"):
        read_table_file("bill.parquet", path)
    monkeypatch.setattr(unpacking, "FREE_ROWS", 10**9)
    monkeypatch.setattr(unpacking, "FREE_BYTES", 10)
    wide = pa.table({"ServiceName": ["y" * (4 << 20)]})
    pq.write_table(wide, path, compression="zstd", use_dictionary=False)
    with pytest.raises(PayloadError, match="unpack to"):
        read_table_file("bill.parquet", path)


LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    "text", [LAUGHS, "[" * 100_000, "a: " + "{b: " * 50_000, "!!python/object/apply:os.system [id]"]
)
def test_yaml_bombs_are_refused_quickly(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yml"
    path.write_text(text)
    started = time.monotonic()
    with pytest.raises(SettingsError):
        load_settings(path)
    with pytest.raises(WarehouseError):
        load_features(path)
    assert time.monotonic() - started < 20


def read_all(source: Any) -> bytes:
    """Every byte that a source hands over."""
    refs = list(source.discover(_window()))
    return b"".join(chunk for ref in refs for payload in source.fetch(ref) for chunk in payload.chunks)


def test_a_manifest_cannot_name_files_outside_its_export(tmp_path: Path) -> None:
    from connectors.aws_data_exports import AwsDataExports

    (tmp_path / "secret.csv").write_text("top secret")
    day = first_day().replace(day=1)
    folder = tmp_path / "export" / "metadata" / f"BILLING_PERIOD={day:%Y-%m}"
    folder.mkdir(parents=True)
    for name in ("../secret.csv", "/etc/passwd", f"data/BILLING_PERIOD={day:%Y-%m}/../../../secret.csv"):
        (folder / "export-Manifest.json").write_text(json.dumps({"dataFiles": [name]}))
        source = AwsDataExports(
            name="aws", options=AwsDataExports.Options.model_validate({"location": str(tmp_path / "export")})
        )
        with pytest.raises(ConnectorError):
            read_all(source)
