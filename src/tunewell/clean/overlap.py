"""Which of millions of token sequences are near an earlier one: an exact set-similarity join, then bit-parallel comparison.

The longest common subsequence of two sequences is at most the number of tokens they share, so only pairs that share enough are
compared. To find them each sequence becomes a set (its second "the" is another element than its first) in one order for all, rare
elements first. Two sets of lengths m and n that share c elements must share one within their first m - c + 1 and n - c + 1: their
prefixes. An index lists the kept sets by the elements of their prefixes and by their lengths. Two more looks refuse most of what is
found there, each dearer and sharper than the one before it: a bitmap of 64 bits a set (sets whose bitmaps differ in d bits differ
in at least d elements), and the number of elements shared, counted.

Sources: prefix and positional filters: Bayardo, Ma, Srikant 2007 (AllPairs); Xiao et al. 2008 (PPJoin). Bitmap filter: Sandes,
Teodoro, Melo 2020.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import Indel

Numbers = npt.NDArray[np.int64]

_BLOCK_TOKENS = 1 << 14
_FEWEST_TOKENS = 32  # what a row counts for at least, so that a block has 512 rows at most
_POSTINGS_AT_ONCE = 1 << 21
_ELEMENTS_AT_ONCE = 1 << 20
_LAST_CHARACTER = 0x10FFFF
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads neighbouring numbers over all bits


class Sets(NamedTuple):
    """Token sequences laid end to end: those of sequence i are `tokens[offsets[i] : offsets[i + 1]]`; none is empty."""

    tokens: npt.NDArray[np.int32]
    offsets: Numbers


def first_near(texts: Sets, threshold: Fraction) -> Numbers:
    """For each sequence the first of the kept ones before it whose ROUGE-L F1 with it is above the threshold, or -1: it is kept.

    Memory: some 70 bytes a token, and some hundred MB for the pairs that are looked at together, however many are near.
    """
    rows = len(texts.offsets) - 1
    rivals = np.full(rows, -1, np.int64)
    if not rows:
        return rivals
    search = _Search(texts, threshold)
    sizes = np.maximum(np.diff(texts.offsets), _FEWEST_TOKENS)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for low, high in _cuts(sizes, _BLOCK_TOKENS):
            block = search.block(np.arange(low, high))
            found = search.among_kept(block, pool)
            found = search.among_themselves(block, found)
            search.keep(block.rows[found < 0])
            rivals[low:high] = found
    return rivals


class _Pairs(NamedTuple):
    row: npt.NDArray[np.integer]
    other: npt.NDArray[np.integer]


class _Block(NamedTuple):
    """Neighbouring rows, and a table of what they have: row i has element e if `has[i - rows[0], column_of[e]]`."""

    rows: Numbers
    column_of: npt.NDArray[np.int32]
    has: npt.NDArray[np.bool_]


class _Search:
    """All sequences, and an index of those kept so far."""

    def __init__(self, texts: Sets, threshold: Fraction) -> None:
        self._texts = texts
        self._lengths = np.diff(texts.offsets).astype(np.int32)
        longest = int(self._lengths.max())
        p, q = threshold.numerator, threshold.denominator
        # By total length, the fewest common elements at which F1 is above p/q.
        self._needed = _above(p, 2 * q, 2 * longest)
        self._elements = _elements(texts)
        self._distinct = int(self._elements.max()) + 1
        self._bitmaps = _bitmaps(self._elements, texts.offsets)
        # A partner shorter than this cannot be near, and the shortest partner asks for the fewest common elements.
        shortest = _above(p, 2 * q - p, longest)[self._lengths]
        prefixes = _prefixes(self._elements, texts.offsets, self._lengths - self._needed[self._lengths + shortest] + 1)
        # By the number of elements from a position on, the largest total length at which that many are enough.
        largest = np.searchsorted(self._needed, np.arange(longest + 1), side="right").astype(np.int32) - 1
        self._index = _Index(prefixes, self._lengths, shortest, largest)

    def block(self, rows: Numbers) -> _Block:
        """Neighbouring rows, made ready to be looked up."""
        lengths = self._lengths[rows]
        elements = self._elements[_ranges(self._texts.offsets[rows], lengths)]
        distinct, column = np.unique(elements, return_inverse=True)
        column_of = np.zeros(self._distinct, np.int32)
        column_of[distinct] = np.arange(1, len(distinct) + 1)
        has = np.zeros((len(rows), len(distinct) + 1), np.bool_)
        has[np.repeat(np.arange(len(rows)), lengths), column + 1] = True
        return _Block(rows, column_of, has)

    def among_kept(self, block: _Block, pool: ThreadPoolExecutor) -> Numbers:
        """For each row of the block the first kept row near it, or -1."""
        chunks = self._index.chunks(block.rows)
        first = np.full(len(block.rows), len(self._lengths), np.int64)
        for near in pool.map(partial(self._first_kept, block), chunks):
            places = near.row - block.rows[0]
            first[places] = np.minimum(first[places], near.other)
        return np.where(first < len(self._lengths), first, -1)

    def among_themselves(self, block: _Block, rivals: Numbers) -> Numbers:
        """The rivals, and for each row of the block without one the first of those kept in it that is near, or -1."""
        fresh = block.rows[rivals < 0]
        near = self._near(block, self._close(_Pairs(*(fresh[side] for side in np.tril_indices(len(fresh), -1)))))
        rivals = rivals.copy()
        for row, other in zip((near.row - block.rows[0]).tolist(), (near.other - block.rows[0]).tolist(), strict=True):
            if rivals[row] < 0 and rivals[other] < 0:
                rivals[row] = block.rows[other]
        return rivals

    def keep(self, rows: Numbers) -> None:
        """Take rows into the index."""
        self._index.add(rows)

    def _first_kept(self, block: _Block, places: Numbers) -> _Pairs:
        """For each row the first near one of those that share an element with it at one of these places of prefixes."""
        near = self._near(block, self._close(self._index.pairs(places)))
        rows, first = np.unique(near.row, return_index=True)
        return _Pairs(rows, near.other[first])

    def _close(self, pairs: _Pairs) -> _Pairs:
        """The pairs whose bitmaps differ in no more bits than near rows may differ in elements."""
        return _those(pairs, np.bitwise_count(self._bitmaps[pairs.row] ^ self._bitmaps[pairs.other]) <= self._most(pairs))

    def _most(self, pairs: _Pairs) -> npt.NDArray[np.int32]:
        """The largest distance at which the rows of a pair are near."""
        total = self._lengths[pairs.row] + self._lengths[pairs.other]
        most: npt.NDArray[np.int32] = total - 2 * self._needed[total]
        return most

    def _near(self, block: _Block, pairs: _Pairs) -> _Pairs:
        """The pairs that are near, each once, in order; `row` is in the block."""
        pairs = _once(pairs, len(self._lengths))
        pairs = _those(pairs, self._shares_enough(block, pairs))
        if not len(pairs.row):
            return pairs
        members, place = np.unique(np.concatenate(pairs), return_inverse=True)
        texts = self._characters(members)
        left, right = ([texts[number] for number in half] for half in np.split(place, 2))
        distances = process.cpdist(left, right, scorer=Indel.distance, dtype=np.int32)
        return _those(pairs, distances <= self._most(pairs))

    def _shares_enough(self, block: _Block, pairs: _Pairs) -> npt.NDArray[np.bool_]:
        """Whether the sets of a pair share as many elements as near ones must."""
        lengths = self._lengths[pairs.other]
        enough = np.empty(len(lengths), np.bool_)
        for low, high in _cuts(lengths, _ELEMENTS_AT_ONCE):
            row, other, length = pairs.row[low:high], pairs.other[low:high], lengths[low:high]
            columns = block.column_of[self._elements[_ranges(self._texts.offsets[other], length)]]
            has = block.has[np.repeat(row - block.rows[0], length), columns]
            shared = np.add.reduceat(has, np.cumsum(length) - length, dtype=np.int32)
            enough[low:high] = shared >= self._needed[self._lengths[row] + length]
        return enough

    def _characters(self, rows: Numbers) -> Sequence[str] | Sequence[tuple[int, ...]]:
        """The sequences with one character a token, which rapidfuzz reads without conversion."""
        lengths = self._lengths[rows]
        numbers = self._texts.tokens[_ranges(self._texts.offsets[rows], lengths)]
        distinct, characters = np.unique(numbers, return_inverse=True)
        pieces = np.split(characters.astype(np.uint32), np.cumsum(lengths)[:-1])
        if len(distinct) > _LAST_CHARACTER:
            return [tuple(piece.tolist()) for piece in pieces]
        return [piece.tobytes().decode("utf-32-le", "surrogatepass") for piece in pieces]


def _those(pairs: _Pairs, chosen: npt.NDArray[np.bool_]) -> _Pairs:
    return _Pairs(pairs.row[chosen], pairs.other[chosen])


def _once(pairs: _Pairs, rows: int) -> _Pairs:
    """Each pair once, in order."""
    # `np.unique` hashes, which takes a hundred times as long where most pairs differ.
    numbers = np.sort(pairs.row.astype(np.int64) * rows + pairs.other)
    differs = np.diff(numbers, prepend=-1) != 0
    return _Pairs(*np.divmod(numbers[differs], rows))


class _Prefixes(NamedTuple):
    """The prefixes of all sets laid end to end: each element, its position in its set, and the row of the set."""

    elements: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    offsets: Numbers


class _Index:
    """Kept rows by the elements of their prefixes and by length; room for all rows is made at the start.

    An element and a length make a slot. A row's place of length n and position i has room for partners of length m only where
    n - i elements are enough for n + m. Two places match if each has room for the other.
    """

    def __init__(
        self,
        prefixes: _Prefixes,
        lengths: npt.NDArray[np.int32],
        shortest: npt.NDArray[np.int32],
        largest: npt.NDArray[np.int32],
    ) -> None:
        self._prefixes, self._lengths, self._shortest = prefixes, lengths, shortest
        length = lengths[prefixes.rows]
        self._rooms = largest[length - prefixes.positions] - length
        stride = int(lengths.max()) + 1
        slots, slot, sizes = np.unique(prefixes.elements * np.int64(stride) + length, return_inverse=True, return_counts=True)
        self._slot = slot.astype(np.int32)
        self._slot_lengths = (slots % stride).astype(np.int32)
        self._slot_starts = np.searchsorted(slots, np.arange(int(prefixes.elements.max()) + 2) * stride)
        self._starts = np.cumsum(sizes) - sizes
        self._filled = np.zeros(len(slots), np.int64)
        self._kept_rows = np.empty(len(length), np.int32)
        self._kept_rooms = np.empty(len(length), np.int32)
        # What looking up an element may yield at most.
        self._weights = np.bincount(prefixes.elements) + np.diff(self._slot_starts)

    def chunks(self, rows: Numbers) -> Iterator[Numbers]:
        """The places of these rows, as many at once as may be looked up together."""
        places = self._places(rows)
        for low, high in _cuts(self._weights[self._prefixes.elements[places]], _POSTINGS_AT_ONCE):
            yield places[low:high]

    def pairs(self, places: Numbers) -> _Pairs:
        """The rows of these places with the kept rows at matching places, some pairs more than once."""
        elements, rows = self._prefixes.elements[places], self._prefixes.rows[places]
        sizes = self._slot_starts[elements + 1] - self._slot_starts[elements]
        slots = _ranges(self._slot_starts[elements], sizes)
        lengths = self._slot_lengths[slots]
        fits = (lengths >= np.repeat(self._shortest[rows], sizes)) & (lengths <= np.repeat(self._rooms[places], sizes))
        slots, asking = slots[fits], np.repeat(rows, sizes)[fits]
        filled = self._filled[slots]
        at = _ranges(self._starts[slots], filled)
        has_room = self._kept_rooms[at] >= np.repeat(self._lengths[asking], filled)
        return _Pairs(np.repeat(asking, filled)[has_room], self._kept_rows[at[has_room]])

    def add(self, rows: Numbers) -> None:
        """Take in rows."""
        places = self._places(rows)
        places = places[np.argsort(self._slot[places], kind="stable")]
        slots, counts = np.unique(self._slot[places], return_counts=True)
        at = _ranges(self._starts[slots] + self._filled[slots], counts)
        self._kept_rows[at] = self._prefixes.rows[places]
        self._kept_rooms[at] = self._rooms[places]
        self._filled[slots] += counts

    def _places(self, rows: Numbers) -> Numbers:
        offsets = self._prefixes.offsets
        return _ranges(offsets[rows], offsets[rows + 1] - offsets[rows])


def _above(numerator: int, denominator: int, longest: int) -> npt.NDArray[np.int32]:
    """For each length up to the longest the smallest number above its product with a fraction.

    By Python's integers: the numerator of a threshold with many digits times a length would not fit into 64 bits.
    """
    return np.fromiter((numerator * length // denominator + 1 for length in range(longest + 1)), np.int32, longest + 1)


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


def _cuts(sizes: npt.NDArray[np.integer], most: int) -> Iterator[tuple[int, int]]:
    """Stretches of at most `most` in all, or of one entry that is larger."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    low = 0
    while low < len(sizes):
        high = max(low + 1, int(np.searchsorted(ends, ends[low] + most, side="right")) - 1)
        yield low, high
        low = high
