"""Drawing rows by seed. A row's place in a draw hangs on its id alone, so that the order of the input does not matter."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunewell.mix.columns import Names, Numbers
from tunewell.store import short_digest

_STEP, _FIRST, _SECOND = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


class Copies(NamedTuple):
    """Rows in the mixture: their places in the input, and which appearance of the row each is (0 the first)."""

    rows: Numbers
    numbers: NDArray[np.int32]


def draw(rows: Numbers, quota: Fraction, *, ids: Names, weights: Numbers, seed: int) -> Copies:
    """Copies of rows that weigh as near to the quota as can be: some of them once, or all equally often and some once more.

    Those are taken in random order until the quota is met; the row that crosses it is taken where that is nearer to it.

    Args:
        rows: The rows to draw from, ascending places in the input.
        quota: How much to draw.
        ids: The ids of all rows of the input.
        weights: What each row of the input counts: one, or its tokens.
        seed: The run's seed.

    >>> rows, ids = np.arange(2), np.array([7, 8], np.uint64)
    >>> copies = draw(rows, Fraction(5), ids=ids, weights=np.array([1, 1]), seed=0)
    >>> copies.rows.tolist(), copies.numbers.tolist()
    ([0, 1, 0, 1, 0], [0, 0, 1, 1, 2])
    """
    whole, rest = divmod(quota, int(weights[rows].sum()))
    chosen = shuffled(rows, f"draw {whole}", ids=ids, seed=seed)
    further = np.sort(chosen[: _nearest(weights[chosen], rest)])
    counts = np.repeat(np.arange(whole, dtype=np.int32), len(rows))
    return Copies(np.concatenate([np.tile(rows, whole), further]), np.concatenate([counts, np.full(len(further), whole, np.int32)]))


def in_order(copies: Sequence[Copies], *, ids: Names, seed: int) -> Copies:
    """All copies together, in the order in which they are trained on."""
    rows, numbers = (np.concatenate(column) for column in zip(*copies, strict=True))
    keys = np.array([_key(f"order {number}", seed=seed) for number in range(int(numbers.max(initial=0)) + 1)], np.uint64)
    order = np.argsort(_scattered(ids[rows] ^ keys[numbers]), kind="stable")
    return Copies(rows[order], numbers[order])


def shuffled(rows: Numbers, purpose: str, *, ids: Names, seed: int) -> Numbers:
    """The rows in a random order, another one for each purpose and seed; rows of one id stay as they stand."""
    return rows[np.argsort(places(ids[rows], purpose, seed=seed), kind="stable")]


def places(names: Names, purpose: str, *, seed: int) -> Names:
    """A random place for each name, by which names are put in order."""
    return _scattered(names ^ np.uint64(_key(purpose, seed=seed)))


def _nearest(weights: Numbers, quota: Fraction) -> int:
    """How many of the weights, from the first on, add up to the quota most nearly."""
    sums = np.cumsum(weights)
    count = int(np.searchsorted(sums, floor(quota), side="right"))
    if count == len(sums):
        return count
    below = int(sums[count - 1]) if count else 0
    return count + 1 if int(sums[count]) - quota < quota - below else count


def _key(purpose: str, *, seed: int) -> int:
    return short_digest(f"{seed}\n{purpose}")


def _scattered(values: Names) -> Names:
    """A one-to-one map of 64 bits onto 64 bits that look random (SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    values = values + _STEP
    values ^= values >> np.uint64(30)
    values *= _FIRST
    values ^= values >> np.uint64(27)
    values *= _SECOND
    values ^= values >> np.uint64(31)
    return values
