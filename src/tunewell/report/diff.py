"""Which words of two texts are the same, in order: the word-level difference the page highlights."""

import re
from itertools import groupby
from typing import NamedTuple

from rapidfuzz.distance import Indel

_WORD = "[A-Za-z0-9]+|[\u3400-\u4dbf\u4e00-\u9fff]"
_PIECE = re.compile(f"({_WORD})")


class Span(NamedTuple):
    """A stretch of text, and whether the other text has it too."""

    text: str
    shared: bool


class Diff(NamedTuple):
    """Two texts, each cut into spans."""

    left: tuple[Span, ...]
    right: tuple[Span, ...]


def word_diff(left: str, right: str) -> Diff:
    """Cut both texts into spans that the other one shares, or does not, by their longest common run of words.

    Words are those that ROUGE-L counts: Latin words, numbers and single Han characters, without regard to case. What stands
    between two shared words goes with them.

    >>> word_diff("The fee is 2%.", "A fee is due").right
    (Span(text='A ', shared=False), Span(text='fee is', shared=True), Span(text=' due', shared=False))
    """
    left_pieces, right_pieces = _PIECE.split(left), _PIECE.split(right)
    shared_left, shared_right = set[int](), set[int]()
    # Splitting on a group puts the words at the odd places.
    for code in Indel.opcodes(_words(left_pieces), _words(right_pieces)):
        if code.tag == "equal":
            shared_left.update(range(2 * code.src_start + 1, 2 * code.src_end + 1, 2))
            shared_right.update(range(2 * code.dest_start + 1, 2 * code.dest_end + 1, 2))
    return Diff(_spans(left_pieces, shared_left), _spans(right_pieces, shared_right))


def _words(pieces: list[str]) -> list[str]:
    return [piece.lower() for piece in pieces[1::2]]


def _spans(pieces: list[str], shared: set[int]) -> tuple[Span, ...]:
    def is_shared(place: int) -> bool:
        return place in shared or (place - 1 in shared and place + 1 in shared)

    runs = groupby((place for place, piece in enumerate(pieces) if piece), key=is_shared)
    return tuple(Span("".join(pieces[place] for place in run), shared) for shared, run in runs)
