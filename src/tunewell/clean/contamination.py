"""Rows that give away the test: they ask a test question, or hold a passage of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import Indel

from tunewell.clean.batch import Batch
from tunewell.records import Example
from tunewell.text import normalise, tokens

_GRAM = 13
_MOST_ROWS = 10
_TESTS_AT_ONCE = 4096
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_Gram = tuple[int, ...]


class Hits(NamedTuple):
    """What was found in some rows.

    `questions` gives for a family whose question is asked in the test what it was found near to. `rows` counts the rows that hold
    a passage, `families` names the first of their families, and `items` the test item it stands in.
    """

    questions: dict[str, str]
    rows: Counter[_Gram]
    families: dict[_Gram, list[str]]
    items: dict[_Gram, str]


def contaminated(hits: Iterable[Hits]) -> dict[str, str]:
    """A row that gives away the test, or one of the same family.

    What it drops: every row of a family of which some row (1) asks a first question that equals a `paraphrase` or `unseen` test
    question or has a ROUGE-L F1 above 0.7 with it, or (2) holds 13 tokens in a row that stand in such a question or in the answer
    of an `unseen` item. Passages of several test families, and those in more than 10 training rows, are boilerplate and do not
    count. `seen` test items are meant to be trained on.
    Why: a score on what the model has been trained on proves nothing.
    Example: "How do I refund a payment?" where the test asks "How do I refund the payment?".
    Known problems: a reworded question with few words in common passes. A test item that opens with a long greeting drops the
    rows that open with it, unless they are more than ten. Thirteen Chinese characters are a shorter passage than thirteen words.
    Source: 13-grams, and leaving out the frequent ones: GPT-3 (Brown et al. 2020, appendix C); the decontamination steps of
    datatrove and open-instruct. Whole families, and ROUGE-L beside them, are our own.

    Args:
        hits: What was found in all rows, in any order of parts.

    Returns:
        The families to remove, each with the detail that its rows are dropped with.
    """
    found: dict[str, str] = {}
    rows: Counter[_Gram] = Counter()
    families: defaultdict[_Gram, list[str]] = defaultdict(list)
    items: dict[_Gram, str] = {}
    for part in hits:
        found = part.questions | found
        rows.update(part.rows)
        items |= part.items
        for gram, names in part.families.items():
            families[gram] += names[: _MOST_ROWS - len(families[gram])]
    for gram, count in rows.items():
        if count <= _MOST_ROWS:
            for family in families[gram]:
                found.setdefault(family, f"its family holds {_GRAM} tokens in a row of {items[gram]}")
    return found


class TestIndex:
    """The test items, searched for what rows share with them."""

    __test__ = False  # not a class of tests

    def __init__(self, items: Iterable[Example]) -> None:
        asked = [item for item in items if item.task != "seen"]
        names = [f"{item.task} test item {item.id} ({item.origin})" for item in asked]
        self._vocabulary: dict[str, int] = {}
        self._equal: dict[str, str] = {}
        for item, name in zip(asked, names, strict=True):
            self._equal.setdefault(normalise(item.question), name)
        self._questions = [self._learn(item.question) for item in asked]
        self._names = names
        self._items = self._passages(asked)
        self._hashes = np.unique(_hashes(np.array(list(self._items), np.uint64).reshape(-1, _GRAM)))

    def hits(self, batch: Batch) -> Hits:
        """What the rows of a batch share with the test."""
        found = Hits({}, Counter(), {}, {})
        if not self._equal:
            return found
        families = batch.values("family")
        for family, detail in zip(families, self._question_details(batch.questions), strict=True):
            if detail is not None:
                found.questions.setdefault(family, detail)
        for row, gram in self._passages_in(batch):
            found.rows[gram] += 1
            found.items[gram] = self._items[gram]
            named = found.families.setdefault(gram, [])
            if len(named) < _MOST_ROWS:
                named.append(families[row])
        return found

    def _learn(self, text: str) -> list[int]:
        return [self._vocabulary.setdefault(token, len(self._vocabulary) + 1) for token in tokens(text)]

    def _numbers(self, text: str) -> list[int]:
        return [self._vocabulary.get(token, 0) for token in tokens(text)]

    def _passages(self, items: Sequence[Example]) -> dict[_Gram, str]:
        """The passages of the test that count, and the item that each stands in."""
        names: dict[_Gram, str] = {}
        families: defaultdict[_Gram, set[str]] = defaultdict(set)
        for item, name in zip(items, self._names, strict=True):
            for text in [item.question, *([item.answer] if item.task == "unseen" else [])]:
                for gram in _grams(self._learn(text)):
                    names.setdefault(gram, name)
                    families[gram].add(item.family)
        return {gram: name for gram, name in names.items() if len(families[gram]) == 1}

    def _question_details(self, questions: Sequence[str]) -> Iterator[str | None]:
        for question, near in zip(questions, self._nearest(questions), strict=True):
            same = self._equal.get(normalise(question))
            yield f"its family asks the question of {same}" if same is not None else near

    def _nearest(self, questions: Sequence[str]) -> list[str | None]:
        texts = [_characters(self._numbers(question)) for question in questions]
        best = np.zeros(len(texts))
        item = np.full(len(texts), -1)
        for start in range(0, len(self._questions), _TESTS_AT_ONCE):
            tests = [_characters(numbers) for numbers in self._questions[start : start + _TESTS_AT_ONCE]]
            scores = _scores(texts, tests)
            place = scores.argmax(axis=1)
            score = scores[np.arange(len(texts)), place]
            item = np.where(score > best, start + place, item)
            best = np.maximum(best, score)
        return [
            f"its family asks a question of ROUGE-L F1 {score:.2f} with {self._names[number]}" if number >= 0 else None
            for score, number in zip(best.tolist(), item.tolist(), strict=True)
        ]

    def _passages_in(self, batch: Batch) -> Iterator[tuple[int, _Gram]]:
        """Each passage of the test in a row, once a row."""
        sequences = [self._numbers(text) for text in batch.texts.to_pylist()]
        # A zero, which stands for a token that the test does not have, parts the texts.
        numbers = np.fromiter(chain.from_iterable((*sequence, 0) for sequence in sequences), np.uint64)
        owners = np.repeat(batch.owners, [len(sequence) + 1 for sequence in sequences])
        if len(numbers) < _GRAM:
            return
        windows = np.lib.stride_tricks.sliding_window_view(numbers, _GRAM)
        unknown = np.concatenate([[0], np.cumsum(numbers == 0)])
        starts = np.flatnonzero(unknown[_GRAM:] == unknown[:-_GRAM])
        starts = starts[np.isin(_hashes(windows[starts]), self._hashes)]
        seen: set[tuple[int, _Gram]] = set()
        for start in starts.tolist():
            hit = int(owners[start]), tuple(windows[start].tolist())
            if hit not in seen and hit[1] in self._items:
                seen.add(hit)
                yield hit


def _grams(numbers: Sequence[int]) -> Iterator[_Gram]:
    return (tuple(numbers[start : start + _GRAM]) for start in range(len(numbers) - _GRAM + 1))


def _hashes(windows: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = np.zeros(len(windows), np.uint64)
    for column in windows.T:
        values = values * _MULTIPLIER + column
    return values


def _characters(numbers: Sequence[int]) -> str:
    return "".join(map(chr, numbers))


def _scores(texts: Sequence[str], tests: Sequence[str]) -> npt.NDArray[np.float64]:
    """ROUGE-L F1 of each pair where it is above 0.7, which integers decide, and 0 elsewhere."""
    total = np.add.outer([len(text) for text in texts], [len(text) for text in tests])
    distance = process.cdist(texts, tests, scorer=Indel.distance, dtype=np.int32)
    return np.where(10 * distance < 3 * total, 1 - distance / np.maximum(total, 1), 0.0)
