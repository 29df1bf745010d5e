"""Reports in daily buckets with cursors, as OpenAI's and Anthropic's organization APIs send them.

A page is `{"data": [{<start>: day, "results": [ … ]}], "has_more": bool, "next_page": str | null}`;
lists of names are `{"data": [{"id": …, "name": …}], "has_more": bool, "last_id": str | null}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from connectors.base import CheckResult, Window
from connectors.documents import UnknownFields, read_day, read_document, read_hour, read_list, read_text
from connectors.errors import ConnectorError, PayloadError, UnreachableError
from connectors.http_api import HttpApi, NotFoundError, Page, Query, RequestRefusedError, Session, has_more_cursor

Start = TypeVar("Start")
LIST_LIMIT = 100
NAME_PAGES = 1000
PAGE_FIELDS = frozenset({"object", "data", "has_more", "next_page"})


def split_days(window: Window, longest: int, *, cut: date | None = None) -> list[Window]:
    """Parts of at most `longest` days, in order, none of which straddles `cut`.

    The last part is as long as can be: a report that is asked for its newest day alone is refused
    by some providers.
    """
    if cut is not None and window.start < cut < window.end:
        return split_days(Window(window.start, cut), longest) + split_days(Window(cut, window.end), longest)
    parts: list[Window] = []
    end = window.end
    while end > window.start:
        start = max(window.start, end - timedelta(days=longest))
        parts.insert(0, Window(start, end))
        end = start
    return parts


def report_pages(session: Session, path: str, query: Query, window: Window, *, day_field: str) -> Iterator[Page]:
    """The pages of one report. Raises PayloadError for a day that was not asked for.

    Such a day would stand beside the window that the delivery replaces, and be doubled later.
    """
    # A page holds at least one day; OpenAI is known to promise a page or two behind the last one.
    page_cap = 2 * (window.end - window.start).days + 10
    pages = session.pages(path, query, cursor_param="page", next_cursor=has_more_cursor("next_page"), page_cap=page_cap)
    for page in pages:
        for bucket in read_list(page.document, "data", where=page.where):
            day = read_day(bucket, day_field, where=page.where)
            if not window.start <= day < window.end:
                raise PayloadError(
                    f"field {day_field!r}: {day} is outside the days asked for ({window.start} to {window.end})",
                    where=page.where,
                    cure="nothing of it was loaded; run again, and report it if it stays",
                )
        yield page


def list_items(session: Session, path: str, query: Query, *, cursor_param: str) -> Iterator[dict[str, Any]]:
    """Every item of a list, with its `id`."""
    pages = session.pages(
        path,
        [("limit", str(LIST_LIMIT)), *query],
        cursor_param=cursor_param,
        next_cursor=has_more_cursor("last_id"),
        page_cap=NAME_PAGES,
    )
    for page in pages:
        for item in read_list(page.document, "data", where=page.where):
            if read_text(item, "id", where=page.where):
                read_text(item, "name", where=page.where)
                yield item


def read_buckets(
    files: Mapping[str, Path], prefix: str, unknown: UnknownFields, *, day_field: str, bucket_fields: frozenset[str]
) -> Iterator[tuple[str, date, dict[str, Any]]]:
    """(where, day, result) of every result in the landed pages whose names start with `prefix`."""
    yield from _read_results(files, prefix, unknown, day_field, bucket_fields, read_day)


def read_hours(
    files: Mapping[str, Path], prefix: str, unknown: UnknownFields, *, hour_field: str, bucket_fields: frozenset[str]
) -> Iterator[tuple[str, datetime, dict[str, Any]]]:
    """The same of reports in hourly buckets."""
    yield from _read_results(files, prefix, unknown, hour_field, bucket_fields, read_hour)


def _read_results(
    files: Mapping[str, Path],
    prefix: str,
    unknown: UnknownFields,
    field: str,
    bucket_fields: frozenset[str],
    read_start: Callable[..., Start],
) -> Iterator[tuple[str, Start, dict[str, Any]]]:
    for name in sorted(files):
        if not name.startswith(prefix):
            continue
        page = read_document(files[name], name=name)
        unknown.look(page, PAGE_FIELDS, f"{prefix}* page")
        for index, bucket in enumerate(read_list(page, "data", where=name)):
            where = f"{name} data[{index}]"
            unknown.look(bucket, bucket_fields, f"{prefix}* bucket")
            start = read_start(bucket, field, where=where)
            for position, result in enumerate(read_list(bucket, "results", where=where)):
                yield f"{where}.results[{position}]", start, result


def check_requests(api: HttpApi, asked: Sequence[tuple[str, str, Query, bool]]) -> list[CheckResult]:
    """One line for each (name, path, query, is_needed); what is not needed may be absent or refused.

    Where nobody answers, the rest is not asked: the one line names it too.
    """
    results: list[CheckResult] = []
    with api.session() as session:
        for index, (name, path, query, is_needed) in enumerate(asked):
            try:
                session.get(path, query)
            except UnreachableError as error:
                unanswered = ", ".join(one[0] for one in asked[index:])
                return [*results, CheckResult(name=unanswered, ok=False, detail=error.what, cure=error.cure)]
            except ConnectorError as error:
                is_fine = not is_needed and isinstance(error, (RequestRefusedError, NotFoundError))
                results.append(
                    CheckResult(name=name, ok=is_fine, detail=error.what, cure="" if is_fine else error.cure)
                )
            else:
                results.append(CheckResult(name=name, ok=True, detail=f"{path} answers"))
    return results
