"""The page in a real browser, used as a person would use it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.review.conftest import HOSTILE, Opened, Session, kept_rows
from tunewell.clean import run as run_clean
from tunewell.engine import LocalEngine
from tunewell.recipe import Clean, Recipe
from tunewell.store import read_decisions, read_dropped, read_examples

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on the PATH: apt-get install chromium"),
    pytest.mark.enable_socket,
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Reader:
    """A person before the page: sees what it shows, presses keys, waits until something has happened."""

    def __init__(self, browser: Browser, session: Session, *, width: int = 1280, scheme: str = "light") -> None:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
        )
        self.troubles: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on(
            "request", lambda request: None if request.url.startswith("http://127.0.0.1:") else self.troubles.append(request.url)
        )
        self.page.goto(session.address)
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector("body[data-row]:not(.busy)")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.settle()

    def choose(self, name: str, value: str) -> None:
        self.page.select_option(f"[name={name}]", value)
        self.page.wait_for_timeout(30)
        self.settle()

    def close(self) -> None:
        assert self.troubles == []
        self.page.context.close()

    @property
    def row(self) -> str:
        return str(self.page.evaluate("document.body.dataset.row"))

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)


def cleaned(run: Path) -> Path:
    settings = Recipe(clean=Clean(novelty=1, skip=["superseded", "echo", "control_tokens", "contradiction"])).part("clean")
    inputs = {"collect": run / "1-collect", "generate": run / "2-generate", "review": run / "review"}
    run_clean(settings, inputs, run / "3-clean", engine=LocalEngine(1))
    return run / "3-clean"


def test_twenty_rows_by_keyboard_then_a_reload_then_clean(browser: Browser, run_folder: Path, opened: Opened) -> None:
    session = opened(run_folder)
    reader = Reader(browser, session)
    rows = kept_rows()
    assert reader.row == rows[0].id
    expected: dict[str, Any] = {}
    for number in range(20):
        row = rows[number]
        assert reader.row == row.id, f"row {number}"
        if number % 5 == 3:
            reader.press("m")
            reader.page.keyboard.press("End")
            reader.page.keyboard.type(" ajru?")
            reader.press("Control+Enter")
            expected[row.id] = ("mend", f"{row.answer} ajru?")
        elif number % 5 == 4:
            reader.press("r")
            reader.page.keyboard.type("a mistake, in jargon")
            reader.press("Enter")
            expected[row.id] = ("reject", "a mistake, in jargon")
        else:
            reader.press("a")
            expected[row.id] = ("accept", "")
    assert reader.text("#progress") == "20 of 24 judged"
    assert "Accepted 12" in reader.text("#split")
    # The last one was a slip: undo brings it back, and it is rejected without a note instead.
    reader.press("u")
    assert reader.row == rows[19].id
    assert reader.text("#progress") == "19 of 24 judged"
    reader.press("r", "Enter")
    expected[rows[19].id] = ("reject", "")
    assert reader.row == rows[20].id

    reader.page.reload()
    reader.settle()
    assert reader.row == rows[20].id, "a reload goes on at the first unjudged row"
    assert reader.text("#progress") == "20 of 24 judged"
    reader.press("k")
    assert reader.text(".judgement") == "Rejected"
    reader.press("ArrowLeft")
    assert "ajru?" in reader.text(".message.assistant")
    reader.close()
    session.stop()

    decisions = read_decisions(run_folder / "review")
    said = {row: (one.verdict, one.messages[-1].content if one.messages else one.note) for row, one in decisions.items()}
    assert said == expected
    folder = cleaned(run_folder)
    dropped = {row.example.id: (row.reason, row.detail) for row in read_dropped(folder / "dropped")}
    assert dropped == {
        row: ("rejected", f"ann: {note}" if note else "ann") for row, (verdict, note) in expected.items() if verdict == "reject"
    }
    kept = {row.id: row for row in read_examples(folder / "examples") if row.id in {one.id for one in rows}}
    assert len(kept) == 20
    mended = {row: text for row, (verdict, text) in expected.items() if verdict == "mend"}
    assert {row.id: row.answer for row in kept.values() if row.evidence.get("mended")} == mended
    assert json.loads((folder / "funnel.json").read_text())["mended"] == len(mended) == 4


def test_a_filter_is_used_and_survives_a_reload(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder, "--reviewer", "王芳", "--lang", "zh"))
    assert "审核人 王芳" in reader.text("header")
    reader.choose("language", "zh")
    assert reader.text("#number") == "第 1 / 9 条"
    reader.press("a", "a")
    assert reader.text("#filter-progress") == "此筛选 2 / 9 条"
    reader.page.reload()
    reader.settle()
    assert reader.text("#number") == "第 3 / 9 条"
    reader.choose("state", "accepted")
    assert reader.text("#number") == "第 1 / 2 条"
    reader.press("j", "j")
    assert reader.text("#status") == "已是最后一条。"
    reader.page.click("#clear")
    reader.page.wait_for_timeout(50)
    reader.settle()
    assert reader.text("#number") == "第 1 / 24 条"
    reader.press("/")
    reader.page.keyboard.type("PARTIAL refund")
    reader.page.locator("#number", has_text="第 1 / 3 条").wait_for()
    reader.press("Escape", "a")
    assert reader.text("#filter-progress") == "此筛选 1 / 3 条", "after Esc keys judge again"
    reader.close()


def test_rejected_rows_are_read_only(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    reader.choose("outcome", "numbers")
    assert reader.text(".banner").split("\n")[0].startswith("numbers")
    assert reader.page.is_disabled("#reading .accept")
    before = reader.row
    for key in ("a", "m", "r"):
        reader.press(key)
        assert reader.row == before
        assert reader.text("#status") == "This row cannot be judged."
    assert read_decisions(run_folder / "review") == {}
    reader.close()


def test_quotes_and_passages_light_each_other_up(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    lit = "[...document.querySelectorAll('mark.lit')].map(mark => mark.textContent)"
    reader.page.hover(".quotes li:nth-child(2) button")
    assert reader.page.evaluate(lit) == ["the fee of the first payment is not returned"]
    reader.page.hover("mark >> nth=0")
    assert reader.page.inner_text(".quotes .lit q") == "Card refunds take five to ten business days, depending on the bank"
    assert reader.page.eval_on_selector_all("mark", "marks => marks.map(mark => mark.dataset.number)") == ["1", "2"]
    reader.close()


def test_hostile_rows_are_text_and_nothing_runs(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    reader.page.fill("[name=text]", "<script>")
    reader.page.locator("#number", has_text="row 1 of 1").wait_for()
    said = reader.page.eval_on_selector_all("#row .message .said", "parts => parts.map(part => part.textContent)")
    assert said == [HOSTILE, HOSTILE]
    # Offsets count characters, and the emoji before them is one character but two units of JavaScript.
    marked = reader.page.eval_on_selector_all("mark", "marks => marks.map(mark => mark.textContent)")
    assert marked == [HOSTILE, "the words after it"]
    reader.press("m")
    assert reader.page.input_value(".message.assistant textarea") == HOSTILE
    reader.press("Escape")
    assert reader.page.evaluate("window.hacked === undefined && document.title !== 'hacked'")
    assert reader.page.evaluate("document.querySelectorAll('#row script, #row img, #source img, main b b').length") == 0
    assert reader.troubles == []
    # Should a slip of ours ever make markup of a text, the browser refuses.
    assert (
        reader.page.evaluate("(() => { try { document.body.innerHTML = '<b>x</b>' } catch (error) { return error.name } })()")
        == "TypeError"
    )
    reader.page.context.close()


def test_leaving_a_mended_text_keeps_it_and_an_unchanged_one_is_not_saved(
    browser: Browser, run_folder: Path, opened: Opened
) -> None:
    reader = Reader(browser, opened(run_folder))
    first = reader.row
    reader.press("m", "Control+Enter")
    assert reader.text("#status") == "Nothing has changed. Accept the row, or leave with Esc."
    reader.page.keyboard.type(" and more")
    reader.press("Escape")
    assert "and more" not in reader.text("#row")
    reader.press("m")
    assert "and more" in reader.page.input_value(".message.assistant textarea")
    reader.page.fill(".message.assistant textarea", " ")
    reader.press("Control+Enter")
    assert reader.text("#status") == "A message is empty. Write what should stand there, or reject the row."
    reader.press("Escape", "r")
    reader.page.keyboard.type("jam")
    reader.press("Escape")
    assert (reader.row, read_decisions(run_folder / "review")) == (first, {})
    reader.close()


def test_a_failure_to_save_is_shown_and_blocks_going_on(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    first = reader.row
    reader.page.route("**/judge", lambda route: route.abort())
    reader.press("a")
    reader.page.wait_for_selector("#alert")
    assert reader.text("#alert").startswith("Not saved: the server does not answer. Is `tunewell review` still running?")
    reader.press("j", "a", "r")
    assert reader.row == first
    assert reader.text("#progress") == "0 of 24 judged"
    reader.page.unroute("**/judge")
    reader.page.click("#alert button")
    reader.page.wait_for_selector("#alert", state="hidden")
    reader.page.wait_for_selector(f"body:not([data-row='{first}']):not(.busy)")
    assert list(read_decisions(run_folder / "review")) == [first]
    assert [trouble for trouble in reader.troubles if "ERR_FAILED" not in trouble] == []
    reader.page.context.close()


def test_a_sample_shows_its_error_rate_and_two_reviewers_their_agreement(
    browser: Browser, run_folder: Path, opened: Opened
) -> None:
    for name in ("ann", "bob"):
        session = opened(run_folder, "--sample", "8", "--reviewer", name)
        reader = Reader(browser, session)
        reader.press(*"aaaaaa", "r", "Enter", "a")
        assert reader.text("#status") == "Every row is judged."
        shown = reader.page.eval_on_selector_all("#figures span", "lines => lines.map(line => line.textContent)")
        assert shown[0] == "reviewed 8 of 24, error rate 0–53 % (1 of 8 rejected or mended; exact 95 % interval)"
        reader.close()
        printed = session.stop().splitlines()
        assert printed[1:] == shown
    assert shown[1].startswith("ann and bob agree on 8 of 8: Cohen’s κ 1.00 (95 % interval −")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_the_page_fits_and_needs_no_keyboard(
    browser: Browser, run_folder: Path, opened: Opened, tmp_path: Path, width: int, scheme: str
) -> None:
    reader = Reader(browser, opened(run_folder), width=width, scheme=scheme)
    assert reader.page.evaluate("document.documentElement.scrollWidth") == width, "the page scrolls sideways"
    reader.page.click("#reading .accept")
    reader.settle()
    reader.page.click("#reading .mend")
    reader.page.fill(".message.assistant textarea", "Mended by hand.")
    reader.page.click("#mending .mend")
    reader.settle()
    reader.page.click("#reading .reject")
    reader.page.click("#note-form .reject")
    reader.settle()
    assert [one.verdict for one in read_decisions(run_folder / "review").values()] == ["accept", "mend", "reject"]
    reader.page.click("[data-act=previous]")
    reader.settle()
    reader.page.click("[data-act=undo]")
    reader.settle()
    assert len(read_decisions(run_folder / "review")) == 2
    reader.page.click("#help-button")
    assert reader.page.is_visible("#help dl")
    reader.press("Escape")
    assert reader.page.is_hidden("#help dl")
    reader.page.screenshot(path=tmp_path / "page.png")
    reader.close()
