"""Template monotony: the share of questions that one skeleton explains."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tunewell.text import tokens

_LOOKED_AT = 400
_QUOTED = re.compile(r"“[^”]*”|「[^」]*」|《[^》]*》|\"[^\"]*\"|`[^`]*`")
_GAP = "…"
_LEAST_WORDS = 3
_MOST_PIECES = 12
_NEARLY_ALL = 0.9


class Skeleton(NamedTuple):
    """What many questions have in common, gaps as `…`, and how many of them do."""

    text: str
    questions: int


def commonest_skeleton(questions: Sequence[str], *, share: float) -> Skeleton | None:
    """The skeleton with which most questions begin or end, if it explains at least this share of them.

    A skeleton is a question in which numbers, quoted parts and rare words are gaps. Rare is a word that stands in less than
    `share` of the questions: no skeleton that explains so many could hold it. Names and topics fall under it by themselves.
    A skeleton has at least three words, and no more than one gap among the first three. Time grows with the questions' length;
    of each the first 400 characters are looked at.

    Known problem: a Chinese character counts as a word.

    >>> commonest_skeleton(["Write a poem about cats", "Write a poem about 2 dogs", "Who?"], share=0.5)
    Skeleton(text='write a poem about …', questions=2)
    """
    rows = [tokens(_QUOTED.sub(" 0 ", question[:_LOOKED_AT])) for question in questions]
    standing = Counter(word for row in rows for word in set(row))
    known = {word for word, count in standing.items() if count >= share * len(rows) and not any(map(str.isdigit, word))}
    skeletons = [_with_gaps(row, known) for row in rows]
    found = [_commonest_head(skeletons), _commonest_head([skeleton[::-1] for skeleton in skeletons], backwards=True)]
    best = max(found, key=lambda skeleton: skeleton.questions)
    return best if best.questions and best.questions >= share * len(rows) else None


def _with_gaps(row: Iterable[str], known: set[str]) -> tuple[str, ...]:
    pieces: list[str] = []
    for word in row:
        piece = word if word in known else _GAP
        if piece != _GAP or pieces[-1:] != [_GAP]:
            pieces.append(piece)
    return tuple(pieces)


def _commonest_head(skeletons: Sequence[tuple[str, ...]], *, backwards: bool = False) -> Skeleton:
    """The commonest first three words, with a gap at most, made longer while nearly all that have them go on alike."""
    heads = Counter(head for skeleton in skeletons if (head := _head(skeleton)))
    if not heads:
        return Skeleton("", 0)
    head, count = min(heads.items(), key=lambda item: (-item[1], item[0]))
    alike = [skeleton for skeleton in skeletons if skeleton[: len(head)] == head]
    while len(head) < _MOST_PIECES:
        longer, times = Counter(skeleton[: len(head) + 1] for skeleton in alike).most_common(1)[0]
        if times < _NEARLY_ALL * count or len(longer) == len(head):
            break
        head = longer
    return Skeleton(_readable(head[::-1] if backwards else head), count)


def _head(skeleton: tuple[str, ...]) -> tuple[str, ...] | None:
    words = [place for place, piece in enumerate(skeleton[: _LEAST_WORDS + 1]) if piece != _GAP]
    return skeleton[: words[_LEAST_WORDS - 1] + 1] if len(words) >= _LEAST_WORDS else None


def _readable(pieces: Iterable[str]) -> str:
    """Words apart, Han characters together.

    >>> _readable(["how", "do", "i", "…"]), _readable(["什", "么", "是", "…"])
    ('how do i …', '什么是…')
    """
    return re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff…])|(?<=…) (?=[\u3400-\u9fff])", "", " ".join(pieces))
