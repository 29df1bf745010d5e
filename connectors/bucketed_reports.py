"""Reports in daily buckets with cursors, as OpenAI's and Anthropic's organization APIs send them.

A page is `{"data": [{<start>: day, "results": [ … ]}], "has_more": bool, "next_page": str | null}`;
lists of names are `{"data": [{"id": …, "name": …}], "has_more": bool, "last_id": str | null}`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from connectors.base import CheckResult, Window
from connectors.documents import UnknownFields, read_day, read_document, read_hour, read_list, read_text
from connectors.errors import ConnectorError, PagingError, PayloadError, UnreachableError
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
    """The pages of one report. Raises PayloadError for results of a day that was not asked for.

    Such a day would stand beside the window that the delivery replaces, and be doubled later.
    """
    # A page holds at least one day; OpenAI is known to promise a page or two behind the last one.
    page_cap = 2 * (window.end - window.start).days + 10
    pages = session.pages(path, query, cursor_param="page", next_cursor=has_more_cursor("next_page"), page_cap=page_cap)
    for page in pages:
        for bucket in read_list(page.document, "data", where=page.where):
            day = read_day(bucket, day_field, where=page.where)
            if not window.start <= day < window.end and read_list(bucket, "results", where=page.where):
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


class RepeatedGroups:
    """What a page says again that an earlier bucket of the same start has said.

    A page may begin with the bucket that the one before it ended with. What is in it for the first time is another
    part of the day, and counts; a group that was there already counts once.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[Hashable, ...], tuple[str, list[tuple[Any, ...]]]] = {}
        self._repeats = 0

    def is_repeat(self, where: str, start: date | datetime, group: tuple[Any, ...], figures: tuple[Any, ...]) -> bool:
        """Whether another bucket of `start` told the group. Raises PagingError where it told other figures.

        `where`: as `read_buckets` tells it. `group`: the dimensions as the provider sent them.
        """
        bucket = where.rpartition(".results[")[0]
        first_bucket, known = self._seen.setdefault((start, *group), (bucket, []))
        if first_bucket == bucket:
            known.append(figures)
            return False
        if figures not in known:
            named = ", ".join(str(part) for part in group if part)
            raise PagingError(
                f"{start} came twice, with two figures for {named or 'the same group'}"[:300],
                where=where,
                cure="nothing of it was loaded; run again, and report it to the provider if it stays",
            )
        self._repeats += 1
        return True

    def notes(self, report: str) -> Iterator[str]:
        if self._repeats:
            yield f"{report}: {self._repeats} rows came on two pages: counted once"


def check_requests(api: HttpApi, asked: Sequence[tuple[str, str, Query, bool]]) -> list[CheckResult]:
    """One line for each (name, path, query, is_needed); what is not needed may be absent or refused.

    Where nobody answers, the rest is not asked: the one line names it too.
    """
    results: list[CheckResult] = []
    with api.session(is_brief=True) as session:
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
