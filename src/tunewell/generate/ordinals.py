"""Ordinals and fractions in a text, so that 第12条 is 第十二条, third is 3rd, and 三分之一 is 1/3."""

import re
from collections.abc import Iterator
from functools import cache

from tunewell.bundled import read_yaml
from tunewell.generate.mentions import LOOSE, Amount, Mention
from tunewell.generate.number_words import DIGITS, HAN, han_values
from tunewell.generate.units import COUNT, UNCOUNTED, unit_after

_WORDS = [
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
    *("thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth"),
]
_IN_ENGLISH = re.compile(rf"\b(?:(?P<digits>[0-9]{{1,4}})(?:st|[nr]d|th)|(?P<word>{'|'.join(_WORDS)}))\b", re.IGNORECASE)
_AFTER_WORD = re.compile(
    r"[- ](?:failed |consecutive )?(?:attempt|century|day|week|month|quarter|year|instalment|installment|paragraph)", re.IGNORECASE
)

_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_COUNTS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "seven": 7, "nine": 9}
_FRACTION = re.compile(
    rf"(?<![百千万])(?P<lower>{HAN})分之(?P<upper>{HAN})|(?<![0-9./])(?P<over>[0-9]{{1,3}})/(?P<under>[0-9]{{1,3}})(?![0-9./])"
    rf"|\b(?P<count>{'|'.join(_COUNTS)})(?:-(?P<part>{'|'.join(_PARTS)})s?\b| (?P<of>{'|'.join(_PARTS)})s?(?= of\b))",
    re.IGNORECASE,
)


def ordinals(text: str) -> Iterator[Mention]:
    """The ordinals of a text. 第一次, 第三方 and `the second` support and claim nothing by themselves.

    >>> [[amount.shown for amount in found.claims] for found in ordinals("第十二条，第2款，附件一，第三方，第一次")]
    [['第12条'], ['第2款'], ['附件1'], [], []]
    >>> [[amount.shown for amount in found.claims] for found in ordinals("the third attempt, the 3rd one, the second")]
    [['3rd'], ['3rd']]
    """
    yield from _ordinals_in_han(text)
    for found in _IN_ENGLISH.finditer(text):
        is_claim = found["digits"] is not None or _AFTER_WORD.match(text, found.end()) is not None
        # Else it may well be the unit of time.
        if is_claim or found["word"].lower() != "second":
            value = int(found["digits"] or _WORDS.index(found["word"].lower()) + 1)
            claim = Amount(_nth(value))
            yield Mention(found.start(), found.end(), (claim,) if is_claim else (), (claim, Amount(str(value), LOOSE)))


def fractions(text: str) -> Iterator[Mention]:
    """The fractions below one that a text names, but for halves and per cents.

    >>> [[amount.shown for amount in found.claims] for found in fractions("三分之二，2/3 or two-thirds of them, 7/3")]
    [['2/3'], ['2/3'], ['2/3']]
    """
    for found in _FRACTION.finditer(text):
        upper, lower = _terms(found)
        if 0 < upper < lower and found["lower"] not in {"百", "千", "万"}:
            claim = Amount(f"{upper}/{lower}")
            yield Mention(found.start(), found.end(), (claim,), (claim, Amount(str(upper), LOOSE), Amount(str(lower), LOOSE)))


def _terms(found: re.Match[str]) -> tuple[int, int]:
    if found["lower"]:
        return int(han_values(found["upper"])[0]), int(han_values(found["lower"])[0])
    if found["over"]:
        return int(found["over"]), int(found["under"])
    return _COUNTS[found["count"].lower()], _PARTS[(found["part"] or found["of"]).lower()]


def _nth(value: int) -> str:
    ending = "th" if value % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")  # codespell:ignore nd
    return f"{value}{ending}"


def _ordinals_in_han(text: str) -> Iterator[Mention]:
    for found in _in_han().finditer(text):
        value, kind = int(found["digits"] or han_values(found["han"])[0]), found["alike"] or ""
        claim = Amount(f"{found['head']}{value}{found['apart'] or ''}")
        # 第一次, 第二天 and 第三方 are said of anything.
        is_claim = (
            found["apart"]
            or found["head"] != "第"
            or (value > 2 and (kind or found["digits"]))
            or (value == 2 and kind not in {"", "天", "日", "年"})
        )
        unit = unit_after(text, found.end("digits") if found["digits"] else found.end("han")).replace(UNCOUNTED, COUNT)
        yield Mention(found.start(), found.end(), (claim,) if is_claim else (), (claim, Amount(str(value), unit or LOOSE)))


@cache
def _in_han() -> re.Pattern[str]:
    apart, alike = read_yaml("generate", "checks", "numbers.yaml")["ordinals"].values()
    return re.compile(
        rf"(?P<head>第|附件|附表|附录)\s?(?:(?P<han>[{''.join(DIGITS)}十百]{{1,7}})|(?P<digits>[0-9]{{1,4}}))"
        rf"\s?(?:(?P<apart>{'|'.join(apart)})|(?P<alike>{'|'.join(alike)}))?"
    )
