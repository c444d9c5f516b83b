"""Numbers written in words, Chinese and English: what they look like, and what they are worth."""

import re
from collections.abc import Mapping
from decimal import Decimal
from math import prod

DIGITS = {**{sign: value for value, sign in enumerate("零一二三四五六七八九")}, "〇": 0, "两": 2}
"""The Chinese digits."""
_PLACES = {"十": 10, "百": 10**2, "千": 10**3}
_MYRIADS = {"万": 10**4, "亿": 10**8}
_DIGIT = f"[{''.join(DIGITS)}]"

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: value for value, word in enumerate(("zero", *_ONES, *_TEENS))} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

SCALES: Mapping[str, int] = {**_PLACES, **_MYRIADS, "hundred": 10**2, **_LARGE, "k": 10**3, "m": 10**6, "bn": 10**9}
"""What a word or sign after a number multiplies it by."""

HAN = rf"(?:{_DIGIT}|[十百万亿]|千(?![米克瓦卡])){{1,40}}(?:点{_DIGIT}{{1,20}}(?![十分])[百千万亿]{{0,2}})?"
"""Pattern of a Chinese number, decimals and 一点五万 included; 千米, 千克 and the like are units."""

_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_ONES)}))?|{'|'.join(['zero', *_ONES[::-1], *_TEENS])})\b"
_HUNDRED = rf"[- ]hundred\b(?: (?:and )?{_BELOW_100})?"
_BELOW_1000 = rf"(?:{_BELOW_100}(?:{_HUNDRED})?|an?{_HUNDRED})"
_SCALE = rf"[- ](?:{'|'.join(_LARGE)})\b"
_LARGER = rf"{_SCALE}(?:,? (?:and )?{_BELOW_1000}(?:{_SCALE})?){{0,4}}"
ENGLISH = rf"\b(?=[aefnostz])(?:{_BELOW_1000}(?:{_LARGER})?|an?{_LARGER})"
"""Pattern of an English number, to be matched without regard to case: `one hundred and twenty`, `two million`."""

_SIDE_BY_SIDE = re.compile(r"([一二两三四五六七八九])([一二三四五六七八九])(?=[十百千万亿]|\Z)")


def han_values(run: str) -> list[Decimal]:
    """What a run that `HAN` matches is worth: one number, or the two that 四五天 and 三四十 leave open.

    Digits alone are read one by one (二〇二四), 一千二 is 1200.

    >>> [*map(int, han_values("三万五"))], [*map(int, han_values("三四十"))], han_values("一点五万")
    ([35000], [30, 40], [Decimal('15000.0')])
    """
    whole, point, rest = run.partition("点")
    if point:
        digits = rest.rstrip("百千万亿")
        scale = scale_of(rest[len(digits) :])
        fraction = "".join(str(DIGITS[sign]) for sign in digits)
        return [(value + Decimal(f"0.{fraction}")) * scale for value in han_values(whole)]
    if DIGITS.keys() >= set(run) and (len(run) > 2 or not set(run).isdisjoint("零〇")):
        return [Decimal("".join(str(DIGITS[sign]) for sign in run))]
    if found := _SIDE_BY_SIDE.search(run):
        return [value for digit in found.groups() for value in han_values(run[: found.start()] + digit + run[found.end() :])]
    return [Decimal(_han_value(run))]


def scale_of(signs: str) -> int:
    """What Chinese signs after a number multiply it by.

    >>> scale_of("百万"), scale_of("")
    (1000000, 1)
    """
    return prod(SCALES[sign] for sign in signs)


def english_value(run: str) -> int:
    """What a run that `ENGLISH` matches is worth.

    >>> english_value("two thousand, one hundred and twenty-five"), english_value("a million")
    (2125, 1000000)
    """
    total = below = 0
    for word in re.findall("[a-z]+", run.lower()):
        if word in _LARGE:
            total, below = total + (below or 1) * _LARGE[word], 0
        elif word == "hundred":
            below = (below or 1) * 100
        else:
            below += _SMALL.get(word, 0)
    return total + below


def _han_value(run: str) -> int:
    total = below = digit = 0
    for sign in run:
        if sign in DIGITS:
            digit = DIGITS[sign]
        elif sign in _PLACES:
            below, digit = below + (digit or 1) * _PLACES[sign], 0
        elif sign == "万":
            total, below, digit = total + (below + digit or 1) * _MYRIADS[sign], 0, 0
        else:
            total, below, digit = (total + below + digit or 1) * _MYRIADS[sign], 0, 0
    # The last digit of 一千二 stands for hundreds; 一千零二 says that it does not.
    place = SCALES.get(run[-2:-1], 10) // 10
    return total + below + digit * max(1, place)
