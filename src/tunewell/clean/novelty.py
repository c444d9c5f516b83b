"""Near questions by ROUGE-L, exactly: every pair is decided in integers, none is guessed.

For token sequences of lengths m and n with Indel distance d, the longest common subsequence has (m + n - d) / 2 tokens and
ROUGE-L F1 is 2 * LCS / (m + n). So F1 > p/q holds just when d < (q - p) * (m + n) / q: one table of largest distances, by
m + n, decides all pairs, and a pair at exactly p/q is not near. rapidfuzz computes the distances bit-parallel.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import Indel

from tunewell.text import normalise, tokens

_LAST_CHARACTER = 0x10FFFF
_GROUP = 128
_CHUNK = 32_768

_Sequence = str | tuple[int, ...]
_Flags = npt.NDArray[np.bool_]


class Match(NamedTuple):
    """The name of a near question, and how near it is (ROUGE-L F1)."""

    name: str
    score: float


class _Pairs(NamedTuple):
    queries: npt.NDArray[np.int64]
    choices: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


class _Encoder:
    """Questions as token sequences, one character a token: compact, and read by rapidfuzz without conversion."""

    def __init__(self) -> None:
        self._vocabulary: dict[str, int] = {}

    def __call__(self, question: str) -> _Sequence:
        numbers = [self._vocabulary.setdefault(token, len(self._vocabulary) + 1) for token in tokens(question)]
        # rapidfuzz compares characters and integers by number, so both forms may meet in one comparison.
        return "".join(map(chr, numbers)) if max(numbers, default=0) <= _LAST_CHARACTER else tuple(numbers)


class NearIndex:
    """Questions by name, searched for the one nearest to another question.

    A question without a token (a script other than Latin or Han, or signs alone) is near only to its equal after
    `text.normalise`. A threshold of 1 or more finds nothing: no F1 is above it.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = Fraction(str(threshold))
        self._encode = _Encoder()
        self._entries: list[tuple[_Sequence, str]] = []
        self._lengths: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._tokenless: dict[str, str] = {}

    def add(self, question: str, name: str) -> None:
        """Take a question in."""
        sequence = self._encode(question)
        if sequence:
            self._entries.append((sequence, name))
        else:
            self._tokenless.setdefault(normalise(question), name)

    def nearest(self, questions: Sequence[str]) -> list[Match | None]:
        """For each question the nearest one above the threshold; of several as near the shortest, then the first taken in."""
        found: list[Match | None] = [None] * len(questions)
        if self._threshold >= 1:
            return found
        sequences = [self._encode(question) for question in questions]
        self._sort()
        for group in _groups(sequences):
            self._search(group, sequences, found)
        for number, sequence in enumerate(sequences):
            name = None if sequence else self._tokenless.get(normalise(questions[number]))
            found[number] = found[number] if name is None else Match(name, 1.0)
        return found

    def among(self, questions: Sequence[str]) -> _Flags:
        """Which of the questions are near each other: a square of flags, every question being near itself."""
        near = np.eye(len(questions), dtype=np.bool_)
        if self._threshold >= 1:
            return near
        sequences = [self._encode(question) for question in questions]
        filled = [number for number, sequence in enumerate(sequences) if sequence]
        chosen = [sequences[number] for number in filled]
        if chosen:
            pairs = _near_pairs(chosen, chosen, self._threshold)
            near[np.array(filled)[pairs.queries], np.array(filled)[pairs.choices]] = True
        plain = [None if sequence else normalise(question) for question, sequence in zip(questions, sequences, strict=True)]
        for number in set(range(len(questions))) - set(filled):
            near[number] = [other == plain[number] for other in plain]
        return near

    def _sort(self) -> None:
        if len(self._lengths) != len(self._entries):
            self._entries.sort(key=lambda entry: len(entry[0]))
            self._lengths = np.array([len(sequence) for sequence, _ in self._entries])

    def _search(self, group: Sequence[int], sequences: Sequence[_Sequence], found: list[Match | None]) -> None:
        queries = [sequences[number] for number in group]
        shortest, longest = _reachable(self._threshold, len(queries[0]), len(queries[-1]))
        start, stop = np.searchsorted(self._lengths, [shortest, longest + 1])
        for low, high in pairwise([*range(start, stop, _CHUNK), stop]):
            entries = self._entries[low:high]
            pairs = _near_pairs(queries, [sequence for sequence, _ in entries], self._threshold)
            for query, choice, score in zip(pairs.queries, pairs.choices, pairs.scores, strict=True):
                earlier = found[group[query]]
                if earlier is None or score > earlier.score:
                    found[group[query]] = Match(entries[choice][1], float(score))


class NoveltyFilter:
    """Decides row by row whether a question is new beside those kept before, comparing a block of them at a time.

    `prepare` is called with the questions of the next block, then `rival` and `keep` with single questions of that block, in
    order. Memory holds the kept questions, one to four bytes a token, and their names.
    """

    def __init__(self, threshold: float) -> None:
        self._index = NearIndex(threshold)
        self._off = threshold >= 1
        self._places: dict[str, int] = {}
        self._before: list[Match | None] = []
        self._among: _Flags = np.empty((0, 0), np.bool_)
        self._kept: list[str | None] = []

    def prepare(self, questions: Iterable[str]) -> None:
        """Compare the questions of the next block with all kept ones, and with each other."""
        if self._off:
            return
        distinct = list(dict.fromkeys(questions))
        self._places = {question: place for place, question in enumerate(distinct)}
        self._before = self._index.nearest(distinct)
        self._among = self._index.among(distinct)
        self._kept = [None] * len(distinct)

    def rival(self, question: str) -> str | None:
        """The name of a kept question near this one, or None where it is new."""
        if self._off:
            return None
        place = self._places[question]
        match = self._before[place]
        if match is not None:
            return match.name
        return next((name for other in np.flatnonzero(self._among[place]) if (name := self._kept[other]) is not None), None)

    def keep(self, question: str, name: str) -> None:
        """Count a question of the block among the kept ones."""
        if self._off:
            return
        self._kept[self._places[question]] = name
        self._index.add(question, name)


def novel(questions: Sequence[str], threshold: float = 0.7, *, block: int = 1024) -> list[int]:
    """The places of the questions that are kept when each is compared with every one kept before it.

    The novelty filter of Stanford Alpaca (`generate_instruction.py`), with Han characters as tokens of their own and ties
    decided in integers.

    >>> novel(["How do refunds work?", "And how do refunds work?", "什么时候提现", "什么时候能提现"])
    [0, 2]
    """
    novelty = NoveltyFilter(threshold)
    kept = []
    for start in range(0, len(questions), block):
        novelty.prepare(questions[start : start + block])
        for place, question in enumerate(questions[start : start + block], start):
            if novelty.rival(question) is None:
                novelty.keep(question, str(place))
                kept.append(place)
    return kept


def _near_pairs(queries: Sequence[_Sequence], choices: Sequence[_Sequence], threshold: Fraction) -> _Pairs:
    query_lengths = np.array([len(query) for query in queries])
    choice_lengths = np.array([len(choice) for choice in choices])
    limits = _largest_distances(threshold, int(query_lengths.max() + choice_lengths.max()))
    cutoff = int(limits[-1])
    distance = process.cdist(queries, choices, scorer=Indel.distance, dtype=np.int32, score_cutoff=cutoff, workers=-1)
    # Few pairs are within the largest distance of all; only those are held against the limit of their own lengths.
    rows, columns = np.nonzero(distance <= cutoff)
    total = query_lengths[rows] + choice_lengths[columns]
    near = distance[rows, columns] <= limits[total]
    rows, columns, total = rows[near], columns[near], total[near]
    return _Pairs(rows, columns, 1 - distance[rows, columns] / total)


def _groups(sequences: Sequence[_Sequence]) -> list[list[int]]:
    by_length = sorted((number for number, sequence in enumerate(sequences) if sequence), key=lambda number: len(sequences[number]))
    return [by_length[start : start + _GROUP] for start in range(0, len(by_length), _GROUP)]


def _reachable(threshold: Fraction, shortest: int, longest: int) -> tuple[int, int]:
    """The lengths that can be near a question of these lengths: the LCS is at most the shorter of the two."""
    share = threshold / (2 - threshold)
    return int(shortest * share), int(longest / share) if share else int(np.iinfo(np.int64).max) - 1


def _largest_distances(threshold: Fraction, longest: int) -> npt.NDArray[np.int64]:
    """By total length, the largest Indel distance at which F1 is still above the threshold."""
    gap, whole = threshold.denominator - threshold.numerator, threshold.denominator
    return np.array([-(-gap * total // whole) - 1 for total in range(longest + 1)])
