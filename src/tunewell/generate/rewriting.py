"""Other ways of writing numbers, written in plain digits; and the numbers of list items, which count nothing."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from tunewell.generate.number_words import ENGLISH, HAN, english_value
from tunewell.generate.units import han_units, latin_units

_PLAIN = str.maketrans(
    {
        **dict(zip("０１２３４５６７８９．％：＜＞＋－−", "0123456789.%:<>+--", strict=True)),
        **dict(zip("壹贰叁肆伍陆柒捌玖拾佰仟", "一二三四五六七八九十百千", strict=True)),
        **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", (f"^{sign}" for sign in "0123456789-"), strict=True)),
        **{chr(0x2460 + place): f"({place + 1})" for place in range(20)},
        "½": "\0.5",
        "¼": "\0.25",
        "¾": "\0.75",
        "⅛": "\0.125",
        "⅓": " 1/3",
        "⅔": " 2/3",
        "㎎": "mg",
        "㎏": "kg",
        "㎝": "cm",
        "㎜": "mm",
        "㎞": "km",
    }
)
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.-])(?:(?:\+?[0-9]{1,3}[- ])?\(?[0-9]{3,4}\)?[- ][0-9]{3,4}-[0-9]{3,4}(?![\w-])|[48]00 [0-9]{3} [0-9]{4}\b)"
)

_MARKER = re.compile(
    r"^[ \t>]*(?:[-*+•][ \t]+)?(?:\*\*|__)?(?P<line>\d{1,2})(?:[.．](?!\d)|[)、）])(?=[ \t*_]*[^\s*_])"
    r"|[(（](?P<bracket>\d{1,2})[)）]"
    r"|(?:(?<=[.!?;:]\s)|(?<=[。！？；：:]))\s?(?:\*\*)?(?P<inline>\d{1,2})(?:\.(?=\s)|[、)）])(?=\s?[^\W\d])"
    r"|第\s?(?P<nth>\d{1,2})\s?步|步骤\s?(?P<han>\d{1,2})|\bsteps? (?P<step>\d{1,2})\b",
    re.MULTILINE | re.IGNORECASE,
)


class Marker(NamedTuple):
    """The number of an item of a list or of a step."""

    start: int
    end: int
    number: int
    counts_up: bool
    """Whether all numbers below it are there too, as in a list; else it may be a number that is meant: `5. That is the limit.`"""
    begins_line: bool


def rewritten(text: str) -> str:
    """The text with halves, powers, digits of other shapes and phone numbers in plain digits.

    >>> rewritten("两个半小时, ¾ cup, .5 mg, 10⁶, 400-820-8820, 三（3）天")
    '两点五个小时, 0.75 cup, 0.5 mg, 1000000, 4008208820, 3天'
    """
    text = text.translate(_PLAIN)
    for pattern, replacement in _replaced():
        text = pattern.sub(replacement, text)
    return _PHONE.sub(lambda found: re.sub(r"\D", "", found.group()), text)


def markers(text: str) -> Iterator[Marker]:
    r"""The numbers of list items and steps in a text.

    >>> [marker.number for marker in markers("1. Open it. 2. Save it.\n5. That is the limit.") if marker.counts_up]
    [1, 2]
    """
    found = [(place, int(next(filter(None, place.groups())))) for place in _MARKER.finditer(text)]
    numbers, last = {number for _, number in found}, 0
    while last + 1 in numbers:
        last += 1
    for place, number in found:
        yield Marker(place.start(), place.end(), number, number <= last or place["nth"] is not None, place["line"] is not None)


@cache
def _replaced() -> list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]:
    han, latin = han_units(), latin_units()
    any_case = re.IGNORECASE
    return [
        (re.compile(r"\b(?:USD|CNY|RMB|EUR|GBP|HKD|JPY|US\$|HK\$)(?=[0-9])"), r"\g<0> "),
        (re.compile(r"(?<![A-Za-z0-9_])v(?=[0-9])", any_case), "v "),
        (re.compile(r"(?<=[0-9])\0"), ""),
        (re.compile(r"\0"), "0"),
        (re.compile(r"(?<![0-9A-Za-z.])\.(?=[0-9])"), "0."),
        (re.compile(r"(?<=[0-9])，(?=[0-9]{3}(?![0-9]))"), ","),
        (re.compile(r"\b10\^([0-9](?:\^?[0-9])?)(?![0-9])"), lambda found: "1" + "0" * int(found[1].replace("^", ""))),
        (re.compile(rf"(?:(?<![^\W_]){HAN}|{ENGLISH})\s?[(（]([0-9]+)[)）]\s?", any_case), r"\1"),
        (re.compile(rf"({ENGLISH}|\b[0-9]+) and a half\b", any_case), lambda found: f"{_whole(found[1])}.5"),
        (re.compile(rf"\b(?:an?|one) ({latin}) and a half\b", any_case), r"1.5 \1"),
        (re.compile(rf"\bhalf(?: an?|-) ?(?={latin})", any_case), "0.5 "),
        (re.compile(r"\bhalf a (?=million\b|billion\b)", any_case), "0.5 "),
        (re.compile(r"\b(?:12 )?noon\b", any_case), "12 pm"),
        (re.compile(r"\b(?:12 )?midnight\b", any_case), "12 am"),
        (re.compile(rf"([百千万]分之)({HAN}|[0-9.]+)([到至~～—–-])(?![百千万]分之)(?={HAN}|[0-9])"), r"\1\2\3\1"),
        (re.compile(rf"({HAN})个半(?={han})"), r"\1点五个"),
        (re.compile(rf"([0-9])个半(?={han})"), r"\1.5个"),
        (re.compile(r"([0-9])(年|天|小时|片|粒)半(?![个年天日夜])"), r"\1.5\2"),
        (re.compile(rf"({HAN})(年|天|小时|片|粒)半(?![个年天日夜])"), r"\1点五\2"),
        (re.compile(rf"(?<![0-9一二两三四五六七八九十点多大前后上下])半(?={han})"), "0.5"),
    ]


def _whole(written: str) -> str:
    return written if written[0].isdigit() else str(english_value(written))
