"""The page: complete in itself, escaped, readable by people and by screen readers, in both colour schemes."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from flows.report import render_report
from flows.report.data import MonthForecast, ReportData, WasteRow
from tests.flows.report.sample import sample_report

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;{{7*7}}</title></style>"


class Page(HTMLParser):
    """Every element with its attributes and the elements around it; raises where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], tuple[dict[str, str | None], ...]]] = []
        self.texts: list[str] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes, tuple(outer for _, outer in self._open)))
        if tag not in VOID:
            self._open.append((tag, attributes))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(outer for _, outer in self._open)))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1][0] not in ("style", "title"):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(sample_report())


def test_the_same_data_gives_the_same_bytes(html: str) -> None:
    assert render_report(sample_report()) == html


def test_it_says_the_month_the_budget_and_the_incidents(html: str) -> None:
    text = Page(html).text
    assert (
        "Alderwick Freight has spent $1,620 on AI in October so far, and is heading for $2,855 : $55 over budget"
        in text
    )
    assert "Sunday 18 October 2026" in text
    assert "80% sure: $2,700 to $3,010" in text
    assert "70% likely to be exceeded" in text
    assert "+8% on the same days of September" in text
    # The dearer success is no dollar over trend: only the other incident counts.
    assert "Open incidents 4 2 breaks: +$59 a day over trend; 1 budget, 1 source; 2 of high severity" in text
    other = text[text.index("What else is open") :]
    assert other.index("Budgets in danger") < other.index("doc_search is heading") < other.index("Sources that stopped")
    assert "trendbreak check says what is wrong. High since 11 Oct acknowledged openai has brought no day" in other
    assert text.index("Doc search: each successful document") < text.index("Support chat costs more")
    assert "+$59 a day over trend, +104%" in text
    assert "+55% cost per successful task" in text
    assert "$2,821" in text  # features and unallocated, without the shared pool


def test_two_weekend_days_are_no_week() -> None:
    report = sample_report()
    rows = [replace(row, weekends_usd_per_day=Decimal("16.81")) if row.id == "one" else row for row in report.incidents]
    text = Page(render_report(replace(report, incidents=tuple(rows)))).text
    assert "2 breaks: +$17 a day over trend" in text
    assert "+$59 a day over trend on weekends, +104%" in text


def test_it_ranks_by_cost_and_by_cost_per_success(html: str) -> None:
    ranked = html[html.index('id="features-title"') : html.index('id="waste-title"')]
    rows = [re.sub(r"<[^>]+>|\s+", " ", row) for row in re.findall(r"<tr.*?</tr>", ranked, re.DOTALL)]
    names = [
        next((name for name in ("Support chat", "Doc search", "Unallocated", "Shared: tax") if name in row), "")
        for row in rows
    ]
    assert [name for name in names if name] == [
        "Support chat", "Doc search", "Unallocated", "Shared: tax", "Doc search", "Support chat",
    ]  # fmt: skip


def test_it_loads_nothing_and_runs_nothing(html: str) -> None:
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    assert not page.all("img")
    assert not page.all("iframe")
    assert not re.search(
        r"(?i)\b(src|action|formaction|poster|data)\s*=", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    )
    assert not re.search(r"(?i)url\(|@import|https?://|//[a-z]+\.", html)
    assert all(attributes["href"].startswith("#") for attributes in page.all("a") if attributes["href"])
    assert not [name for _, attributes, _ in page.elements for name in attributes if name.startswith("on")]
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def hostile(value: Any) -> Any:
    """`value` with HOSTILE in every free text; words that choose a branch stay."""
    kept = {"kind", "severity", "state", "label"}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            one.name: getattr(value, one.name) if one.name in kept else hostile(getattr(value, one.name))
            for one in fields(value)
            if one.init
        }
        return replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(hostile(item) for item in value)
    return HOSTILE if isinstance(value, str) else value


def test_no_text_from_outside_becomes_markup() -> None:
    plain, attacked = Page(render_report(sample_report())), Page(render_report(hostile(sample_report())))
    assert [name for name, *_ in attacked.elements if name in ("script", "img")] == []
    assert not [name for _, attributes, _ in attacked.elements for name in attributes if name.startswith("on")]
    assert {name for name, *_ in attacked.elements} <= {name for name, *_ in plain.elements}
    assert "<script>alert(1)</script>" in attacked.text
    assert "{{7*7}}" in attacked.text


def svgs(page: Page) -> Iterator[tuple[dict[str, str | None], tuple[dict[str, str | None], ...]]]:
    for name, attributes, outer in page.elements:
        if name == "svg":
            yield attributes, outer


def test_every_drawing_is_named_or_hidden(html: str) -> None:
    page = Page(html)
    drawings = list(svgs(page))
    assert len(drawings) >= 8
    for attributes, outer in drawings:
        assert attributes["aria-hidden"] == "true"
        named = [one for one in outer if one.get("role") == "img"]
        is_brand = any(one.get("class") == "mark" for one in outer)
        assert is_brand or named[-1]["aria-label"]
    labels = [attributes["aria-label"] for name, attributes, _ in page.elements if attributes.get("role") == "img"]
    assert len(labels) == len([label for label in labels if label])
    assert any("Running total of October 2026: $1,620 after 18 days" in str(label) for label in labels)


def test_it_has_landmarks_headings_and_table_headers(html: str) -> None:
    page = Page(html)
    names = [name for name, *_ in page.elements]
    assert [names.count(one) for one in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    levels = [int(name[1]) for name in names if re.fullmatch(r"h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    identifiers = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for section in page.all("section"):
        assert section["aria-labelledby"] in identifiers
    assert page.all("a")[0]["href"] == "#main"
    assert names.count("caption") == names.count("table") == 4
    for cell in page.all("th"):
        assert cell["scope"] in ("col", "row")
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")


def colours(html: str) -> Iterator[dict[str, str]]:
    """The palette of light and of dark."""
    light, dark = re.findall(r":root\{(.*?)\}", html, re.DOTALL)
    for block in (light, dark):
        yield dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})(?=;)", block))


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_enough_contrast_in_both_schemes(html: str) -> None:
    """WCAG 2.1 AA: 4.5 to 1 for text; 3 to 1 for lines of charts."""
    schemes = list(colours(html))
    assert len(schemes) == 2
    for palette in schemes:
        for ground in ("paper", "card"):
            for ink, needed in (("ink", 7), ("soft", 4.5), ("warn", 4.5), ("good", 4.5), ("accent", 4.5), ("faint", 3)):
                light, dark = sorted((luminance(palette[ink]), luminance(palette[ground])), reverse=True)
                ratio = (light + 0.05) / (dark + 0.05)
                assert ratio >= needed, (ink, ground, round(ratio, 2))


@pytest.mark.parametrize(
    "changes",
    [
        {"incidents": ()},
        {"watches": ()},
        {"forecast": None},
        {"coverage": None},
        {"features": ()},
        {"sources": (), "queries": ()},
        {
            "features": (),
            "forecast": None,
            "incidents": (),
            "watches": (),
            "coverage": None,
            "sources": (),
            "queries": (),
        },
    ],
    ids=lambda changes: "+".join(changes),
)
def test_what_is_missing_is_said_and_breaks_nothing(changes: dict[str, Any]) -> None:
    page = Page(render_report(sample_report(**changes)))
    if changes.get("incidents") == ():
        assert "every feature is on trend" in page.text
    assert "nan" not in page.text.lower().split()


def test_unknown_is_a_dash_and_never_zero() -> None:
    data = sample_report()
    row = replace(data.features[0], previous_cost_usd=None, daily_cost=(None,) * 60, success_rate=None)
    text = Page(render_report(replace(data, features=(row,)))).text
    table = text.split("By cost")[1].split("How far")[0]
    assert "$1,801 100% –" in table
    assert " 0%" not in table
    assert " $0" not in table


def with_forecast(data: ReportData, **changes: Any) -> ReportData:
    assert data.forecast is not None
    return replace(data, forecast=replace(data.forecast, **changes))


def test_the_headline_keeps_to_what_is_known() -> None:
    data = sample_report()
    under = Page(render_report(with_forecast(data, budget_usd=Decimal("3000"), over_budget_probability=None))).text
    assert "$145 under budget" in under
    assert "$145 of room expected" in under
    without = Page(render_report(with_forecast(data, budget_usd=None))).text
    assert "heading for $2,855 ." in without
    assert "under budget" not in without


def test_the_first_and_the_last_day_of_a_month_can_be_drawn() -> None:
    first = MonthForecast(
        date(2026, 2, 1), (10.0,), (10.0,) * 27, Decimal(10), Decimal(280), Decimal(250), Decimal(310)
    )
    last = replace(first, actual=(10.0,) * 28, expected=(), lower_usd=Decimal(280), upper_usd=Decimal(280))
    for forecast in (first, last):
        html = render_report(sample_report(forecast=forecast))
        assert "nan" not in html
        assert re.search(r'class="ahead" d="M[^"]', html)


def test_waste_is_told_by_feature_and_kind_and_left_out_where_none_is_known(html: str) -> None:
    text = Page(html).text
    assert "$300 in the last 30 settled days, 11% of features and unallocated" in text
    assert "Support chat calls that failed and were billed 2,024 $210" in text
    assert "Doc search GPU hours that served no call – $90" in text
    assert "What bought nothing" not in Page(render_report(sample_report(waste=()))).text


def test_small_waste_beyond_eight_lines_is_added_up() -> None:
    rows = tuple(WasteRow(f"f{number}", "retry", Decimal(20 - number), 1) for number in range(10))
    assert "And 2 smaller lines, $23 together." in Page(render_report(sample_report(waste=rows))).text
