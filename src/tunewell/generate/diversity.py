"""Rows that lie far from each other: texts as vectors of their words, and k-centre greedy over them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tunewell.text import tokens

_BUCKETS = 1 << 16


class Centres(NamedTuple):
    """Places of the chosen rows in the order of choice, and the distance of every row to the nearest chosen one beside itself."""

    places: list[int]
    nearest: npt.NDArray[np.float64]


def vectors(texts: Sequence[str]) -> Any:
    """A sparse matrix of shape (texts, 65,536): tf-idf of words, Han characters and pairs of them, each row of length 1.

    A feature's column is its hash (the hashing trick: Weinberger et al. 2009, arXiv 0902.2206), so that no vocabulary is held and
    no embedding model is needed.

    Known problems: what shares no word counts as far apart though it may mean the same; features that fall into one column are
    taken for one; scripts other than Latin and Han have no tokens, and a text without any is at distance 1 from all others.
    """
    from scipy.sparse import csr_array

    columns = [_columns(text) for text in texts]
    bounds = np.cumsum([0, *map(len, columns)])
    flat = np.concatenate([*columns, np.empty(0, np.int32)])
    matrix = csr_array((np.ones(len(flat)), flat, bounds), shape=(len(texts), _BUCKETS))
    matrix.sum_duplicates()
    texts_with = np.bincount(matrix.indices, minlength=_BUCKETS)
    matrix.data *= np.log((1 + len(texts)) / texts_with[matrix.indices])
    lengths = np.sqrt((matrix * matrix).sum(axis=1))
    matrix.data /= np.repeat(lengths, np.diff(matrix.indptr))
    return matrix


def _columns(text: str) -> npt.NDArray[np.int32]:
    words = tokens(text)
    features = [*words, *(f"{first} {second}" for first, second in pairwise(words))]
    return np.array([crc32(feature.encode()) % _BUCKETS for feature in features], np.int32)


def k_centre(points: Any, keep: int) -> Centres:
    """At most `keep` rows of a sparse matrix such that no row is far from all of them: each next one is the farthest yet.

    It begins with the first row; of rows equally far the earlier is taken, so that a smaller `keep` gives a prefix of a larger
    one. The largest distance left is at most twice the smallest possible (Gonzalez 1985, doi 10.1016/0304-3975(85)90224-5; for
    choosing training data: Sener & Savarese 2018, arXiv 1708.00489). Time grows as rows × `keep`, memory as rows.

    Example: of ten rows about refunds, ten about fees and one about a lost card, three centres are one of each.

    Known problem: outliers are what lies farthest, and are taken first; nonsense should have been rejected before.
    """
    squares = (points * points).sum(axis=1)
    nearest = np.full(points.shape[0], np.inf)
    is_free = np.ones(points.shape[0], dtype=bool)
    places: list[int] = []
    for _ in range(min(keep, points.shape[0])):
        place = int(np.argmax(np.where(is_free, nearest, -1.0)))
        common = points @ points[[place]].toarray()[0]
        distances = np.sqrt(np.maximum(0.0, squares + squares[place] - 2 * common))
        distances[place] = np.inf
        nearest = np.minimum(nearest, distances)
        is_free[place] = False
        places.append(place)
    return Centres(places, nearest)
