"""The exports, told by their header, and their rows, read strictly by column name.

Columns come and go over time, so an export is known by the few that it cannot do without.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import IO, Literal

from connectors.documents import LARGEST
from connectors.errors import PayloadError
from connectors.tabular_files import TableFile, named, read_table_file

Kind = Literal["openai_cost", "openai_usage", "claude_cost", "claude_tokens"]
# Excel saves with the separator of its user's country.
DELIMITERS = ",;\t"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
EXPORT_AGAIN = "export the file again and keep it as downloaded: spreadsheet programs rewrite dates and numbers"


@dataclass(frozen=True)
class Export:
    """One export. `needs`: of each tuple one column must be there. `amounts`: columns with decimal numbers."""

    kind: Kind
    title: str
    needs: tuple[tuple[str, ...], ...]
    columns: frozenset[str]
    amounts: tuple[str, ...]
    says_so: tuple[str, ...]  # columns that no other export has: what tells a file that lacks a needed one


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPENAI_TIMES = ("start_time", "start_time_iso")
EXPORTS: tuple[Export, ...] = (
    Export(
        "openai_cost",
        "OpenAI's cost export (platform.openai.com, Usage, Export, Cost)",
        needs=(_OPENAI_TIMES, ("amount_value",), ("amount_currency",)),
        columns=_names(
            "start_time end_time start_time_iso end_time_iso amount_value amount_currency quantity quantity_unit "
            "line_item user_id api_key_id project_id organization_id project_name organization_name user_email "
            "api_source"
        ),
        amounts=("amount_value", "quantity"),
        says_so=("amount_value", "amount_currency", "line_item"),
    ),
    Export(
        "openai_usage",
        "OpenAI's usage export (platform.openai.com, Usage, Export, Activity)",
        needs=(_OPENAI_TIMES, ("num_model_requests",), ("input_tokens",)),
        columns=_names(
            "start_time end_time start_time_iso end_time_iso project_id num_model_requests user_id api_key_id model "
            "batch service_tier input_tokens output_tokens input_cached_tokens input_cache_write_tokens "
            "input_uncached_tokens input_text_tokens output_text_tokens input_cached_text_tokens input_audio_tokens "
            "input_cached_audio_tokens output_audio_tokens input_image_tokens input_cached_image_tokens "
            "output_image_tokens organization_id project_name organization_name user_email api_source"
        ),
        amounts=(),
        says_so=("num_model_requests", "input_cached_tokens", "input_uncached_tokens"),
    ),
    Export(
        "claude_cost",
        "the Claude Console's cost export (platform.claude.com, Cost, Export)",
        needs=(("usage_date_utc",), ("cost_usd",)),
        columns=_names(
            "usage_date_utc model workspace api_key usage_type context_window token_type cost_usd list_price_usd "
            "cost_type inference_geo speed api_key_id api_key_status"
        ),
        amounts=("cost_usd", "list_price_usd"),
        says_so=("cost_usd", "list_price_usd"),
    ),
    Export(
        "claude_tokens",
        "the Claude Console's usage export (platform.claude.com, Usage, Export)",
        needs=(("usage_date_utc",), ("usage_input_tokens_no_cache",), ("usage_output_tokens",)),
        columns=_names(
            "usage_date_utc model_version api_key workspace usage_type context_window usage_input_tokens_no_cache "
            "usage_input_tokens_cache_write usage_input_tokens_cache_write_5m usage_input_tokens_cache_write_1h "
            "usage_input_tokens_cache_read usage_output_tokens web_search_count inference_geo speed api_key_id "
            "api_key_status"
        ),
        amounts=(),
        says_so=("usage_input_tokens_no_cache", "usage_output_tokens", "model_version"),
    ),
)
_ELSEWHERE = (
    (frozenset({"slug", "byok usage"}), "the source type openrouter reads OpenRouter's activity from its API"),
    (frozenset({"billedcost", "effectivecost"}), "the source type focus_files reads FOCUS files"),
)


@dataclass(frozen=True)
class Row:
    """One row. `cells` holds what is not blank, by column. Every error names file, line, column and value."""

    where: str
    cells: Mapping[str, str]
    has_decimal_commas: bool = False

    def text(self, column: str) -> str | None:
        return self.cells.get(column)

    def amount(self, column: str) -> Decimal | None:
        """A finite number, exact, in plain or scientific notation."""
        text = self.cells.get(column)
        if text is None:
            return None
        try:
            number = Decimal(text.replace(",", ".") if self.has_decimal_commas else text)
        except InvalidOperation:
            raise self.wrong(column, "a number") from None
        if not number.is_finite() or abs(number) >= LARGEST:
            raise self.wrong(column, "a finite number below 10^26")
        return number

    def money(self, column: str) -> Decimal:
        number = self.amount(column)
        if number is None:
            raise self.wrong(column, "an amount")
        return number

    def count(self, column: str) -> int | None:
        number = self.amount(column)
        if number is None:
            return None
        if number != number.to_integral_value() or not 0 <= number < 2**63:
            raise self.wrong(column, "a whole number, not negative")
        return int(number)

    def day(self, column: str) -> date:
        """A day as YYYY-MM-DD."""
        text = self.cells.get(column, "")
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            pass
        raise self.wrong(column, "a day (YYYY-MM-DD)")

    def bucket_day(self) -> date:
        """The UTC day of OpenAI's bucket: start_time_iso (UTC where it names no offset), else start_time."""
        start, end = self._instant("start_time"), self._instant("end_time")
        if start is None:
            raise self.wrong("start_time", "a point in time")
        if end is not None and end > datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=1):
            raise self.wrong("end_time", f"the end of a bucket within {start:%Y-%m-%d}: export by day")
        return start.date()

    def wrong(self, column: str, expected: str) -> PayloadError:
        text = self.cells.get(column)
        shown = "nothing" if text is None else repr(text[:40])
        return PayloadError(f"column {column!r}: expected {expected}, got {shown}", where=self.where, cure=EXPORT_AGAIN)

    def _instant(self, column: str) -> datetime | None:
        iso, seconds = self.cells.get(f"{column}_iso"), self.cells.get(column)
        try:
            if iso is not None:
                instant = datetime.fromisoformat(iso)
                return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
            if seconds is not None:
                number = Decimal(seconds)
                if number != number.to_integral_value():
                    raise self.wrong(column, "Unix seconds")
                return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(number))
        except (ValueError, OverflowError, InvalidOperation):
            raise self.wrong(f"{column}_iso" if iso is not None else column, "a point in time") from None
        return None


@dataclass(frozen=True)
class ExportFile:
    """One file as an export. `unknown`: columns that the export is not known to have."""

    export: Export
    table: TableFile
    columns: tuple[str, ...]
    unknown: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """Every row with a value. Raises PayloadError for one that is longer or shorter than the header."""
        commas = self._has_decimal_commas
        for line, record in self._records():
            yield Row(f"{self.table.name} line {line}", self._cells(record), commas)

    def _cells(self, record: list[str]) -> dict[str, str]:
        return {name: text for name, cell in zip(self.columns, record, strict=True) if (text := cell.strip())}

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        name = self.table.name
        with _open_text(self.table.path) as stream:
            reader = csv.reader(stream, delimiter=self.table.delimiter, strict=True)
            try:
                next(reader)
                line = reader.line_num + 1
                for record in reader:
                    if any(cell.strip() for cell in record):
                        if len(record) != len(self.columns):
                            raise PayloadError(
                                f"{len(record)} cells, where the header has {len(self.columns)} columns",
                                where=f"{name} line {line}",
                                cure=EXPORT_AGAIN,
                            )
                        yield line, record
                    line = reader.line_num + 1
            except csv.Error as error:
                raise PayloadError(
                    f"no CSV ({error})", where=f"{name} line {reader.line_num}", cure=EXPORT_AGAIN
                ) from None
            except UnicodeDecodeError:
                raise PayloadError(
                    "the text is not UTF-8", where=f"{name} after line {reader.line_num}", cure="save it as UTF-8"
                ) from None

    @cached_property
    def _has_decimal_commas(self) -> bool:
        """Whether amounts are written 0,06: only where the file proves it, never by a guess.

        A comma before other than three digits is no thousands separator; a point in one amount and a
        comma in another may be anything.
        """
        if self.table.delimiter == ",":
            return False
        wanted = [self.columns.index(name) for name in self.export.amounts if name in self.columns]
        with_comma, with_point, proof = "", "", False
        for _, record in self._records():
            for text in (record[index].strip() for index in wanted):
                with_point = with_point or (text if "." in text else "")
                if "," in text:
                    with_comma = with_comma or text
                    proof = proof or not re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", text)
        if with_comma and (with_point or not proof):
            raise PayloadError(
                f"the amount {with_comma!r} may have a decimal comma or a thousands separator",
                where=self.table.name,
                cure="keep the file as downloaded, with commas between the columns and decimal points",
            )
        return bool(with_comma)


def open_export(name: str, path: Path) -> ExportFile:
    """The export in one landed file. Raises PayloadError where it is none, naming its columns and the cure."""
    table = read_table_file(name, path, delimiters=DELIMITERS)
    if table.file_format != "csv":
        raise PayloadError("a Parquet file", where=name, cure="consoles export CSV; focus_files reads FOCUS in Parquet")
    columns = tuple(column.strip().lower() for column in table.columns)
    twice = [column for column, count in Counter(columns).items() if count > 1 and column]
    if twice:
        raise PayloadError(f"the column {twice[0]!r} stands twice", where=name, cure=EXPORT_AGAIN)
    export = _find_export(name, frozenset(columns), table.columns)
    unknown = tuple(column for column in columns if column and column not in export.columns)
    return ExportFile(export, table, columns, unknown)


def _find_export(name: str, columns: frozenset[str], shown: tuple[str, ...]) -> Export:
    for export in EXPORTS:
        if all(columns & frozenset(one_of) for one_of in export.needs):
            return export
    likely = max(EXPORTS, key=lambda export: len(columns & frozenset(export.says_so)))
    if columns & frozenset(likely.says_so):
        missing = [" or ".join(one_of) for one_of in likely.needs if not columns & frozenset(one_of)]
        raise PayloadError(
            f"this looks like {likely.title}, but {named(missing)} is missing; its columns are {named(shown, 30)}",
            where=name,
            cure=EXPORT_AGAIN,
        )
    elsewhere = [cure for telling, cure in _ELSEWHERE if telling <= columns]
    raise PayloadError(
        f"none of the known exports; its columns are {named(shown, 30)}",
        where=name,
        cure=elsewhere[0]
        if elsewhere
        else "known are " + ", ".join(export.title for export in EXPORTS) + "; move other files out, or narrow `files`",
    )


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    with (
        gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
    ):
        yield text
