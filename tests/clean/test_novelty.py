"""The novelty filter against a slow reference in plain Python: the same rows must be kept, not nearly the same."""

import json
import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.clean import novelty
from tunewell.clean.novelty import Match, NearIndex, NoveltyFilter, novel
from tunewell.text import normalise, tokens

ALPACA = Path(__file__).parents[3] / "shared" / "data" / "alpaca_demo"


def lcs(left: Sequence[str], right: Sequence[str]) -> int:
    row = [0] * (len(right) + 1)
    for token in left:
        diagonal = 0
        for column, other in enumerate(right, 1):
            above = row[column]
            row[column] = diagonal + 1 if token == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]


def is_near(left: str, right: str, threshold: Fraction) -> bool:
    first, second = tokens(left), tokens(right)
    if not first or not second:
        return not first and not second and normalise(left) == normalise(right) and threshold < 1
    return 2 * lcs(first, second) * threshold.denominator > threshold.numerator * (len(first) + len(second))


def reference(questions: Sequence[str], threshold: str = "0.7") -> list[int]:
    kept: list[int] = []
    for place, question in enumerate(questions):
        if not any(is_near(question, questions[other], Fraction(threshold)) for other in kept):
            kept.append(place)
    return kept


def word_salad(rows: int, *, words: int, seed: int) -> list[str]:
    """Random questions, a third of which are earlier ones with a word or two changed, left out or added."""
    draw = random.Random(seed)
    vocabulary = [f"w{number}" for number in range(words)] + list("退款提现费率")
    questions: list[str] = []
    for _ in range(rows):
        question = [draw.choice(vocabulary) for _ in range(draw.randint(1, 14))]
        if questions and draw.random() < 0.35:
            question = draw.choice(questions).split()
            for _ in range(draw.randint(0, 3)):
                place = draw.randrange(len(question) + 1)
                question[place : place + draw.randint(0, 1)] = [draw.choice(vocabulary)] * draw.randint(0, 1)
        questions.append(" ".join(question))
    return questions


@given(
    questions=st.lists(st.lists(st.sampled_from(["a", "b", "c", "退", "款", "?", "Ж"]), max_size=8).map(" ".join), max_size=25),
    threshold=st.sampled_from(["0", "0.3", "0.5", "0.65", "0.7", "0.99", "1"]),
    block=st.integers(1, 30),
)
def test_any_questions_in_any_blocks_are_judged_as_the_reference_judges_them(
    questions: list[str], threshold: str, block: int
) -> None:
    assert novel(questions, float(threshold), block=block) == reference(questions, threshold)


@pytest.mark.parametrize("words", [6, 400])
def test_word_salad_with_near_copies_is_judged_as_the_reference_judges_it(words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "_GROUP", 16)
    monkeypatch.setattr(novelty, "_CHUNK", 50)
    questions = word_salad(300, words=words, seed=words)
    expected = reference(questions)
    assert 20 < len(expected) < 280, "the test would say little if nearly all rows were kept, or dropped"
    assert novel(questions, block=64) == expected


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_upstream_loop_keeps_the_same_rows_of_alpaca(lang: str) -> None:
    file = ALPACA / f"alpaca_{lang}_demo.json"
    if not file.exists():
        pytest.skip(f"{file.name} is not on this machine")
    questions = [row["instruction"] for row in json.loads(file.read_text(encoding="utf-8"))[:400]]
    kept = novel(questions)
    assert kept == reference(questions)
    assert len(kept) < 400


def test_a_score_of_exactly_the_threshold_is_kept_and_one_token_more_is_not() -> None:
    # LCS 7 of 8 + 12 tokens: 0.7 exactly, which floats make 0.7000000000000001.
    short, long = "a b c d e f g x", "a b c d e f g 1 2 3 4 5"
    assert novel([long, short]) == [0, 1]
    assert novel([long, short], 0.69) == [0]
    assert novel([long, short.replace("x", "1")]) == [0]


def test_a_threshold_of_many_digits_does_not_overflow() -> None:
    question = " ".join(f"w{number}" for number in range(3000))
    assert novel([question, question + " more"], 0.123456789012345678) == [0]


def test_a_question_without_tokens_is_near_only_to_its_equal() -> None:
    assert novel(["???", "!!!", "??? ", "Как дела", "как  ДЕЛА", "Как", ""]) == [0, 1, 3, 5, 6]


def test_a_threshold_of_one_turns_the_filter_off() -> None:
    assert novel(["same", "same", "?", "?"], 1.0) == [0, 1, 2, 3]


def test_the_rival_named_was_kept_and_not_merely_seen() -> None:
    filter_ = NoveltyFilter(0.7)
    filter_.prepare(["how do refunds work", "how do refunds work then"])
    assert filter_.rival("how do refunds work") is None
    assert filter_.rival("how do refunds work then") is None
    filter_.keep("how do refunds work", "a.csv:1")
    assert filter_.rival("how do refunds work then") == "a.csv:1"
    filter_.prepare(["how do the refunds work"])
    assert filter_.rival("how do the refunds work") == "a.csv:1"


def test_the_index_names_the_nearest_question_and_its_score() -> None:
    index = NearIndex(0.5)
    for name, question in {"far": "x y z", "near": "a b c d", "nearer": "a b c e f", "later": "a b c e g"}.items():
        index.add(question, name)
    assert index.nearest(["a b c e", "q r s", ""]) == [Match("nearer", 8 / 9), None, None]


def test_tokens_beyond_the_last_character_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "_LAST_CHARACTER", 40)
    questions = word_salad(120, words=300, seed=3)
    assert novel(questions, block=32) == reference(questions)
