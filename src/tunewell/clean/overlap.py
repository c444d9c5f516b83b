"""Which of millions of token sequences are near an earlier one: an exact set-similarity join, then bit-parallel comparison.

The longest common subsequence of two sequences is at most the number of tokens they share, so only pairs that share enough are
compared. To find them each sequence becomes a set (its second "the" is another element than its first) in one order for all, rare
elements first. Two sets of lengths m and n that share c elements must share one within their first m - c + 1 and n - c + 1: their
prefixes. An index lists the kept sets by the elements of their prefixes. A bitmap of 64 bits a set refuses most of what is found
there: sets whose bitmaps differ in d bits differ in at least d elements.

Sources: prefix and positional filters: Bayardo, Ma, Srikant 2007 (AllPairs); Xiao et al. 2008 (PPJoin). Bitmap filter: Sandes,
Teodoro, Melo 2020.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import Indel

Numbers = npt.NDArray[np.int64]

_BLOCK = 512
_POSTINGS_AT_ONCE = 1 << 21
_PAIRS_AT_ONCE = 1 << 20
_LAST_CHARACTER = 0x10FFFF
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads neighbouring numbers over all bits


class Sets(NamedTuple):
    """Token sequences laid end to end: those of sequence i are `tokens[offsets[i] : offsets[i + 1]]`; none is empty."""

    tokens: npt.NDArray[np.int32]
    offsets: Numbers


def first_near(texts: Sets, threshold: Fraction) -> Numbers:
    """For each sequence the first of the kept ones before it whose ROUGE-L F1 with it is above the threshold, or -1: it is kept.

    Memory: some 100 bytes a token in all.
    """
    rows = len(texts.offsets) - 1
    rivals = np.full(rows, -1, np.int64)
    if not rows:
        return rivals
    search = _Search(texts, threshold)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for start in range(0, rows, _BLOCK):
            block = np.arange(start, min(start + _BLOCK, rows))
            rivals[block] = search.among_kept(block, pool)
            fresh = block[rivals[block] < 0]
            rivals[fresh] = search.among_themselves(fresh)
            search.keep(fresh[rivals[fresh] < 0])
    return rivals


class _Pairs(NamedTuple):
    row: Numbers
    other: Numbers


class _Search:
    """All sequences, and an index of those kept so far."""

    def __init__(self, texts: Sets, threshold: Fraction) -> None:
        self._texts = texts
        self._lengths = np.diff(texts.offsets).astype(np.int32)
        self._needed = _needed_by_total(threshold, 2 * int(self._lengths.max()))
        elements = _elements(texts)
        self._bitmaps = _bitmaps(elements, texts.offsets)
        self._prefixes = _prefixes(elements, texts.offsets, self._prefix_lengths(threshold))
        self._index = _Index(self._prefixes.elements)

    def among_kept(self, block: Numbers, pool: ThreadPoolExecutor) -> Numbers:
        """For each row of the block the first kept row near it, or -1."""
        places = self._prefixes.places(block)
        sizes = self._index.sizes(self._prefixes.elements[places])
        chunks = [places[low:high] for low, high in _cuts(sizes, _POSTINGS_AT_ONCE)]
        found = list(pool.map(self._candidates, chunks))
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
        return self._first(block, _Pairs(*np.divmod(numbers, len(self._lengths))))

    def among_themselves(self, block: Numbers) -> Numbers:
        """For each row of the block the first of those kept in it that is near, or -1."""
        rivals = np.full(len(block), -1, np.int64)
        if len(block) < 2:
            return rivals
        lengths, texts = self._lengths[block], self._characters(block)
        # One limit for all pairs first, for most are beyond it; what is left is held against the limit of its own length.
        limit = int(self._most(np.arange(2 * lengths.max() + 1)).max())
        distances = process.cdist(texts, texts, scorer=Indel.distance, dtype=np.int32, score_cutoff=limit, workers=-1)
        rows, others = np.nonzero(np.tril(distances <= limit, -1))
        near = distances[rows, others] <= self._most(lengths[rows] + lengths[others])
        for row, other in zip(rows[near].tolist(), others[near].tolist(), strict=True):
            if rivals[row] < 0 and rivals[other] < 0:
                rivals[row] = block[other]
        return rivals

    def keep(self, rows: Numbers) -> None:
        """Take rows into the index."""
        self._index.add(self._prefixes, self._prefixes.places(rows))

    def _prefix_lengths(self, threshold: Fraction) -> Numbers:
        # A partner shorter than this cannot be near, and the shortest partner asks for the fewest common elements.
        p, q = threshold.numerator, threshold.denominator
        shortest = (p * self._lengths.astype(np.int64) // (2 * q - p) + 1).astype(np.int32)
        return self._lengths - self._needed[self._lengths + np.minimum(shortest, self._lengths)] + 1

    def _candidates(self, places: Numbers) -> Numbers:
        """Pairs that may be near, as row * rows + kept row, from the postings of these places of prefixes."""
        prefixes = self._prefixes
        postings = self._index.postings(prefixes.elements[places])
        others, other_length = postings.rows, self._lengths[postings.rows]
        length = np.repeat(self._lengths[prefixes.rows[places]], postings.sizes)
        needed = self._needed[length + other_length]
        reaches = np.repeat(prefixes.positions[places], postings.sizes) <= length - needed
        reaches &= postings.positions <= other_length - needed
        rows, others = np.repeat(prefixes.rows[places], postings.sizes)[reaches], others[reaches]
        most = (length + other_length - 2 * needed)[reaches]
        close = np.bitwise_count(self._bitmaps[rows] ^ self._bitmaps[others]) <= most
        pairs: Numbers = rows[close].astype(np.int64) * len(self._lengths) + others[close]
        return pairs

    def _first(self, block: Numbers, pairs: _Pairs) -> Numbers:
        rivals = np.full(len(block), -1, np.int64)
        for low in range(0, len(pairs.row), _PAIRS_AT_ONCE):
            row, other = (side[low : low + _PAIRS_AT_ONCE] for side in pairs)
            members, place = np.unique(np.concatenate([row, other]), return_inverse=True)
            texts = self._characters(members)
            left, right = ([texts[number] for number in half] for half in np.split(place, 2))
            distances = process.cpdist(left, right, scorer=Indel.distance, dtype=np.int32, workers=-1)
            near = distances <= self._most(self._lengths[row] + self._lengths[other])
            found, first = np.unique(row[near], return_index=True)
            new = rivals[found - block[0]] < 0
            rivals[found[new] - block[0]] = other[near][first[new]]
        return rivals

    def _most(self, total: Numbers) -> Numbers:
        """The largest Indel distance at which sequences of this total length are still near."""
        return total - 2 * self._needed[total]

    def _characters(self, rows: Numbers) -> Sequence[str] | Sequence[tuple[int, ...]]:
        """The sequences with one character a token, which rapidfuzz reads without conversion."""
        lengths = self._lengths[rows]
        numbers = self._texts.tokens[_ranges(self._texts.offsets[rows], lengths)]
        distinct, characters = np.unique(numbers, return_inverse=True)
        pieces = np.split(characters.astype(np.uint32), np.cumsum(lengths)[:-1])
        if len(distinct) > _LAST_CHARACTER:
            return [tuple(piece.tolist()) for piece in pieces]
        return [piece.tobytes().decode("utf-32-le", "surrogatepass") for piece in pieces]


class _Prefixes(NamedTuple):
    """The prefixes of all sets laid end to end: each element, its position in its set, and the row of the set."""

    elements: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    offsets: Numbers

    def places(self, rows: Numbers) -> Numbers:
        """The places of these rows' elements."""
        return _ranges(self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows])


class _Postings(NamedTuple):
    """For each of some elements how many kept rows have it, then all these rows and the positions of the element in them."""

    sizes: Numbers
    rows: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]


class _Index:
    """Kept rows by the elements of their prefixes; room for all rows is made at the start."""

    def __init__(self, elements: npt.NDArray[np.int32]) -> None:
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(elements))])
        self._filled = np.zeros(len(self._starts) - 1, np.int64)
        self._rows = np.empty(len(elements), np.int32)
        self._positions = np.empty(len(elements), np.int32)

    def sizes(self, elements: npt.NDArray[np.int32]) -> Numbers:
        """How many kept rows have each of these elements."""
        return self._filled[elements]

    def postings(self, elements: npt.NDArray[np.int32]) -> _Postings:
        """All kept rows that have one of these elements."""
        sizes = self._filled[elements]
        at = _ranges(self._starts[elements], sizes)
        return _Postings(sizes, self._rows[at], self._positions[at])

    def add(self, prefixes: _Prefixes, places: Numbers) -> None:
        """Take in what stands at these places."""
        places = places[np.argsort(prefixes.elements[places], kind="stable")]
        elements, counts = np.unique(prefixes.elements[places], return_counts=True)
        at = _ranges(self._starts[elements] + self._filled[elements], counts)
        self._rows[at] = prefixes.rows[places]
        self._positions[at] = prefixes.positions[places]
        self._filled[elements] += counts


def _needed_by_total(threshold: Fraction, longest: int) -> npt.NDArray[np.int32]:
    """By total length, the fewest common tokens at which F1 is above the threshold."""
    return (threshold.numerator * np.arange(longest + 1) // (2 * threshold.denominator) + 1).astype(np.int32)


def _elements(texts: Sets) -> npt.NDArray[np.int32]:
    """The elements of each set, rare ones first, numbered by their rank among all elements."""
    rows = np.repeat(np.arange(len(texts.offsets) - 1), np.diff(texts.offsets))
    vocabulary = int(texts.tokens.max()) + 1
    element = _occurrences(rows * vocabulary + texts.tokens) * vocabulary + texts.tokens
    _, number, counts = np.unique(element, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    in_order = np.sort(rows * len(counts) + rank[number])
    return (in_order - rows * len(counts)).astype(np.int32)


def _occurrences(keys: Numbers) -> Numbers:
    """For each key how many equal ones stand before it."""
    order = np.argsort(keys, kind="stable")
    places = np.arange(len(keys))
    starts = np.concatenate([[True], np.diff(keys[order]) != 0])
    counts = np.empty(len(keys), np.int64)
    counts[order] = places - np.maximum.accumulate(np.where(starts, places, 0))
    return counts


def _bitmaps(elements: npt.NDArray[np.int32], offsets: Numbers) -> npt.NDArray[np.uint64]:
    """For each set the parity of its elements in each of 64 classes."""
    bits = np.uint64(1) << (elements.astype(np.uint64) * _MULTIPLIER >> np.uint64(58))
    return np.bitwise_xor.reduceat(bits, offsets[:-1])


def _prefixes(elements: npt.NDArray[np.int32], offsets: Numbers, lengths: Numbers) -> _Prefixes:
    places = _ranges(offsets[:-1], lengths)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return _Prefixes(elements[places], (places - offsets[rows]).astype(np.int32), rows, ends)


def _ranges(starts: Numbers, sizes: npt.NDArray[np.integer]) -> Numbers:
    """All numbers of ranges laid end to end."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - ends + sizes, sizes) + np.arange(ends[-1] if len(ends) else 0)


def _cuts(sizes: Numbers, most: int) -> Iterator[tuple[int, int]]:
    """Stretches of about `most` in all, but of one entry at least."""
    ends = np.cumsum(sizes)
    marks = np.searchsorted(ends, np.arange(most, int(ends[-1]) if len(ends) else 0, most)) + 1
    return pairwise(np.unique([0, *marks.tolist(), len(sizes)]).tolist())
