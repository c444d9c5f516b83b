"""The numbers in a text, written in digits or in words, Chinese or English, so that 1,000 is 1000 and 五天 is 5 days."""

import re
from collections.abc import Iterator
from decimal import Decimal

_WIDE = str.maketrans("０１２３４５６７８９．％", "0123456789.%")
_SCALES = {
    "百": 10**2,
    "千": 10**3,
    "万": 10**4,
    "亿": 10**8,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
}
_HAN_DIGITS = {**{sign: value for value, sign in enumerate("零一二三四五六七八九")}, "〇": 0, "两": 2}
_HAN_TENS = {"十": 10, "百": 100, "千": 1000}
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_SMALL = {word: value for value, word in enumerate(("zero", *_ONES, *_TEENS))}
_TENS = {
    word: 10 * value
    for value, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2)
}

_DIGITS = re.compile(
    r"(?<![0-9.])(?P<value>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)*)"
    r"(?:\s*(?P<scale>百|千|万|亿|(?:hundred|thousand|million|billion)\b))?(?P<percent>\s*(?:%|percent\b|per cent\b))?",
    re.IGNORECASE,
)
_HAN_RUN = r"[零〇一二两三四五六七八九十百千万亿]{1,20}"
_HAN_NUMBER = re.compile(rf"(?P<percent>百分之)?(?P<value>{_HAN_RUN})")
_HAN_UNIT = re.compile(r"个?(?:工作日|自然日|小时|星期|月)|[天日周年元块倍折岁次台核米克]|分钟|秒|公里|人民币")
_HAN_ONCE = re.compile(r"个?(?:工作日|自然日|小时|星期|月)|[天周年元]|分钟")
_NO_AMOUNT = "第同有每某这那周期"
_WORD_NUMBER = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<ones>{'|'.join(_ONES)}))?|(?P<small>{'|'.join(_SMALL)}))\b"
    r"(?:\s+(?P<scale>hundred|thousand|million|billion)\b)?(?P<percent>\s+per\s?cent\b)?",
    re.IGNORECASE,
)
_WORD_UNIT = re.compile(
    r"[- ](?:(?:business|working|calendar|consecutive|full|more)[- ])?(?:second|minute|hour|day|night|week|month|quarter|year|time|"
    r"dollar|euro|pound|cent|yuan|core|gigabyte|megabyte|metre|meter|kilometre|kilometer|mile|kilo|gram|item|user|people)",
    re.IGNORECASE,
)
_MARKERS = re.compile(
    r"^[ \t]*[0-9]{1,2}(?:[.](?![0-9])|[)、）])|[(（][0-9]{1,2}[)）]|第\s*[0-9]{1,2}\s*[步点项]|\bsteps? [0-9]{1,2}\b",
    re.MULTILINE | re.IGNORECASE,
)


def stated(text: str) -> frozenset[str]:
    """The numbers that the text claims, each as its value and perhaps a per cent sign.

    A number in words counts where a unit of measure follows it, for "two ways" and 一些 claim nothing that could be looked up.
    The numbers of list items and steps do not count, nor do digits inside a name (`utf8`).

    Known problems: units are not told apart (5 days, 5 hours); halves and fractions in words are not read.

    >>> sorted(stated("1. 退款需要五个工作日，手续费 0.60%，上限 1,000 元。"))
    ['0.6%', '1000', '5']
    """
    text = _MARKERS.sub(" ", text.translate(_WIDE))
    return frozenset((*_stated_in_digits(text), *_stated_in_han(text), *_stated_in_words(text)))


def readable(text: str) -> frozenset[str]:
    """Every number that can be read in the text, whether it is meant as one or not: what a claim is looked up in.

    >>> sorted(readable("Between three and five days, see utf8."))
    ['3', '5', '8']
    """
    text = text.translate(_WIDE)
    digits = (reading for found in _DIGITS.finditer(text) for reading in (_in_digits(found), *_groups(found["value"])))
    han = (reading for found in _HAN_NUMBER.finditer(text) for reading in _in_han(found))
    words = (_in_words(found) for found in _WORD_NUMBER.finditer(text))
    return frozenset((*digits, *han, *words))


def _stated_in_digits(text: str) -> Iterator[str]:
    for found in _DIGITS.finditer(text):
        before = text[found.start() - 1 : found.start()]
        if not (before.isascii() and (before.isalpha() or before == "_")):
            yield _in_digits(found)


def _stated_in_han(text: str) -> Iterator[str]:
    for found in _HAN_NUMBER.finditer(text):
        run = found["value"]
        unit = (_HAN_ONCE if run == "一" else _HAN_UNIT).match(text, found.end())
        is_large = len(run) > 1 and not _HAN_TENS.keys().isdisjoint(run)
        begins_well = run[0] in _HAN_DIGITS or run[0] == "十"
        if found["percent"] or (
            (unit or is_large) and begins_well and text[found.start() - 1 : found.start()] not in [*_NO_AMOUNT]
        ):
            value = _han_value(run)
            if value is not None:
                yield _shown(Decimal(value), percent=bool(found["percent"]))


def _stated_in_words(text: str) -> Iterator[str]:
    for found in _WORD_NUMBER.finditer(text):
        if found["percent"] or found["scale"] or _WORD_UNIT.match(text, found.end()):
            yield _in_words(found)


def _in_digits(found: re.Match[str]) -> str:
    value = found["value"].replace(",", "")
    if value.count(".") > 1:
        return value
    return _shown(Decimal(value), scale=_SCALES.get((found["scale"] or "").lower(), 1), percent=bool(found["percent"]))


def _groups(value: str) -> list[str]:
    """The numbers of `163,126` one by one, should its comma not be one of thousands."""
    return [_shown(Decimal(group)) for group in value.split(",") if group.count(".") < 2] if "," in value else []


def _in_han(found: re.Match[str]) -> Iterator[str]:
    value = _han_value(found["value"])
    if value is not None:
        yield _shown(Decimal(value), percent=bool(found["percent"]))
    yield from (str(_HAN_DIGITS[sign]) for sign in found["value"] if sign in _HAN_DIGITS)


def _in_words(found: re.Match[str]) -> str:
    tens, ones, small = (found[name] and found[name].lower() for name in ("tens", "ones", "small"))
    value = _TENS[tens] + _SMALL.get(ones or "", 0) if tens else _SMALL[small]
    return _shown(Decimal(value), scale=_SCALES.get((found["scale"] or "").lower(), 1), percent=bool(found["percent"]))


def _shown(value: Decimal, *, scale: int = 1, percent: bool = False) -> str:
    scaled = format(value * scale if scale != 1 else value, "f")
    plain = scaled.rstrip("0").rstrip(".") if "." in scaled else scaled
    return f"{plain}%" if percent else plain


def _han_value(run: str) -> int | None:
    """The value of a run of Chinese numerals; None for two digits side by side (四五天: four or five days)."""
    if set(run) <= _HAN_DIGITS.keys():
        return None if len(run) == 2 else int("".join(str(_HAN_DIGITS[sign]) for sign in run))
    total = below = digit = 0
    for sign in run:
        if sign in _HAN_DIGITS:
            digit = _HAN_DIGITS[sign]
        elif sign in _HAN_TENS:
            below, digit = below + (digit or 1) * _HAN_TENS[sign], 0
        elif sign == "万":
            total, below, digit = total + (below + digit or 1) * 10**4, 0, 0
        else:
            total, below, digit = (total + below + digit or 1) * 10**8, 0, 0
    return total + below + digit
