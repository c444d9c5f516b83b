"""Which of many texts is most like a new one, by ROUGE-L: what self-instruct calls novelty."""

from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from tunewell.text import tokens


class Likeness(NamedTuple):
    """The text that is most like another, their ROUGE-L F1, and whether that is above 0.7."""

    text: str
    score: float
    is_copy: bool


class Alike:
    """Texts that new ones are compared with.

    A comparison with 10,000 texts takes about a millisecond: each token is written as one character, so that rapidfuzz
    compares strings.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._symbols: dict[str, str] = {}
        self._texts: list[str] = []
        self._coded: list[str] = []
        self._lengths = array("q")
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Compare with this text as well from now on."""
        coded = self._code(text)
        self._texts.append(text)
        self._coded.append(coded)
        self._lengths.append(len(coded))

    def nearest(self, text: str) -> Likeness:
        """The text most like this one.

        F1 = 2L / (m + n) with L the length of the longest common subsequence of m and n tokens. Whether it is above 0.7 is
        decided in whole numbers: in floating point 2PR / (P + R) of (m, n, L) = (8, 12, 7) is 0.7000000000000001, and
        upstream drops a text that is 0.7 alike.
        Source: self-instruct (`bootstrap_instructions.py`), by the tokens of `tunewell.text`.
        """
        if not self._texts:
            return Likeness("", 0.0, is_copy=False)
        coded = self._code(text)
        common = cdist([coded], self._coded, scorer=LCSseq.similarity, dtype=np.int64)[0]
        both = np.maximum(np.asarray(self._lengths) + len(coded), 1)
        best = int(np.argmax(2 * common / both))
        return Likeness(self._texts[best], float(2 * common[best] / both[best]), bool(20 * common[best] > 7 * both[best]))

    def _code(self, text: str) -> str:
        return "".join(self._symbols.setdefault(token, chr(1 + len(self._symbols))) for token in tokens(text))
