from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.generate.chunks import BUDGET, chunks
from tunewell.records import Document
from tunewell.text import language


def _section(text: str, start: int = 100) -> Document:
    return Document("s", "docs/a.md", "Fees > Cards", text, start, start + len(text), language(text))


def _cut(text: str) -> list[str]:
    return [chunk.text for chunk in chunks([_section(text)])]


_PIECES = st.sampled_from(
    [
        "一二三四五六七八九十。" * 20,
        "Words of a sentence. " * 9,
        "\n\n",
        "\n",
        "```\n",
        "| a | b |\n",
        "- item\n",
        "x" * 700,
        "　",
        " ",
        "①",
    ]
)


@settings(deadline=None)
@given(st.lists(st.one_of(_PIECES, st.text(max_size=30)), max_size=40).map("".join))
def test_chunks_hold_the_section_but_for_blank_space(text: str) -> None:
    section = _section(text)
    found = list(chunks([section]))
    gaps = []
    place = section.start
    for chunk in found:
        assert chunk.text == text[chunk.start - section.start : chunk.end - section.start]
        assert 0 < len(chunk.text) <= max(BUDGET.values())
        assert chunk.text == chunk.text.strip()
        gaps.append(text[place - section.start : chunk.start - section.start])
        place = chunk.end
    gaps.append(text[place - section.start :])
    assert "".join(gaps).strip() == ""
    assert len({chunk.id for chunk in found}) == len(found)


def test_a_short_section_is_one_chunk_with_the_place_of_its_text() -> None:
    (chunk,) = chunks([_section("\n费率为 0.6%。\n", start=40)])
    assert (chunk.text, chunk.start, chunk.end, chunk.heading, chunk.language) == ("费率为 0.6%。", 41, 50, "Fees > Cards", "zh")
    assert (chunk.path, len(chunk.id)) == ("docs/a.md", 16)


def test_the_id_hangs_on_path_and_span_alone() -> None:
    (one,) = chunks([_section("Refunds are free.")])
    (other,) = chunks([_section("Refunds cost 1 $!")])
    (moved,) = chunks([_section("Refunds are free.", start=7)])
    assert one.id == other.id != moved.id


@pytest.mark.parametrize(
    ("sentence", "code"), [("退款需要五个工作日才能到账。", "zh"), ("A refund takes five business days. ", "en")]
)
def test_the_budget_goes_by_language_and_long_paragraphs_are_cut_at_sentences(sentence: str, code: str) -> None:
    found = _cut(sentence * 300)
    assert all(len(chunk) <= BUDGET[code] for chunk in found)
    assert all(len(chunk) > BUDGET[code] - 2 * len(sentence) for chunk in found[:-1])
    assert all(chunk.endswith(sentence.strip()) for chunk in found)


def test_paragraphs_are_kept_whole_where_they_fit() -> None:
    paragraphs = [f"{number} " + "word " * 150 for number in range(9)]
    assert _cut("\n\n".join(paragraphs)) == ["\n\n".join(paragraphs[place : place + 3]).strip() for place in (0, 3, 6)]


def test_a_table_is_cut_between_rows_and_a_list_between_items() -> None:
    rows = [f"| fee {number} | {'text; and. ' * 9} |" for number in range(60)]
    items = [f"- fee {number}: {'text. More ' * 9}" for number in range(60)]
    for lines in (rows, items):
        found = _cut("\n".join(lines))
        assert len(found) > 2
        assert [line.strip() for chunk in found for line in chunk.split("\n")] == [line.strip() for line in lines]


def _code(lines: int) -> str:
    return "```python\n" + "".join(f"value_{number} = 1  # a. b; c\n\n" for number in range(lines)) + "```"


def test_a_block_of_code_is_kept_whole_with_its_blank_lines() -> None:
    assert _code(40) in _cut(f"{'Word. ' * 380}\n\n{_code(40)}\n\nAfter it.")[1]


def test_a_block_of_code_that_alone_is_too_long_is_cut_between_lines() -> None:
    found = _cut(_code(200))
    assert len(found) > 1
    assert [line for chunk in found for line in chunk.split("\n") if line] == [line for line in _code(200).split("\n") if line]


def test_a_text_without_any_place_to_cut_is_cut_at_the_budget() -> None:
    assert [len(chunk) for chunk in _cut("x" * 5000)] == [2400, 2400, 200]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("见 [说明](https://example.com/a/b/c/d/e/f/g)，或 `bin/run.sh --all`。", "zh"),
        ("```\nselect a from b\n```", "en"),
        ("12 + 7", ""),
    ],
)
def test_code_and_links_do_not_decide_the_language(text: str, code: str) -> None:
    (chunk,) = chunks([_section(text)])
    assert chunk.language == code


def test_sections_are_read_one_after_the_other() -> None:
    def sections() -> Iterator[Document]:
        yield _section("First.")
        raise AssertionError("the second section was read before the first was cut")

    assert next(iter(chunks(sections()))).text == "First."


def test_small_and_empty_sections() -> None:
    assert _cut("Ok") == ["Ok"]
    assert _cut(" \n ") == []
