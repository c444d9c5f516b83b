"""Near questions by ROUGE-L, exactly and for millions: no pair is guessed, and few are compared.

For token sequences of lengths m and n with a longest common subsequence of c tokens, ROUGE-L F1 is 2c / (m + n). It is above
p/q just when c > p(m + n) / 2q, so integers decide, and a pair at exactly p/q is not near. `overlap.py` finds the pairs that have
that many tokens in common at all; rapidfuzz computes the distances of these few, bit-parallel.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tunewell.clean.overlap import Sets, first_near
from tunewell.text import normalise, tokens

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Encoded(NamedTuple):
    """Questions as numbers, made by a worker: the tokens of question i are `vocabulary[codes[offsets[i] : offsets[i + 1]]]`.

    `tokenless` holds the normalised text of the questions that have no token (a script other than Latin or Han, or signs alone).
    """

    vocabulary: list[str]
    codes: npt.NDArray[np.int32]
    offsets: Numbers
    tokenless: dict[int, str]


def encode(questions: Sequence[str]) -> Encoded:
    """Cut questions into tokens and number these in the order of their appearance."""
    vocabulary: dict[str, int] = {}
    sequences = [[vocabulary.setdefault(token, len(vocabulary)) for token in tokens(question)] for question in questions]
    offsets = np.fromiter(accumulate(map(len, sequences), initial=0), np.int64, len(sequences) + 1)
    codes = np.fromiter(chain.from_iterable(sequences), np.int32, int(offsets[-1]))
    bare = {number: normalise(question) for number, question in enumerate(questions) if not sequences[number]}
    return Encoded(list(vocabulary), codes, offsets, bare)


def novel_rows(parts: Sequence[Encoded], threshold: float, alive: Flags) -> Numbers:
    """A question near to one that was kept before, of the same pool.

    What it drops: rows whose first question has a ROUGE-L F1 above `clean.novelty` with the first question of an earlier kept row
    of the same pool. At exactly the threshold a row is kept. Tasks whose question is on purpose near to others (`similarity`,
    `classification`, `reading`, `paraphrase`, `summary`, `cot`) take no part.
    Why: near-copies crowd out what is rare.
    Example: "How do refunds work?" after "And how do refunds work?".
    Known problems: it depends on the order of rows. Short questions that differ in the one word that matters ("How do I open
    an account?", "How do I close an account?") are near: raise `clean.novelty`, or set it to 1 to turn the rule off.
    Source: the filter of self-instruct and Stanford Alpaca (`generate_instruction.py`); here Han characters are tokens of
    their own, and integers decide ties.

    Args:
        parts: All rows, in order.
        threshold: 1 and more turns the rule off; a question without a token is near only to its equal.
        alive: Rows that take part; the others are neither compared nor kept.

    Returns:
        For each row the number of the first kept row it is near to, or -1 where it is new.
    """
    rivals = np.full(len(alive), -1, np.int64)
    if threshold >= 1:
        return rivals
    texts = _together(parts)
    has_tokens = np.diff(texts.offsets) > 0
    rows = np.flatnonzero(alive & has_tokens)
    found = first_near(_chosen(texts, rows), Fraction(str(threshold)))
    rivals[rows] = np.where(found < 0, -1, rows[found])
    first: dict[str, int] = {}
    for row in np.flatnonzero(alive & ~has_tokens).tolist():
        earlier = first.setdefault(texts.tokenless[row], row)
        rivals[row] = -1 if earlier == row else earlier
    return rivals


def novel(questions: Sequence[str], threshold: float = 0.7) -> list[int]:
    """The places of the questions that are kept when each is compared with every one kept before it.

    >>> novel(["How do refunds work?", "And how do refunds work?", "什么时候提现", "什么时候能提现"])
    [0, 2]
    """
    return np.flatnonzero(novel_rows([encode(questions)], threshold, np.ones(len(questions), np.bool_)) < 0).tolist()


def _together(parts: Iterable[Encoded]) -> Encoded:
    """All parts as one, with one vocabulary."""
    vocabulary: dict[str, int] = {}
    codes, lengths, tokenless, rows = [np.empty(0, np.int32)], [np.zeros(1, np.int64)], dict[int, str](), 0
    for part in parts:
        numbers = np.array([vocabulary.setdefault(token, len(vocabulary)) for token in part.vocabulary], np.int32)
        codes.append(numbers[part.codes])
        lengths.append(np.diff(part.offsets))
        tokenless |= {rows + row: text for row, text in part.tokenless.items()}
        rows += len(part.offsets) - 1
    return Encoded(list(vocabulary), np.concatenate(codes), np.cumsum(np.concatenate(lengths)), tokenless)


def _chosen(texts: Encoded, rows: Numbers) -> Sets:
    lengths = np.diff(texts.offsets)
    chosen = np.zeros(len(lengths), np.bool_)
    chosen[rows] = True
    return Sets(texts.codes[np.repeat(chosen, lengths)], np.concatenate([[0], np.cumsum(lengths[rows])]))
