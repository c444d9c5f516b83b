"""The chunks that a question might be answered in, by the words they have in common."""

import heapq
import math
from array import array
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise

from tunewell.generate.tasks.grounding import Check, SecondAnswer, material_of
from tunewell.records import Document
from tunewell.text import tokens

# A word that so many chunks hold says little about any of them, and would be slow to count.
_TOO_COMMON = 1000


class Neighbours:
    """All chunks, by the words and pairs of neighbouring Han characters they hold."""

    def __init__(self, chunks: Sequence[Document]) -> None:
        self._chunks = chunks
        self._places: dict[str, array[int]] = defaultdict(lambda: array("l"))
        for place, chunk in enumerate(chunks):
            for term in set(_terms(material_of(chunk))):
                self._places[term].append(place)

    def nearest(self, question: str, chunk: Document, most: int = 2) -> list[Document]:
        """At most so many other chunks that share words with the question, rare words counting more; the closest first."""
        weights: dict[int, float] = defaultdict(float)
        for term in sorted(set(_terms(question))):
            places = self._places.get(term, ())
            if 0 < len(places) <= _TOO_COMMON:
                for place in places:
                    weights[place] += math.log(1 + len(self._chunks) / len(places))
        best = heapq.nsmallest(most + 1, weights, key=lambda place: (-weights[place], place))
        return [self._chunks[place] for place in best if self._chunks[place].id != chunk.id][:most]


async def answered_elsewhere(others: Iterable[Document], read: Callable[[str], Awaitable[SecondAnswer]]) -> Check:
    """That no other chunk answers a question, as `read` finds, which is given the material of each.

    Without this, a model would learn to refuse what another page of the same documents answers. Known problem: chunks that
    answer in quite other words than the question's are not among its neighbours.
    """
    for other in others:
        second = await read(material_of(other))
        if second.answerable:
            return Check("answered_elsewhere", f"chunk {other.id}: {second.answer}")
    return Check("answered_elsewhere", "")


def _terms(text: str) -> list[str]:
    words = tokens(text)
    pairs = [one + other for one, other in pairwise(words) if not (one.isascii() or other.isascii())]
    return [*(word for word in words if word.isascii()), *pairs]
