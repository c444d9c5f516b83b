"""The units of numbers: which words are one unit, and which unit stands beside a number."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain

from tunewell.bundled import read_yaml

COUNT = "count"
"""The unit of what is counted one by one, in pieces, persons or times."""
UNCOUNTED = "uncounted"
"""The same of words too common to make a claim."""

_BEFORE = 6
# What follows 个 is a measure (三个工作日), and never another word for pieces.
_NO_PIECE = r"(?=[工自交小钟星礼季月疗])"
_ADJECTIVE = r"(?:(?:calendar|consecutive|full|more|failed|free|bank|credit)[- ])?"


def unit_after(text: str, place: int) -> str:
    """The unit of the word that follows a place: the name of a measure, `COUNT`, `UNCOUNTED` or an empty string.

    >>> [unit_after(text, 1) for text in ("5 working days", "五毫克", "3张", "5 nights out", "5 x")]
    ['business_day', 'milligram', 'count', 'day', '']
    """
    found = _after().match(text, place)
    if not found:
        return ""
    word = found["word"]
    return _names().get(word.lower()) or _names().get(word.lower().removesuffix("s"), COUNT)


def unit_before(text: str, place: int) -> str:
    """The unit of the sign of currency that ends at a place.

    >>> unit_before("$5", 1), unit_before("CNY 5", 4), unit_before("a 5", 2)
    ('dollar', 'yuan', '')
    """
    found = _before().search(text, max(0, place - _BEFORE), place)
    return _names()[found["word"].lower()] if found else ""


def is_once(text: str, place: int) -> bool:
    """Whether 一 before a place makes an amount: 一天 does, 一次 and 一位 need not."""
    unit = unit_after(text, place)
    return unit not in {"", COUNT, UNCOUNTED} or text.startswith(tuple(_data()["once"]), place)


@cache
def latin_units() -> str:
    """Pattern of an English word of a unit, its plural included."""
    words = sorted((word for word in _names() if word[0].isascii() and word[0].isalpha() and len(word) > 1), key=len, reverse=True)
    return rf"(?:{'|'.join(words)})s?\b"


@cache
def han_units() -> str:
    """Pattern of a Chinese word of a unit that makes a claim, with 个 before it where there may be one."""
    words = [word for word, name in _names().items() if not word[0].isascii() and name != UNCOUNTED]
    return rf"个?(?:{'|'.join(sorted(words, key=len, reverse=True))})"


def same_units() -> list[list[str]]:
    """The words of each unit of measure."""
    return [list(words) for words in _data()["measured"].values()]


@cache
def _data() -> Mapping[str, Mapping[str, Sequence[str]]]:
    data: Mapping[str, Mapping[str, Sequence[str]]] = read_yaml("generate", "checks", "units.yaml")
    return data


@cache
def _names() -> Mapping[str, str]:
    return {
        **dict.fromkeys(chain.from_iterable(_data()["uncounted"]), UNCOUNTED),
        **dict.fromkeys(chain.from_iterable(_data()["counted"]), COUNT),
        **{word: name for name, words in _data()["measured"].items() for word in words},
    }


@cache
def _after() -> re.Pattern[str]:
    words = "|".join(map(_written, sorted(_names(), key=len, reverse=True)))
    return re.compile(rf"(?:[ \t]?个{_NO_PIECE}|[ \t]?[多余来]?[ \t]?|[- ]{_ADJECTIVE})(?P<word>{words})", re.IGNORECASE)


@cache
def _before() -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z])(?P<word>{'|'.join(map(re.escape, _data()['before']))})[ ]?\Z", re.IGNORECASE)


def _written(word: str) -> str:
    """A word as a pattern; those with an ending that must not follow are patterns already."""
    if not word[0].isascii():
        return word
    if not word[0].isalpha():
        return re.escape(word)
    return rf"(?-i:{word})(?![A-Za-z])" if len(word) == 1 else rf"{re.escape(word)}s?(?![A-Za-z])"
