"""The novelty filter against a slow reference in plain Python: the same rows must be kept, not nearly the same."""

import hashlib
import json
import pickle
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import process
from rapidfuzz.distance import Indel

from tests.clean.reference import lcs
from tunewell.clean import overlap
from tunewell.clean.novelty import encode, novel, novel_rows
from tunewell.clean.overlap import Sets, first_near
from tunewell.text import normalise, tokens

ALPACA = Path(__file__).parents[3] / "shared" / "data" / "alpaca_demo"
WORDS = ["a", "b", "c", "退", "款", "?", "Ж"]
LIMITS = {"_BLOCK_TOKENS": 200, "_FEWEST_TOKENS": 8, "_POSTINGS_AT_ONCE": 50, "_ELEMENTS_AT_ONCE": 30}

Rows = Sequence[Sequence[int]]


def is_near(left: str, right: str, threshold: Fraction) -> bool:
    first, second = tokens(left), tokens(right)
    if not first or not second:
        return not first and not second and normalise(left) == normalise(right) and threshold < 1
    return 2 * lcs(first, second) * threshold.denominator > threshold.numerator * (len(first) + len(second))


def reference(questions: Sequence[str], threshold: str = "0.7", alive: Sequence[bool] | None = None) -> list[int]:
    """For each question the first kept one before it that is near, or -1."""
    kept: list[int] = []
    rivals = [-1] * len(questions)
    for place, question in enumerate(questions):
        if alive is None or alive[place]:
            near = (other for other in kept if is_near(question, questions[other], Fraction(threshold)))
            rivals[place] = next(near, -1)
            kept += [place] if rivals[place] < 0 else []
    return rivals


def rivals_of(questions: Sequence[str], threshold: float = 0.7) -> list[int]:
    rivals: list[int] = novel_rows([encode(questions)], threshold, np.ones(len(questions), np.bool_)).tolist()
    return rivals


def sets(rows: Rows) -> Sets:
    ends = np.cumsum([0, *map(len, rows)])
    return Sets(np.concatenate([np.asarray(row, np.int32) for row in rows]), ends.astype(np.int64))


def brute_force(rows: Rows, threshold: Fraction) -> list[int]:
    """The plain loop: a block of rows against all before it at once, then row by row which of these were kept."""
    texts = ["".join(map(chr, row)) for row in rows]
    lengths = np.array([len(text) for text in texts])
    is_kept = np.zeros(len(rows), np.bool_)
    rivals = [-1] * len(rows)
    for start in range(0, len(rows), 500):
        block = slice(start, start + 500)
        before = np.concatenate([np.flatnonzero(is_kept[:start]), np.arange(start, min(start + 500, len(rows)))])
        distances = process.cdist(texts[block], [texts[row] for row in before], scorer=Indel.distance, dtype=np.int32, workers=-1)
        total = np.add.outer(lengths[block], lengths[before])
        near = (total - distances) * threshold.denominator > threshold.numerator * total
        for place, row in enumerate(range(start, min(start + 500, len(rows)))):
            others = before[near[place]]
            kept = others[(others < row) & is_kept[others]]
            rivals[row] = int(kept[0]) if len(kept) else -1
            is_kept[row] = not len(kept)
    return rivals


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


def zipf(rows: int, *, words: int, shortest: int = 4, longest: int = 20) -> list[list[int]]:
    """Synthetic instructions with the word frequencies of Zipf's law, a tenth of them near repeats."""
    draw = random.Random(0)
    weights = [1 / (rank + 5) for rank in range(words)]
    text = draw.choices(range(words), weights, k=200_000)
    made: list[list[int]] = []
    for _ in range(rows):
        start = draw.randrange(len(text) - longest)
        row = text[start : start + draw.randint(shortest, longest)]
        if made and draw.random() < 0.1:
            row = list(draw.choice(made))
            row[draw.randrange(len(row))] = words
        made.append(row)
    return made


@given(
    rows=st.lists(st.tuples(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), st.booleans()), max_size=25),
    threshold=st.one_of(
        st.sampled_from(["0", "0.3", "0.5", "0.65", "0.7", "0.99", "1", "0.123456789012345678"]),
        st.fractions(0, 1, max_denominator=40).map(lambda share: str(float(share))),
    ),
    limits=st.fixed_dictionaries({name: st.integers(1, most) for name, most in LIMITS.items()}),
    cut=st.integers(0, 25),
)
def test_any_rows_in_any_blocks_and_parts_are_judged_as_the_reference_judges_them(
    rows: list[tuple[str, bool]], threshold: str, limits: dict[str, int], cut: int
) -> None:
    questions, alive = [question for question, _ in rows], [lives for _, lives in rows]
    parts = [encode(questions[:cut]), encode(questions[cut:])]
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(overlap, name, limit)
        found = novel_rows(parts, float(threshold), np.array(alive, np.bool_))
    assert found.tolist() == reference(questions, threshold, alive)


@pytest.mark.parametrize("words", [6, 400])
def test_word_salad_with_near_copies_is_judged_as_the_reference_judges_it(words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in LIMITS.items():
        monkeypatch.setattr(overlap, name, limit)
    questions = word_salad(300, words=words, seed=words)
    expected = reference(questions)
    assert 20 < expected.count(-1) < 280, "the test would say little if nearly all rows were kept, or dropped"
    assert rivals_of(questions) == expected


def _templates() -> Rows:
    draw = random.Random(1)
    templates = zipf(20, words=300, shortest=12)
    rows = [list(draw.choice(templates)) for _ in range(600)]
    for row in rows:
        row[draw.randrange(len(row))] = draw.randrange(300, 600)
    return rows


def _long() -> Rows:
    draw = random.Random(2)
    rows = zipf(12, words=2_000, shortest=300, longest=900)
    copies = [list(draw.choice(rows)) for _ in range(40)]
    for row in copies:
        for _ in range(draw.choice([5, len(row) // 2])):
            row[draw.randrange(len(row))] = draw.randrange(2_000)
    return [*rows, *zipf(100, words=2_000), *copies, [draw.randrange(50) for _ in range(3_000)]]


SHAPES: dict[str, Callable[[], Rows]] = {
    "copies of templates": _templates,
    "a token that stands in every row": lambda: [[9_999, *row] for row in zipf(1_500, words=500)],
    "half of each row is the same": lambda: [
        [*range(8), *(8 + (number * step) % 40 for step in range(7))] for number in range(600)
    ],
    "few words, much repeated": lambda: zipf(600, words=8),
    "one token": lambda: [[number % 7] for number in range(200)],
    "one token among others": lambda: [row[: 1 + place % 2] for place, row in enumerate(zipf(800, words=30))],
    "long among short": _long,
}


@pytest.mark.parametrize("threshold", ["0", "0.2", "0.5", "0.7", "0.9"])
@pytest.mark.parametrize("shape", SHAPES)
def test_hard_shapes_are_judged_as_by_brute_force(shape: str, threshold: str) -> None:
    rows = SHAPES[shape]()
    assert first_near(sets(rows), Fraction(threshold)).tolist() == brute_force(rows, Fraction(threshold))


def test_twenty_thousand_rows_are_judged_as_by_brute_force() -> None:
    rows = zipf(20_000, words=5_000)
    found = first_near(sets(rows), Fraction(7, 10)).tolist()
    assert 0 < found.count(-1) < len(rows)
    assert found == brute_force(rows, Fraction(7, 10))


def test_of_several_near_rows_the_earliest_is_named_whichever_element_leads_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_BLOCK_TOKENS", 1)
    monkeypatch.setattr(overlap, "_POSTINGS_AT_ONCE", 1)
    rows = [[1, 2, 10, 11], [3, 4, 12, 13], [1, 2, 3, 4]]
    assert first_near(sets(rows), Fraction(4, 10)).tolist() == [-1, -1, 0]


def test_the_pairs_held_at_once_are_few_however_many_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    near = overlap._Search._near

    def counted(search: overlap._Search, block: overlap._Block, pairs: overlap._Pairs) -> overlap._Pairs:
        sizes.append(len(pairs.row))
        return near(search, block, pairs)

    monkeypatch.setattr(overlap._Search, "_near", counted)
    monkeypatch.setattr(overlap, "_POSTINGS_AT_ONCE", 1_000)
    monkeypatch.setattr(overlap, "_BLOCK_TOKENS", 32 * overlap._FEWEST_TOKENS)
    rows = zipf(1_000, words=60)
    assert (first_near(sets(rows), Fraction(4, 10)) < 0).sum() > 50
    assert sum(sizes) > 10_000
    # No list of postings and no block is longer than what is gathered at once, so nothing may exceed it.
    assert max(sizes) <= 1_000


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_upstream_loop_keeps_the_same_rows_of_alpaca(language: str) -> None:
    file = ALPACA / f"alpaca_{language}_demo.json"
    if not file.exists():
        pytest.skip(f"{file.name} is not on this machine")
    questions = [row["instruction"] for row in json.loads(file.read_text(encoding="utf-8"))[:400]]
    kept = novel(questions)
    assert kept == [place for place, rival in enumerate(reference(questions)) if rival < 0]
    assert len(kept) < 400


def test_the_hash_of_the_kept_rows_is_that_of_the_upstream_loop() -> None:
    """The loop and the hash of Stanford Alpaca's filter as the benchmark's reference has them, floats and rounding included."""
    questions = [" ".join(f"w{number}" for number in row) for row in zipf(3_000, words=300)]
    texts = ["".join(chr(int(token[1:])) for token in tokens(question)) for question in questions]
    kept: list[int] = []
    for place, candidate in enumerate(texts):
        scores = process.cdist([candidate], [texts[other] for other in kept], scorer=Indel.normalized_similarity, dtype=np.float64)
        totals = [len(candidate) + len(texts[other]) for other in kept]
        if not any(20 * round(score * total / 2) > 7 * total for score, total in zip(scores[0].tolist(), totals, strict=True)):
            kept.append(place)
    ours, theirs = (hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] for rows in (novel(questions), kept))
    assert len(kept) < 3_000
    assert ours == theirs


def test_a_score_of_exactly_the_threshold_is_kept_and_one_token_more_is_not() -> None:
    # LCS 7 of 8 + 12 tokens: 0.7 exactly, which floats make 0.7000000000000001.
    short, long = "a b c d e f g x", "a b c d e f g 1 2 3 4 5"
    assert novel([long, short]) == [0, 1]
    assert novel([long, short], 0.69) == [0]
    assert novel([long, short.replace("x", "1")]) == [0]


def test_a_threshold_of_many_digits_does_not_overflow() -> None:
    first, second = (" ".join(f"{letter}{number}" for number in range(3_000)) for letter in "vw")
    assert rivals_of([first, f"{first} more", second], 0.123456789012345678) == [-1, 0, -1]


def test_a_question_without_tokens_is_near_only_to_its_equal() -> None:
    assert rivals_of(["???", "!!!", "??? ", "Как дела", "как  ДЕЛА", "Как", ""]) == [-1, -1, 0, -1, 3, -1, -1]


def test_a_threshold_of_one_turns_the_filter_off() -> None:
    assert novel(["same", "same", "?", "?"], 1.0) == [0, 1, 2, 3]


def test_nothing_in_nothing_out() -> None:
    assert novel([]) == []
    assert novel_rows([], 0.7, np.zeros(0, np.bool_)).tolist() == []


def test_a_row_that_is_not_alive_is_neither_compared_nor_kept() -> None:
    questions = ["how do refunds work", "how do refunds work now", "how do refunds work then", "?", "?", "?"]
    alive = np.array([False, True, True, True, False, True])
    assert novel_rows([encode(questions)], 0.7, alive).tolist() == [-1, -1, 1, -1, -1, 3]


def test_a_word_counts_as_often_as_it_stands_there() -> None:
    assert rivals_of(["no no no no", "no", "no no no"]) == [-1, -1, 0]


def test_parts_travel_between_processes_and_their_words_are_the_same_in_all() -> None:
    questions = ["what does it cost", "does it cost what", "什么时候提现", "what does it cost now", "什么时候能提现"]
    parts = [pickle.loads(pickle.dumps(encode([question]))) for question in questions]
    assert novel_rows(parts, 0.7, np.ones(5, np.bool_)).tolist() == rivals_of(questions) == [-1, 0, -1, 0, 2]


def test_encoded_questions_are_numbers_and_the_words_they_stand_for() -> None:
    part = encode(["Refund 退款", "?!", "refund in 5"])
    assert part.vocabulary == ["refund", "退", "款", "in", "5"]
    assert part.codes.tolist() == [0, 1, 2, 0, 3, 4]
    assert part.codes.dtype == np.int32
    assert part.offsets.tolist() == [0, 3, 3, 6]
    assert part.tokenless == {1: "?!"}


def test_tokens_beyond_the_last_character_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_LAST_CHARACTER", 40)
    questions = word_salad(120, words=300, seed=3)
    assert rivals_of(questions) == reference(questions)
