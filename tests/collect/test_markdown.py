"""Sections, their heading paths and exact spans, and questions among headings."""

import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tunewell
from tunewell.collect.markdown import sections, whole
from tunewell.collect.questions import QuestionAnswer, is_faq, question_answer

_SHARED = Path(__file__).parents[2].parent / "shared" / "data"
_SUPPORT = Path(tunewell.__file__).parent / "assets" / "support"

_PAGE = """\
---
title: Payouts
---
Before any heading.

# Payouts #

## Cut-off time {#cut-off}

At **18:00**.

```sh
# no heading
## none either
```

### When is [payout](x.md)?

The next business day.

## Empty

<!-- nothing yet -->

![picture](x.png)

Fees
----

1. None
~~~~
# still code
~~~
~~~~
Terms
=====
See `the` page.
Two lines
are no heading
---
"""


def test_sections_have_their_heading_paths() -> None:
    found = {part.heading: part.text for part in sections(_PAGE)}
    assert list(found) == [
        "",
        "Payouts > Cut-off time",
        "Payouts > Cut-off time > When is payout?",
        "Payouts > Fees",
        "Terms",
    ]
    assert found[""] == "Before any heading."
    assert found["Payouts > Cut-off time"].endswith("## none either\n```")
    assert found["Payouts > Fees"] == "1. None\n~~~~\n# still code\n~~~\n~~~~"
    assert found["Terms"].endswith("are no heading\n---")


_MARKDOWN = st.lists(
    st.sampled_from(["# A\n", "## B?\n", "text\n", "\n", "```\n", "~~~~\n", "---\n", "===\n", "  乙？ \n", "x: y\n", "\u2028"])
)


@given(_MARKDOWN.map("".join))
def test_the_text_of_a_section_is_the_span_of_the_document(document: str) -> None:
    end = 0
    for part in [*sections(document), *whole(document)][: len(list(sections(document)))]:
        assert document[part.start : part.end] == part.text == part.text.strip() != ""
        assert part.start >= end
        end = part.end
    for part in whole(document):
        assert document[part.start : part.end] == part.text


def _pairs(page: str) -> list[QuestionAnswer]:
    parts = list(sections(page))
    found = (question_answer(part, in_faq=is_faq(parts)) for part in parts)
    return [pair for pair in found if pair is not None]


@pytest.mark.parametrize(
    "page",
    [
        "## Standard or instant?\n\n| a | b |\n|---|---|",
        "## How?\n\nRun\n```\nx\n```",
        "## How?\n\n![how](how.png) so",
        "## How?\n\n<table>x</table>",
        "## How\n\nSo.",
        "## How to apply\n\nSo.",
        "## What is new\n\n- this",
        "## What's new?\n\n- this",
        "## Need more help?\n\nCall us.",
        "# FAQ\n## Fees\n1 %",
        "# FAQ\n## How to call it\n```\nx\n```",
        "# FAQ\n## What is new\n- this",
        "## Q1: Results\n\nTurnover rose.",
        "## 问：\n\n答：好",
        "## Q: How?\n\nA:\n\n![so](so.png)",
        "Q: no answer\nB: none",
        "```\nQ: code\nA: code\n```",
    ],
)
def test_no_pair(page: str) -> None:
    assert _pairs(page) == []


@pytest.mark.parametrize(
    ("page", "question", "answer"),
    [
        ("## 多久到账？\n\n第二天。", "多久到账？", "第二天。"),
        ("## How?\n\nSo:\n\n- like this\n- and that", "How?", "So:\n\n- like this\n- and that"),
        ("## How?\n\nSo.\n\n---\n* * *\n", "How?", "So."),
        ("## 1. How do I pay?\nBy card.", "How do I pay?", "By card."),
        ("## 1.2) How do I pay?\nBy card.", "How do I pay?", "By card."),
        ("## 三、怎么付款？\n刷卡。", "怎么付款？", "刷卡。"),
        ("## 3D Secure 是什么？\n验证。", "3D Secure 是什么？", "验证。"),
        ("## 1.5 倍速怎么开？\n点按钮。", "1.5 倍速怎么开？", "点按钮。"),
        ("## Q: How to pay\nBy card.", "How to pay", "By card."),
        ("## Q2. How do I pay?\nBy card.", "How do I pay?", "By card."),
        ("## 问：怎么付款\n\n答： 刷卡。", "怎么付款", "刷卡。"),
        ("## Q ： Fees\nA ： 1 %", "Fees", "1 %"),
        ('## Q: Alarm\n<p align="center">\n<img src="a.png"/>\n</p>\nA: Run\n```\nx\n```', "Alarm", "Run\n```\nx\n```"),
        ("## Q: Alarm\nA: See\n\n![so](so.png)\n\nand wait.", "Alarm", "See\n\nand wait."),
        ("**Q: How?**\nA: So.", "How?", "So."),
        ("**Q:** How?\n\n**A:** So.", "How?", "So."),
        ("**Q: How?**\n**A: So.**", "How?", "So."),
        ("Q1：怎么付款\n答：刷卡。", "怎么付款", "刷卡。"),
        ("# FAQ\n## How to pay\nBy card.", "How to pay", "By card."),
        ("# 常见问题\n## 能提现吗\n能。", "能提现吗", "能。"),
        ("# Frequently asked questions\n## 2) Can I pay later\nNo.", "Can I pay later", "No."),
    ],
)
def test_a_pair(page: str, question: str, answer: str) -> None:
    (pair,) = _pairs(page)
    assert (pair.question, pair.answer) == (question, answer)
    assert page[pair.start : pair.end].replace("**", "").startswith(answer[:3])
    assert page[: pair.start].count(question.split()[0]) >= 1


def test_questions_in_bold_lines_are_sections_of_their_own() -> None:
    page = "## Money\nBefore.\n\n**Q: One?**\nA: First.\n\nStill first.\n\n**Q: Two?**\n\nA: Second.\n## End\nText."
    assert [(pair.question, pair.answer) for pair in _pairs(page)] == [("One?", "First.\n\nStill first."), ("Two?", "Second.")]
    assert [part.heading for part in sections(page)] == ["Money", "Money > Q: One?", "Money > Q: Two?", "End"]


def test_words_ask_where_most_of_the_page_asks() -> None:
    page = "## Fees?\na1\n## Payout?\na2\n## Refund?\na3\n## How to pay\nBy card.\n"
    assert [pair.question for pair in _pairs(page)] == ["Fees?", "Payout?", "Refund?", "How to pay"]
    assert [pair.question for pair in _pairs(page + "## Terms\nb\n## Contact\nc\n")] == ["Fees?", "Payout?", "Refund?"]


@pytest.mark.parametrize(("language", "count"), [("en", 58), ("zh", 57)])
def test_all_pairs_of_a_published_page(language: str, count: int) -> None:
    path = _SHARED / "docs_dolphinscheduler" / language / "faq.md"
    if not path.exists():
        pytest.skip("docs_dolphinscheduler is not beside this repository")
    pairs = _pairs(path.read_text(encoding="utf-8"))
    assert len(pairs) == count
    assert not any(pair.question.startswith(("Q", ":", "：")) or pair.answer.startswith(("A:", "A：", ":")) for pair in pairs)
    assert not any(pair.answer.endswith("---") or "<img" in pair.answer or "![" in pair.answer for pair in pairs)
    others = [file for file in path.parent.glob("*.md") if file != path]
    assert [file.name for file in others if _pairs(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(("language", "count"), [("en", 51), ("zh", 27)])
def test_the_pairs_of_the_bundled_pages(language: str, count: int) -> None:
    pages = [path.read_text(encoding="utf-8") for path in sorted((_SUPPORT / language / "pages").glob("*.md"))]
    pairs = [(page, pair) for page in pages for pair in _pairs(page)]
    assert len(pairs) == count
    assert all(page[pair.start : pair.end] == pair.answer for page, pair in pairs)


@given(_MARKDOWN.map("".join))
def test_the_span_of_a_pair_lies_in_its_section(document: str) -> None:
    for part in sections(document):
        pair = question_answer(part, in_faq=True)
        assert pair is None or part.start <= pair.start < pair.end <= part.end


@pytest.mark.parametrize(
    "unit", ["<!--", "![", "[", "](", "a \n\n", "# " + " " * 1000, "<p ", "**Q: ", "Q: a\n", "|\n", "{#", "- - ", "1.1.", "\n", "`"]
)
def test_repeated_marks_take_no_time(unit: str) -> None:
    page = "# FAQ?\n# What " + unit * (200_000 // len(unit)) + "\nx\nA: " + unit * (200_000 // len(unit)) + "x"
    start = time.perf_counter()
    _pairs(page)
    assert time.perf_counter() - start < 2


def test_heading_levels_may_be_skipped_and_repeated() -> None:
    page = textwrap.dedent(
        """\
        ### Deep
        a
        # Top
        ### Deep
        b
        ## Mid
        c
        """
    )
    assert [(part.heading, part.text) for part in sections(page)] == [("Deep", "a"), ("Top > Deep", "b"), ("Top > Mid", "c")]
