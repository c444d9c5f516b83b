"""The page in a real browser, used as a person would use it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser import NEEDS_CHROMIUM, Scheme, chromium, watched_page
from tests.review.conftest import HOSTILE, REFUNDS, Opened, Session, build_run, grounded, kept_rows, session
from tests.review.test_decisions import judgement, record
from tunewell.clean import run as run_clean
from tunewell.engine import LocalEngine
from tunewell.recipe import Clean, Recipe
from tunewell.review.rows import read_rows, sampled
from tunewell.store import read_decisions, read_dropped, read_examples

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session for tests that judge nothing."""
    with session(build_run(tmp_path_factory.mktemp("shared"))) as running:
        yield running


class Reader:
    """A person before the page: sees what it shows, presses keys, waits until something has happened."""

    def __init__(self, browser: Browser, session: Session, *, width: int = 1280, scheme: Scheme = "light") -> None:
        self.troubles: list[str] = []
        own = "http://127.0.0.1:"
        self.page = watched_page(browser, self.troubles, own, width=width, height=800, scheme=scheme, offline=False)
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

    def close(self, *expected: str) -> None:
        """End the context; only troubles that hold one of these words may have come up."""
        assert [trouble for trouble in self.troubles if not any(words in trouble for words in expected)] == []
        self.page.context.close()

    @property
    def focus(self) -> str:
        """Id or name of the element that has the focus."""
        return str(self.page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.tagName"))

    @property
    def may_leave(self) -> bool:
        """Whether the page lets a person go without a question."""
        leave = "new Event('beforeunload', {cancelable: true})"
        return bool(self.page.evaluate(f"window.dispatchEvent({leave})"))

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


def test_rejected_rows_are_read_only(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
    reader.choose("outcome", "numbers")
    assert reader.text(".banner").split("\n")[0].startswith("numbers")
    assert reader.page.is_disabled("#reading .accept")
    before = reader.row
    for key in ("a", "m", "r"):
        reader.press(key)
        assert reader.row == before
        assert reader.text("#status") == "This row cannot be judged."
    assert reader.text("#progress") == "0 of 24 judged"
    reader.close()


def test_quotes_and_passages_light_each_other_up(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
    lit = "[...document.querySelectorAll('mark.lit')].map(mark => mark.textContent)"
    reader.page.hover(".quotes li:nth-child(2) button")
    assert reader.page.evaluate(lit) == ["the fee of the first payment is not returned"]
    reader.page.hover("mark >> nth=0")
    assert reader.page.inner_text(".quotes .lit q") == "Card refunds take five to ten business days, depending on the bank"
    assert reader.page.eval_on_selector_all("mark", "marks => marks.map(mark => mark.dataset.number)") == ["1", "2"]
    reader.close()


def test_hostile_rows_are_text_and_nothing_runs(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
    reader.page.fill("[name=text]", "<script>")
    reader.page.locator("#number", has_text="row 1 of 1").wait_for()
    said = reader.page.eval_on_selector_all("#row .message .said", "parts => parts.map(part => part.textContent)")
    assert said == [HOSTILE, HOSTILE]
    # Offsets count characters, and the emoji before them is one character but two units of JavaScript.
    marked = reader.page.eval_on_selector_all("mark", "marks => marks.map(mark => mark.textContent)")
    assert marked == [HOSTILE, "the words after it"]
    reader.press("Escape", "m")
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


def test_leaving_a_mended_text_keeps_it_and_an_unchanged_one_is_not_saved(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
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
    assert (reader.row, reader.text("#progress")) == (first, "0 of 24 judged")
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
    drawn = sampled(read_rows(run_folder / "2-generate"), 8, 0).ids
    record(run_folder / "review", *(judgement(row, "reject" if number == 6 else "accept") for number, row in enumerate(drawn)))
    session = opened(run_folder, "--sample", "8", "--reviewer", "bob")
    reader = Reader(browser, session)
    reader.press(*"aaaaaa", "r", "Enter", "a")
    assert reader.text("#status") == "Every row is judged."
    shown = reader.page.eval_on_selector_all("#figures span", "lines => lines.map(line => line.textContent)")
    rate = "error rate 0–53 % (1 of 8 rejected or mended, mean of 2 reviewers; 95 % interval)"
    assert shown[0] == f"reviewed 8 of 24, {rate}"
    assert shown[1].startswith("ann and bob agree on 8 of 8: Cohen’s κ 1.00 (95 % interval −")
    reader.close()
    assert session.stop().splitlines()[1:] == shown


def test_keys_typed_into_the_search_box_are_words_however_slowly_they_come(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
    reader.press("/")
    for number, key in enumerate("ar j"):
        reader.page.keyboard.type(key)
        # Longer than the page waits: each key finds the box after another search.
        reader.page.wait_for_timeout(260)
        reader.settle()
        assert (reader.focus, reader.page.input_value("[name=text]")) == ("text", "ar j"[: number + 1])
    assert reader.text("#progress") == "0 of 24 judged"
    assert reader.text("#row") == "No row fits this filter."
    reader.close()


def test_a_word_that_is_being_composed_is_left_alone(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
    keyboard = reader.page.context.new_cdp_session(reader.page)
    reader.press("/")
    keyboard.send("Input.imeSetComposition", {"text": "ti xian", "selectionStart": 7, "selectionEnd": 7})
    reader.page.wait_for_timeout(300)
    assert reader.text("#number") == "row 1 of 24", "nothing is searched yet"
    keyboard.send("Input.insertText", {"text": "提现"})
    reader.page.locator("#number", has_text="row 1 of 5").wait_for()
    assert (reader.focus, reader.page.input_value("[name=text]")) == ("text", "提现")
    reader.press("Escape", "m")
    # Safari ends a composition with a key that says so by its code alone.
    ends = "new KeyboardEvent('keydown', {key: 'Escape', keyCode: 229, bubbles: true})"
    reader.page.evaluate(f"document.activeElement.dispatchEvent({ends})")
    assert reader.page.evaluate("document.body.dataset.mode") == "mending"
    reader.close()


def test_two_tabs_do_not_overwrite_or_undo_each_other(browser: Browser, run_folder: Path, opened: Opened) -> None:
    session = opened(run_folder)
    reader = Reader(browser, session)
    first = reader.row
    other = reader.page.context.new_page()
    other.goto(session.address)
    other.wait_for_selector("body[data-row]:not(.busy)")
    reader.press("a", "k")
    other.keyboard.press("r")
    other.keyboard.press("Enter")
    other.locator("#status", has_text="This row stands otherwise by now").wait_for()
    assert (other.inner_text(".judgement"), other.inner_text("#progress")) == ("Accepted", "1 of 24 judged")
    other.keyboard.press("u")
    other.locator("#progress", has_text="0 of 24").wait_for()
    # Here it still reads accepted.
    reader.press("u")
    assert reader.text("#status").startswith("This row stands otherwise by now")
    assert (reader.row, reader.text("#progress")) == (first, "0 of 24 judged")
    assert read_decisions(run_folder / "review") == {}
    reader.close("409 (Conflict)")


def test_another_filter_does_not_push_a_failure_out_of_sight(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    first = reader.row
    reader.page.route("**/judge", lambda route: route.abort())
    reader.press("a")
    reader.page.wait_for_selector("#alert")
    assert reader.page.evaluate("[...document.querySelectorAll('.filters, main, footer')].every(part => part.inert)")
    assert not reader.may_leave
    # An event that was on its way already.
    reader.page.evaluate("document.querySelector('[name=language]').value = 'zh'")
    reader.page.dispatch_event("[name=language]", "input")
    reader.page.wait_for_timeout(100)
    assert reader.page.is_visible("#alert")
    reader.page.unroute("**/judge")
    reader.page.click("#alert button")
    reader.page.locator("#progress", has_text="1 of 24 judged").wait_for()
    reader.settle()
    assert list(read_decisions(run_folder / "review")) == [first]
    assert reader.text("#filter-progress") == "0 of 9 in this filter"
    assert reader.may_leave
    reader.close("ERR_FAILED")


def test_what_the_server_refuses_is_said_and_the_text_stays(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
    reader.page.route("**/judge", lambda route: route.fulfill(status=400, json={"error": "this is more than a row can hold"}))
    reader.press("m")
    reader.page.keyboard.type(" and more")
    reader.press("Control+Enter")
    assert reader.text("#status") == "Not saved: this is more than a row can hold"
    assert reader.page.is_hidden("#alert")
    assert reader.page.input_value(".message.assistant textarea").endswith(" and more")
    reader.close("400 (Bad Request)")


def test_a_mended_text_outlives_another_filter_and_a_second_thought(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    first = reader.row
    assert reader.may_leave
    reader.press("m")
    reader.page.keyboard.type(" and more")
    reader.choose("language", "zh")
    assert reader.row != first
    assert not reader.may_leave, "a text that is not saved keeps the page"
    reader.choose("language", "")
    assert (reader.row, reader.text(".draft")) == (first, "Your mended text is not saved yet. M goes on with it.")
    reader.page.click("#row")
    reader.press("m")
    assert reader.page.input_value(".message.assistant textarea").endswith(" and more")
    reader.press("Control+Enter", "k")
    assert reader.text(".judgement") == "Mended"
    assert reader.may_leave
    reader.press("a", "k", "u")
    assert (reader.row, reader.text(".judgement")) == (first, "Mended"), "what was mended counts again"
    assert reader.text(".message.assistant >> nth=0").endswith(" and more")
    reader.press("u")
    assert reader.page.query_selector(".judgement") is None
    reader.close()


def test_a_key_that_is_held_and_a_double_click_judge_one_row(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    reader.page.focus("#reading .accept")
    for _ in range(4):
        reader.page.keyboard.down("Enter")
        reader.page.wait_for_timeout(60)
        reader.settle()
    reader.page.keyboard.up("Enter")
    assert reader.text("#progress") == "1 of 24 judged"
    reader.page.click("#reading .accept", click_count=2, delay=60)
    reader.settle()
    assert reader.text("#progress") == "2 of 24 judged"
    assert reader.page.evaluate("document.activeElement.matches('.accept')"), "who works with the button stays on it"
    reader.close()


def test_keys_scroll_the_row_and_a_screen_reader_is_told_of_each(browser: Browser, run_folder: Path, opened: Opened) -> None:
    reader = Reader(browser, opened(run_folder))
    reader.page.set_viewport_size({"width": 1280, "height": 420})
    assert reader.focus == "row"
    assert reader.text("#announced").startswith("row 1 of 24. Unjudged. Document questions. How long does a card refund take")
    reader.page.keyboard.press("End")
    reader.page.wait_for_timeout(300)
    assert reader.page.evaluate("document.querySelector('#row').scrollTop") > 0
    reader.press("a")
    assert reader.text("#announced").startswith("row 2 of 24. Unjudged. Document questions. Can I stop a refund")
    assert reader.page.evaluate("document.querySelector('#row').scrollTop") == 0
    reader.press("r", "Escape")
    assert reader.focus == "row"
    assert reader.page.get_attribute("#source", "tabindex") == "0"
    reader.close()


def test_the_address_forgets_the_token_and_the_cookie_stays_on_its_path(browser: Browser, shared: Session) -> None:
    reader = Reader(browser, shared)
    address = shared.address.partition("?")[0]
    assert reader.page.url == f"{address}#"
    reader.page.reload()
    reader.settle()
    (cookie,) = reader.page.context.cookies()
    assert address.endswith(cookie["path"])
    assert cookie["path"] != "/"
    reader.close()


ARABIC, PERSIAN, FAMILY = "كم يستغرق رد المبلغ؟ Five days.", "می‌خواهم", "👩‍👧"
SNEAKY = "pay​ment ‮evil‬ a‍b[2J⁧﻿ 󠁁"


def test_line_breaks_directions_and_hidden_characters(browser: Browser, tmp_path: Path, opened: Opened) -> None:
    rows = [grounded(REFUNDS, f"{PERSIAN} {FAMILY}", ARABIC), grounded(REFUNDS, "Sneaky?\r\nYes.\r", SNEAKY)]
    reader = Reader(browser, opened(build_run(tmp_path / "odd", rows)))
    directions = "[...document.querySelectorAll('#row .message .said')].map(text => getComputedStyle(text).direction)"
    marks = "[...document.querySelectorAll('#row .unseen')].map(mark => mark.dataset.code)"
    assert (reader.page.evaluate(directions), reader.page.evaluate(marks)) == (["rtl", "rtl"], [])
    assert reader.page.text_content(".message.user .said") == f"{PERSIAN} {FAMILY}"
    reader.press("j")
    assert reader.page.evaluate(directions) == ["ltr", "ltr"]
    codes = ["U+000D", "U+200B", "U+202E", "U+202C", "U+200D", "U+001B", "U+2067", "U+FEFF", "U+E0041"]
    assert reader.page.evaluate(marks) == codes
    assert reader.page.text_content(".message.assistant .said") == "payment evil ab[2J "
    reader.press("m", "Control+Enter")
    assert reader.text("#status") == "Nothing has changed. Accept the row, or leave with Esc."
    reader.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_the_page_fits_and_needs_no_keyboard(
    browser: Browser, run_folder: Path, opened: Opened, tmp_path: Path, width: int, scheme: Scheme
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
