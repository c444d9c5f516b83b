"""How often the checks err on published questions, answers and rewordings, which are right by the word of people."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewell.generate.checks import locate, meta_reference, same_numbers, thin_quotes, unsupported
from tunewell.generate.polarity import same_polarity

_SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def _read(*parts: str) -> str:
    path = _SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path.relative_to(_SHARED.parent)} is not beside this repository")
    return path.read_text(encoding="utf-8")


def _asked(code: str) -> list[tuple[str, dict[str, Any]]]:
    articles = json.loads(_read("xquad", f"xquad.{code}.json"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    return [(paragraph["context"], asked) for paragraph in paragraphs for asked in paragraph["qas"]]


# One answer was cut in the middle of a number, one before its 万; one question says "the text" by mistake.
@pytest.mark.parametrize(
    ("code", "cut", "pointing"), [("en", "7,000,000 square kilometres (2,70", ["does the text say"]), ("zh", "3000", [])]
)
def test_answers_out_of_a_text_are_supported_by_it(code: str, cut: str, pointing: list[str]) -> None:
    asked = _asked(code)
    answers = [(question["answers"][0]["text"], context) for context, question in asked]
    assert len(answers) == 1190
    assert [answer for answer, context in answers if unsupported(answer, context)] == [cut]
    assert all(locate(answer, context) for answer, context in answers)
    assert not any(thin_quotes([context[:40]], context) for _, context in answers)
    assert [found for _, question in asked if (found := meta_reference(question["question"]))] == pointing


def test_rewordings_that_mean_the_same_seldom_seem_to_contradict() -> None:
    rows = [json.loads(line) for line in _read("paws_x_zh", "test.afqmc.jsonl").splitlines()]
    pairs = [(row["sentence1"], row["sentence2"]) for row in rows if row["label"] == "1"]
    assert len(pairs) == 419
    assert sum(not same_polarity(*pair) for pair in pairs) <= 11
    assert sum(not same_numbers(*pair) for pair in pairs) <= 3
