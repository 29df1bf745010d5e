"""The page in a real browser: fits every width, reads in both schemes, works with a keyboard, has no axe finding.

Needs Chromium or Chrome on PATH; `make test-browser` runs it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.report import render_report
from tests.flows.report.sample import sample_report
from tests.flows.report.test_page import hostile

pytestmark = pytest.mark.browser
WIDTHS = (320, 390, 768, 1280)
OVERFLOWING = """() => [...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    && !e.closest('[tabindex], .card.flush, .tables .card'))
  .map(e => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path is not None, "no Chromium on PATH: install chromium, or Chrome"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    written = {"plain": sample_report(), "hostile": hostile(sample_report()), "empty": sample_report(
        features=(), forecast=None, incidents=(), coverage=None, waste=(), queries=())}  # fmt: skip
    for name, data in written.items():
        (folder / f"{name}.html").write_text(render_report(data), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in written}


@pytest.mark.parametrize("name", ["plain", "hostile", "empty"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_loads_nothing_and_has_no_accessibility_finding(
    browser: Any, pages: dict[str, Path], name: str, scheme: str, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.goto(pages[name].as_uri())
    assert asked == [pages[name].as_uri()]
    assert said == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(OVERFLOWING) == []
    violations = Axe().run(tab).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == []
    context.close()


def test_the_keyboard_reaches_the_report_first_and_everything_that_scrolls(
    browser: Any, pages: dict[str, Path]
) -> None:
    tab = browser.new_page(viewport={"width": 390, "height": 800})
    tab.goto(pages["plain"].as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#main"
    scrolling = tab.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.scrollWidth > e.clientWidth + 1 "
        "&& ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tabIndex < 0).length"
    )
    assert scrolling == 0
    tab.close()


def test_it_prints_without_cutting_a_card(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    tab = browser.new_page()
    tab.goto(pages["plain"].as_uri())
    pdf = tab.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 10_000
    tab.close()
