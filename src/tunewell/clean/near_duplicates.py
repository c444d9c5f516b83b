"""Near duplicates of whole conversations among millions of rows: MinHash signatures, and a search that holds few pairs together.

A signature is 128 numbers, the minima of the hashes of a text's pieces under 128 hash functions. Two texts agree in one of them
with a probability that equals the Jaccard similarity of their pieces, so that the share of agreeing positions estimates it.
"""

import math
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from tunewell.store import short_digest
from tunewell.text import normalise, tokens

Signatures = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]

POSITIONS = 128
"""Hash functions, and so the numbers in a signature."""

_PIECE = 5
_NO_TOKEN = ""
_TEXTS_AT_ONCE = 256
_ROWS_AT_ONCE = 1 << 13
_FOUND = 0.99
_KEPT_PER_BUCKET = 32
_NONE = -1


def _random_numbers(seed: int, *, count: int) -> npt.NDArray[np.uint64]:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 1 << 64, count, dtype=np.uint64)


_PLACE_FACTORS = _random_numbers(1, count=_PIECE) | np.uint64(1)
_FACTORS = _random_numbers(2, count=POSITIONS) | np.uint64(1)
_OFFSETS = _random_numbers(3, count=POSITIONS)
_KEY_FACTORS = _random_numbers(4, count=POSITIONS) | np.uint64(1)


def signatures(texts: Sequence[str]) -> Signatures:
    """The MinHash signatures of texts, of shape (texts, 128): the same in every process, whatever other texts stand beside a text.

    A piece is a run of five tokens of `text.tokens`; a text of fewer tokens is one piece. A text without tokens is one piece that
    only the same text has, compared after `text.normalise`.
    """
    numbers = _TokenNumbers()
    parts = [_minima(*_pieces(texts[start : start + _TEXTS_AT_ONCE], numbers)) for start in range(0, len(texts), _TEXTS_AT_ONCE)]
    return np.concatenate(parts or [np.empty((0, POSITIONS), np.uint32)])


def near_duplicates(signatures: Signatures, alive: npt.NDArray[np.bool_], threshold: float) -> Numbers:
    """A conversation that stands there already, but for a few words.

    What it drops: rows whose signature agrees in at least the share `clean.near_duplicates` of its 128 positions with that of an
    earlier row which is kept; 1 turns the rule off. The share estimates how many of all pieces (runs of five tokens) of the two
    conversations both have, with a standard error of sqrt(J (1 - J) / 128): 3.5 points of 100 at 0.8. One changed word changes five
    pieces on each side, so 0.8 lets two texts of 100 tokens differ in two words.
    Why: a conversation that stands there ten times with other names or dates is learnt ten times as hard, by no one's decision.
    Example: "Your order 4711 has been sent, …" and "Your order 4712 has been sent, …", both with the same long answer.
    Known problems: a long system text that all rows share makes all of them alike. Rows that agree in no band of positions are not
    compared: `bands` says how few of them are near. Of the kept rows of a bucket, only the first 32 are compared with later rows;
    equal signatures are always found. Below a threshold of 1/128, two rows must agree in one position at least.
    Source: Broder, On the resemblance and containment of documents (1997); Lee et al., Deduplicating training data makes language
    models better (2021), which takes runs of five tokens and 0.8. datatrove (`pipeline/dedup/minhash.py`) takes all rows of one
    bucket for near and keeps one of each cluster; here the share is counted, and of a chain of rows, each near to the next, every
    one stays that is near to no kept row.

    Args:
        signatures: The rows of `signatures`, perhaps an array in a file: read a few thousand rows at a time.
        alive: The rows that take part; the others are neither compared nor kept.
        threshold: The share from which on two rows are near.

    Returns:
        For each row the number of the earliest kept row among those compared that it is near to, or -1.
    """
    rows = np.flatnonzero(alive)
    leaders = rows[_first_equal(_keys(signatures, rows, slice(0, POSITIONS)))]
    distinct = rows[leaders == rows]
    found = np.full(len(alive), _NONE, np.int64)
    found[distinct] = _search(signatures, distinct, threshold)
    # What a leader is near to, a row equal to it is near to as well; a kept leader is the earliest row that it can be near to.
    of_leader = found[leaders]
    found[rows] = np.where((of_leader == _NONE) & (leaders != rows), leaders, of_leader)
    return found


def bands(threshold: float) -> list[slice]:
    """The positions cut into bands: two rows are held together where they agree in all positions of a band.

    With b bands of r positions, that happens to two rows of similarity s with a probability of 1 - (1 - s^r)^b. The bands are as
    long as they may be for it to reach 0.99 at the threshold: short ones find more pairs, but hold many together that are not near.

        threshold   bands   positions   found at 0.3   0.5      0.7      0.8      0.9      0.95
        0.5         42      3           0.6832         0.9963   1.0000   1.0000   1.0000   1.0000
        0.7         32      4           0.2291         0.8732   0.9998   1.0000   1.0000   1.0000
        0.8         21      6           0.0152         0.2816   0.9278   0.9983   1.0000   1.0000
        0.9         12      10          0.0001         0.0117   0.2910   0.7441   0.9942   1.0000
    """
    lengths = range(POSITIONS, 0, -1)
    length = next((r for r in lengths if 1 - (1 - threshold**r) ** (POSITIONS // r) >= _FOUND), 1)
    return [slice(start, start + length) for start in range(0, POSITIONS - length + 1, length)]


class _TokenNumbers(dict[str, int]):
    """A 64-bit number for each token, made when it is first asked for."""

    def __missing__(self, token: str) -> int:
        number = self[token] = short_digest(token)
        return number


class _Pieces(NamedTuple):
    """The hashes of the pieces of some texts, end to end, and the place where each text's begin."""

    hashes: npt.NDArray[np.uint64]
    starts: Numbers


def _pieces(texts: Sequence[str], numbers: _TokenNumbers) -> _Pieces:
    rows = [_at_least_one_piece(tokens(text) or [normalise(text)]) for text in texts]
    ends = np.cumsum([len(row) for row in rows])
    flat = np.fromiter(map(numbers.__getitem__, chain.from_iterable(rows)), np.uint64, ends[-1])
    windows = sliding_window_view(flat, _PIECE)
    hashes = np.zeros(len(windows), np.uint64)
    for place, factor in enumerate(_PLACE_FACTORS):
        hashes += windows[:, place] * factor
    # The windows that begin in the last tokens of a text reach into the next one.
    reach = _PIECE - 1
    within = np.ones(len(flat), np.bool_)
    within[ends[:, np.newaxis] - np.arange(1, _PIECE)] = False
    starts = np.concatenate([[0], ends[:-1] - reach * np.arange(1, len(ends))])
    return _Pieces(hashes[within[:-reach]], starts)


def _at_least_one_piece(row: list[str]) -> list[str]:
    return row + [_NO_TOKEN] * (_PIECE - len(row))


def _minima(pieces: npt.NDArray[np.uint64], starts: Numbers) -> Signatures:
    minima = np.empty((len(starts), POSITIONS), np.uint32)
    hashed = np.empty_like(pieces)
    for position in range(POSITIONS):
        np.multiply(pieces, _FACTORS[position], out=hashed)
        np.add(hashed, _OFFSETS[position], out=hashed)
        minima[:, position] = np.minimum.reduceat(hashed, starts) >> np.uint64(32)
    return minima


def _keys(signatures: Signatures, rows: Numbers, positions: slice) -> npt.NDArray[np.uint64]:
    """One number for these positions of each row; two rows that differ in them have the same one about once in 2^60 pairs."""
    chunks = (rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE))
    keys = [signatures[chunk, positions] @ _KEY_FACTORS[positions] for chunk in chunks]
    return np.concatenate(keys or [np.empty(0, np.uint64)])


def _first_equal(keys: npt.NDArray[np.uint64]) -> Numbers:
    """For each key the place of the first that is equal to it."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first[group]


def _search(signatures: Signatures, rows: Numbers, threshold: float) -> Numbers:
    """As `near_duplicates`, for rows of distinct signatures."""
    least = max(1, math.ceil(threshold * POSITIONS))
    buckets = _buckets(signatures, rows, threshold)
    kept: list[dict[int, list[int]]] = [{} for _ in range(buckets.shape[1])]
    found = np.full(len(rows), _NONE, np.int64)
    for place in np.flatnonzero((buckets != _NONE).any(axis=1)).tolist():
        mine = [of_band.setdefault(b, []) for of_band, b in zip(kept, buckets[place].tolist(), strict=True) if b != _NONE]
        row = int(rows[place])
        found[place] = _earliest_near(signatures, row, sorted(set().union(*mine)), least)
        if found[place] == _NONE:
            for bucket in mine:
                if len(bucket) < _KEPT_PER_BUCKET:
                    bucket.append(row)
    return found


def _buckets(signatures: Signatures, rows: Numbers, threshold: float) -> npt.NDArray[np.int32]:
    """For each row and band the place of the first row that agrees with it there, or -1 where the row is alone."""
    cuts = bands(threshold)
    buckets = np.empty((len(rows), len(cuts)), np.int32)
    for band, positions in enumerate(cuts):
        first = _first_equal(_keys(signatures, rows, positions))
        is_alone = np.bincount(first, minlength=len(rows))[first] == 1
        buckets[:, band] = np.where(is_alone, _NONE, first)
    return buckets


def _earliest_near(signatures: Signatures, row: int, candidates: Sequence[int], least: int) -> int:
    others = np.array(candidates, np.int64)
    agreeing = np.count_nonzero(signatures[others] == signatures[row], axis=1)
    near = others[agreeing >= least]
    return int(near[0]) if len(near) else _NONE
