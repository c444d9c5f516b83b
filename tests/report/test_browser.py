"""The page in a real browser, without a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import NEEDS_CHROMIUM, Scheme, chromium, watched_page
from tests.report.conftest import Reported

CHARTS = {"forest", "learning", "brittleness", "constraints", "leakage", "gap", "loss", "funnel", "histogram", "cost"}
CHARTS |= {"generated_doc2qa", "generated_paraphrase"}

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def open_report(browser: Browser, report: Reported, troubles: list[str], *, width: int, scheme: Scheme) -> Page:
    page = watched_page(browser, troubles, "file:", width=width, height=900, scheme=scheme, offline=True)
    page.goto((report.folder / "report.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=30_000)
    return page


@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 1280, "light"), ("zh", 390, "dark")])
def test_page_is_drawn_without_network_or_errors(
    browser: Browser, reported: Reported, reported_zh: Reported, tmp_path: Path, language: str, width: int, scheme: Scheme
) -> None:
    troubles: list[str] = []
    report = reported if language == "en" else reported_zh
    page = open_report(browser, report, troubles, width=width, scheme=scheme)
    assert troubles == []
    drawn = page.eval_on_selector_all(".chart svg", "charts => charts.map(svg => svg.closest('.chart').id.slice(6))")
    assert set(drawn) == CHARTS
    marks = page.eval_on_selector_all(".chart", "charts => charts.map(chart => chart.querySelectorAll('path, text').length)")
    assert min(marks) > 5
    assert page.evaluate("document.documentElement.scrollWidth") == width, "the page scrolls sideways"
    assert page.title() == next(report.page.root.find("title")).text
    screenshot = tmp_path / f"{language}-{width}.png"
    page.screenshot(path=screenshot, full_page=True)
    assert screenshot.stat().st_size > 50_000
    page.context.close()


def test_charts_follow_the_theme_and_fit_the_paper(browser: Browser, reported: Reported) -> None:
    page = open_report(browser, reported, [], width=1280, scheme="dark")
    colour = "getComputedStyle(document.querySelector('#chart-loss path[stroke=\"var(--tuned)\"]')).stroke"
    dark = page.evaluate(colour)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(colour)
    assert dark != light
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(colour) == light, "paper is white, whatever the screen was"
    page.context.close()


def test_policy_stops_a_script_that_is_not_the_pages_own(browser: Browser, reported: Reported) -> None:
    troubles: list[str] = []
    page = open_report(browser, reported, troubles, width=1280, scheme="light")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">')")
    page.evaluate("const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s)")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked === undefined")
    assert any("Content Security Policy" in trouble for trouble in troubles)
    page.context.close()
