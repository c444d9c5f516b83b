"""Whether a solution reaches the answer that is known."""

import re
from typing import NamedTuple

from tunewell.generate.checks import agreement, same_numbers, unsupported_numbers
from tunewell.generate.numbers import stated
from tunewell.generate.polarity import same_polarity
from tunewell.text import normalise, tokens

# A number that is the whole answer, perhaps with a currency, a per cent sign or a short unit.
_NUMBER = re.compile(r"\D{0,4}[-+]?[0-9][0-9.,]*\D{0,8}")
_ALTERNATIVE = re.compile(r"\b(?:or|either)\b|或|还是|要么", re.IGNORECASE)


class Reached(NamedTuple):
    """How an answer reaches the known one (`equal`, `number`, `held`, `agreement`; empty: it does not), and their ROUGE-L F1."""

    how: str
    agreement: float


def reached(answer: str, known: str, threshold: float) -> Reached:
    """How an answer reaches the known one.

    A number that is the whole known answer is right or wrong: likeness in words does not count, its sign and its unit do. Other
    answers are alike (`agreement`), or one stands word for word in the other (`held`), where the shorter tells every number of the
    longer and no alternative is left out. In all these cases numbers, signs, units, yes and no must be the same.

    Known problems: units that are not listed in `units.yaml` are not compared; right answers in other words are missed.

    >>> [reached("The answer is 42 apples", known, 0.5).how for known in ("42", "-42", "24")]
    ['number', '', '']
    >>> [reached(answer, "20 minutes", 0.5).how for answer in ("About 20 minutes", "20 hours")]
    ['number', '']
    >>> [reached(f"As it was sent last week, it comes {day}.", "On Monday.", 0.5).how for day in ("on Monday", "on Monday or so")]
    ['held', '']
    """
    likeness = agreement(answer, known)
    if _bare(answer) == _bare(known):
        return Reached("equal", likeness)
    if not same_polarity(answer, known):
        return Reached("", likeness)
    if _NUMBER.fullmatch(known.strip()):
        differing = [*unsupported_numbers(answer, known), *unsupported_numbers(known, answer)]
        return Reached("" if differing else "number", likeness)
    if not same_numbers(answer, known):
        return Reached("", likeness)
    return Reached("agreement" if likeness >= threshold else "held" if _is_held(answer, known) else "", likeness)


def _is_held(answer: str, known: str) -> bool:
    if _stands_in(known, answer):
        longer, shorter = answer, known
    # A part of the known answer is the whole of it only where that turns on a number.
    elif _stands_in(answer, known) and stated(answer) and stated(answer) == stated(known):
        longer, shorter = known, answer
    else:
        return False
    return bool(_ALTERNATIVE.search(shorter)) or not _ALTERNATIVE.search(longer)


def _stands_in(shorter: str, longer: str) -> bool:
    words = tokens(shorter)
    return bool(words) and f" {' '.join(words)} " in f" {' '.join(tokens(longer))} "


def _bare(answer: str) -> str:
    return normalise(answer).strip(" .。!！")
