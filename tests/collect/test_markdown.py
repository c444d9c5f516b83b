"""Sections, their heading paths and exact spans, and questions among headings."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.collect.markdown import is_question, sections, whole

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


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("## 多久到账？\n\n第二天。", True),
        ("## How?\n\nSo:\n\n- like this\n- and that", True),
        ("## Standard or instant?\n\n| a | b |\n|---|---|", False),
        ("## How?\n\nRun\n```\nx\n```", False),
        ("## How?\n\n![how](how.png) so", False),
        ("## How?\n\n<table>x</table>", False),
        ("## How\n\nSo.", False),
    ],
)
def test_a_question_heading_is_answered_by_plain_text(page: str, expected: bool) -> None:
    (section,) = sections(page)
    assert is_question(section) is expected


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
