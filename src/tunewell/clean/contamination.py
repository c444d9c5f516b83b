"""Rows that give away the test: they ask a test question, or hold a passage of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from rapidfuzz import process
from rapidfuzz.distance import Indel

from tunewell.clean.batch import Batch
from tunewell.records import Example
from tunewell.text import normalise, tokens

_GRAM = 13
_MOST_ROWS = 10
_TESTS_AT_ONCE = 512
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads neighbouring numbers over all bits
_MARK_BITS = 24
_LAST_CHARACTER = 0x10FFFF

_Gram = tuple[int, ...]
_Text = str | Sequence[int]


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
        self._equal.pop("", None)  # rows without a question do not ask one of the test
        self._questions = [_characters(self._learn(item.question)) for item in asked]
        self._names = names
        self._items = self._passages(asked)
        self._is_marked = np.zeros(1 << _MARK_BITS, np.bool_)
        self._is_marked[_marks(np.array(list(self._items), np.uint64).reshape(-1, _GRAM).T)] = True

    def hits(self, batch: Batch) -> Hits:
        """What the rows of a batch share with the test."""
        found = Hits({}, Counter(), {}, {})
        if not self._names:
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
        return list(map(self._vocabulary.get, tokens(text), repeat(0)))

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
        details: list[str | None] = [None] * len(questions)
        numbers = [self._numbers(question) for question in questions]
        # Of n tokens those that the test does not have cannot be common; F1 is above 0.7 only if 2c / (n + c) is.
        rows = [row for row, known in enumerate(numbers) if 13 * (len(known) - known.count(0)) > 7 * len(known)]
        best = np.zeros(len(rows))
        item = np.zeros(len(rows), np.int64)
        texts = [_characters(numbers[row]) for row in rows]
        for start in range(0, len(self._questions), _TESTS_AT_ONCE):
            found = _nearest_of(texts, self._questions[start : start + _TESTS_AT_ONCE])
            item = np.where(found.score > best, start + found.place, item)
            best = np.maximum(best, found.score)
        for number in np.flatnonzero(best).tolist():
            name = self._names[item[number]]
            details[rows[number]] = f"its family asks a question of ROUGE-L F1 {best[number]:.2f} with {name}"
        return details

    def _passages_in(self, batch: Batch) -> Iterator[tuple[int, _Gram]]:
        """Each passage of the test in a row, once a row."""
        sequences = [self._numbers(text) for text in batch.texts.to_pylist()]
        # A zero, which stands for a token that the test does not have, parts the texts.
        numbers = np.fromiter(chain.from_iterable((*sequence, 0) for sequence in sequences), np.uint64)
        owners = np.repeat(batch.owners, [len(sequence) + 1 for sequence in sequences])
        if len(numbers) < _GRAM:
            return
        windows = sliding_window_view(numbers, _GRAM)
        seen: set[tuple[int, _Gram]] = set()
        for start in np.flatnonzero(self._is_marked[_marks(windows.T)]).tolist():
            hit = int(owners[start]), tuple(windows[start].tolist())
            if hit not in seen and hit[1] in self._items:
                seen.add(hit)
                yield hit


def _grams(numbers: Sequence[int]) -> Iterator[_Gram]:
    return (tuple(numbers[start : start + _GRAM]) for start in range(len(numbers) - _GRAM + 1))


def _marks(columns: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A number of `_MARK_BITS` bits for each passage; `columns` are the first tokens of all passages, the second, and so on."""
    values = np.zeros(columns.shape[1], np.uint64)
    for column in columns:
        values = values * _MULTIPLIER + column
    return values >> np.uint64(64 - _MARK_BITS)


def _characters(numbers: Sequence[int]) -> _Text:
    """The numbers as one text, which rapidfuzz reads faster."""
    return numbers if max(numbers, default=0) > _LAST_CHARACTER else "".join(map(chr, numbers))


class _Nearest(NamedTuple):
    place: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]


def _nearest_of(texts: Sequence[_Text], tests: Sequence[_Text]) -> _Nearest:
    """For each text the place of the test with the highest ROUGE-L F1, and this F1 where it is above 0.7 and 0 elsewhere."""
    lengths = (np.array([len(text) for text in side], np.int32) for side in (texts, tests))
    total = np.add.outer(*lengths)
    distance = process.cdist(texts, tests, scorer=Indel.distance, dtype=np.int32)
    place, score = np.zeros(len(texts), np.int64), np.zeros(len(texts))
    is_near = 10 * distance < 3 * total  # F1 is 1 - distance / total; integers decide
    rows = np.flatnonzero(is_near.any(axis=1))
    scores = np.where(is_near[rows], 1 - distance[rows] / np.maximum(total[rows], 1), 0.0)
    place[rows], score[rows] = scores.argmax(axis=1), scores.max(axis=1, initial=0)
    return _Nearest(place, score)
