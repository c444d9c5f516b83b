"""Answers, quotes and questions with the verdict that is right: in each table, what holds stands beside what only looks like it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunewell.generate.checks import is_refusal, meta_reference, unsupported, whole_passage
from tunewell.generate.polarity import same_polarity

_TABLES: dict[str, list[list[Any]]] = yaml.safe_load(Path(__file__).with_name("check_verdicts.yaml").read_text(encoding="utf-8"))

_CHECKS: dict[str, Callable[..., bool]] = {
    "supported": lambda answer, source: not unsupported(answer, source),
    "same_polarity": lambda one, other: same_polarity(one, other) and same_polarity(other, one),
    "meta_reference": lambda question: bool(meta_reference(question)),
    "refusal": is_refusal,
    "whole_passage": lambda quote, source: whole_passage(quote, source) is not None,
}


@pytest.mark.parametrize("name", _CHECKS)
def test_each_verdict_is_right(name: str) -> None:
    rows = _TABLES[name]
    assert {row[-1] for row in rows} == {True, False}
    assert [row for row in rows if _CHECKS[name](*row[:-1]) is not row[-1]] == []


# A check may take longer with more text, though not much longer than in proportion: 10 times the text, at most 40 times the time.
_PIECES = [
    *(
        "one thousand ",
        '"a',
        "“a”",
        "9",
        "1,",
        "1亿",
        "亿",
        "一",
        "1. ",
        "a.b.",
        "the ",
        "\u0301\u0323",
        "3月5日",
        "第一条",
        "1/3",
        "不",
        "没有资料",
    ),
]


@pytest.mark.parametrize("piece", _PIECES)
def test_time_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        begin = time.process_time()
        unsupported(text, text)
        is_refusal(text)
        meta_reference(text)
        whole_passage("可以退货", text)
        same_polarity(text, "可以退货。")
        return time.process_time() - begin

    seconds(100)
    assert seconds(100_000) <= 40 * max(seconds(10_000), 0.01)


@pytest.mark.parametrize(
    "text", [f"{'9' * 4301} and a half hours", f"{'9' * 1_000_001} million", f"1{'亿' * 130_000}", "\ud800 5 \udc00天"]
)
def test_a_number_beyond_all_measure_is_read(text: str) -> None:
    assert unsupported(text, "nothing")
    assert unsupported(text, text) == []
