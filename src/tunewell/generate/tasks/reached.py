"""Whether a solution reaches the answer that is known."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from tunewell.bundled import read_yaml
from tunewell.generate.checks import agreement, same_numbers, unsupported_numbers
from tunewell.generate.numbers import stated
from tunewell.generate.polarity import same_polarity
from tunewell.text import normalise, tokens

# A number that is the whole answer, perhaps with a currency, a per cent sign or a short unit.
_NUMBER = re.compile(r"\D{0,4}[-+]?[0-9][0-9.,]*\D{0,8}")
# A sign before a number, and neither a hyphen, a range nor a subtraction.
_NEGATIVE = re.compile(
    r"(?<![\w%)])(?<![0-9%)]\s)(?:[-\u2013\u2212]|(?:minus|negative)\s)(?=[$€£¥]?[0-9])|负(?=[0-9零一二两三四五六七八九十百千万])|零下",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"\b(?:or|either)\b|或|还是|要么", re.IGNORECASE)
_HAN = re.compile(r"[\u4e00-\u9fff]")


class Reached(NamedTuple):
    """How an answer reaches the known one (`equal`, `number`, `held`, `agreement`; empty: it does not), and their ROUGE-L F1."""

    how: str
    agreement: float


def reached(answer: str, known: str, threshold: float) -> Reached:
    """How an answer reaches the known one.

    A number that is the whole known answer is right or wrong: likeness in words does not count, its sign and its unit do. Other
    answers are alike (`agreement`), or one stands word for word in the other (`held`), where the shorter tells every number of the
    longer and no alternative is left out. In all these cases numbers, signs, units, yes and no must be the same.

    Known problems: units that are not listed in `cot.yaml` are not compared; right answers in other words are missed.

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
    if not (_same_amounts(answer, known) and same_polarity(answer, known)):
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


def _same_amounts(one: str, other: str) -> bool:
    """Whether numbers have the same sign, and the same units where both texts name any."""
    left, right = _units(one), _units(other)
    return bool(_NEGATIVE.search(one)) == bool(_NEGATIVE.search(other)) and (left <= right or right <= left)


def _units(text: str) -> frozenset[str]:
    return frozenset(name for found in _unit_words().finditer(normalise(text)) if (name := found.lastgroup))


@cache
def _unit_words() -> re.Pattern[str]:
    units: Mapping[str, Sequence[str]] = read_yaml("generate", "cot.yaml")["units"]
    return re.compile("|".join(f"(?P<{name}>{'|'.join(map(_unit_pattern, words))})" for name, words in units.items()))


def _unit_pattern(word: str) -> str:
    """A unit as it stands in a text: Han words and short ones after a number, longer ones anywhere, signs of currency too."""
    if _HAN.match(word):
        return rf"(?<=[0-9零一二两三四五六七八九十百千万亿半个 ]){word}"
    if not word[0].isalpha():
        return re.escape(word)
    before = r"(?<![a-z])" if len(word) > 2 else r"(?:(?<=[0-9])|(?<=[0-9] ))"
    return rf"{before}{word}(?![a-z])"


def _bare(answer: str) -> str:
    return normalise(answer).strip(" .。!！")
