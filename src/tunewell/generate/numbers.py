"""The numbers in a text, written in digits or in words, Chinese or English, so that 1,000 is 1000 and 五天 is 5 days."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import chain, islice, pairwise
from typing import Literal, NamedTuple

from tunewell.bundled import read_yaml
from tunewell.generate.clock import mentions as times
from tunewell.generate.dates import dates, weekdays
from tunewell.generate.mentions import LOOSE, Amount, Mention, Readable, by_shown
from tunewell.generate.number_words import DIGITS, ENGLISH, HAN, SCALES, english_value, han_values, scale_of
from tunewell.generate.ordinals import fractions, ordinals
from tunewell.generate.rewriting import markers, rewritten
from tunewell.generate.units import COUNT, UNCOUNTED, is_once, latin_units, unit_after, unit_before

_DIGITS = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9]|,[0-9])|[0-9]+(?:\.[0-9]+)*"
# Longer runs are no amounts, and their arithmetic is slow.
_MOST_DIGITS = 40
_HAN_SCALE = r"(?:百|千(?![米克瓦卡])|[万亿]){1,4}"
_NUMBER = re.compile(
    r"(?P<share>[百千万]分之)?(?:"
    rf"(?P<sum>(?<![0-9.])(?:[0-9]{{1,20}}(?:\.[0-9]{{1,20}})?\s?{_HAN_SCALE}){{2,4}})"
    rf"|(?<![0-9.])(?P<digits>{_DIGITS})"
    rf"(?:\s{{0,3}}(?P<scale>{_HAN_SCALE}|(?:hundred|thousand|million|billion|trillion)\b)|(?P<letter>k|(?-i:M)|bn)(?![A-Za-z0-9]))?"
    rf"|(?P<han>{HAN})|(?P<english>{ENGLISH}))"
    r"(?P<percent>\s{0,3}(?:%|‰|个?百分点|percent\b|per cent\b|percentage points?\b))?",
    re.IGNORECASE,
)
_RANGE = re.compile(r"\s?(?:[-–—~～至到]|\bto\b)\s?", re.IGNORECASE)
_LIST = re.compile(r"\s?(?:、|\bor\b|\band\b|或者?|和|及)\s?", re.IGNORECASE)
_BETWEEN = re.compile(r"\b(?:between|from) \Z", re.IGNORECASE)
_ONCE_OR_TWICE = re.compile(r"\b(once|twice)\b", re.IGNORECASE)
_HAN_FACTORS = re.compile(rf"([{''.join(DIGITS)}十点]+)([百千万亿]+)")
_ENGLISH_FACTORS = re.compile(
    r"((?:(?!thousand|million|billion|trillion).){0,40})[- ](hundred|thousand|million|billion|trillion)", re.IGNORECASE
)
_HUNDREDTHS = {"百分之": Decimal(1), "千分之": Decimal("0.1"), "万分之": Decimal("0.01"), "‰": Decimal("0.1")}
_NO_AMOUNT = "第同有每某这那周期"

# A sign before a number, and neither a hyphen, a range nor a subtraction.
_NEGATIVE = re.compile(
    r"(?:(?<![A-Za-z0-9_%)-])(?<![0-9%)]\s)-|(?<![\w%)])(?<![\w%)]\s)–|\b(?:minus|negative)\s|负|零下)[$€£¥]?\Z", re.IGNORECASE
)
_BOUND = re.compile(r"([<>≤≥])=?\s?[-$€£¥]?\Z")
_BOUNDS = {"≤": "<", "≥": ">"}
# Digits of a name: H5, T+1, GPT-4; but not 7x24.
_GLUED = re.compile(r"(?:(?<![0-9A-Za-z])[A-Za-z_]+\+?|(?<![A-Za-z])[A-Z]+-|\b[vV] )\Z")
_VERSION = re.compile(r"(?:\b(?:v|version|release)|版本?|\b[A-Z][A-Za-z]*)[- .:：]?\Z")
_VERSION_AFTER = re.compile(r"\s?版|\s(?:version|release)\b")
_BEFORE = 16


class _Number(NamedTuple):
    start: int
    end: int
    kind: Literal["digits", "written", "mega", "han", "english"]
    written: str
    values: tuple[Decimal, ...]
    """One, but for 四五天."""
    scale: int = 1
    percent: Decimal | None = None
    """How many hundredths it counts; None for a plain number."""
    unit: str = ""
    bound: str = ""
    leads: bool = False
    """Whether a number follows to which it belongs, as the beginning of a range or an item of a list."""

    def amounts(self) -> Iterator[Amount]:
        shown = [self.written] if self.kind == "written" else [_shown(value, self.scale, self.percent) for value in self.values]
        return (Amount(one, "" if self.percent is not None else self.unit, self.bound) for one in shown)


def stated(text: str) -> frozenset[Amount]:
    """The numbers that the text claims, with their units, and dates, times, ordinals and fractions as one claim each.

    A number in words counts where a unit follows it, for "two ways" and 一些 claim nothing that could be looked up. The numbers of
    list items and steps do not count, nor do digits inside a name (`utf8`).

    Known problems: units are not converted (半小时, 30 分钟); 1万2 is 10000 and 2.

    >>> sorted(amount.shown for amount in stated("1. 退款需要五个工作日，手续费 0.60%，上限 1,000 元。"))
    ['0.6%', '1000', '5']
    >>> sorted(amount.shown for amount in stated("百分之零点六到百分之一，下午五点半前，三月五日，第二条，一千二百元"))
    ['0.6%', '03-05', '1%', '1200', '5:30 pm', '第2条']
    """
    text = rewritten(text)
    text = _without(text, [(marker.start, marker.end) for marker in markers(text) if marker.counts_up])
    mentions, rest = _parted(text)
    return frozenset((*chain.from_iterable(mention.claims for mention in mentions), *_claims(rest)))


def readable(text: str) -> Readable:
    """Every number that can be read in the text, whether it is meant as one or not: what a claim is looked up in.

    >>> sorted(readable("Between three and five days, see utf8."))
    ['3', '5', '8']
    >>> sorted(readable("三十天，1,000 元，3-5%")), sorted(readable("a month, twice, 17:00"))
    (['1000', '3%', '30', '5%'], ['1', '17', '2', '5:00', '5:00 pm'])
    """
    text = rewritten(text)
    items = [marker for marker in markers(text) if marker.counts_up or marker.begins_line]
    found = [Amount(str(marker.number), LOOSE) for marker in items]
    text = _without(text, [(marker.start, marker.end) for marker in items])
    found += (Amount("1", unit_after(text, place.end(1))) for place in _a_unit().finditer(text))
    found += (Amount("1" if place[1].lower() == "once" else "2", COUNT) for place in _ONCE_OR_TWICE.finditer(text))
    mentions, rest = _parted(text)
    return by_shown((*found, *chain.from_iterable(mention.readings for mention in mentions), *_held(rest)))


class _Parted(NamedTuple):
    mentions: list[Mention]
    rest: str
    """The text without them, in which plain numbers are left."""


def _parted(text: str) -> _Parted:
    found: list[Mention] = []
    for reader in (dates, fractions, ordinals, times, weekdays):
        mentions = list(reader(text))
        found += mentions
        text = _without(text, [(mention.start, mention.end) for mention in mentions if mention.start < mention.end])
    return _Parted(found, _blanked_words().sub(" @ ", text))


def _without(text: str, places: Sequence[tuple[int, int]]) -> str:
    kept = pairwise([0, *chain.from_iterable(places), len(text)])
    return " @ ".join(text[start:end] for start, end in islice(kept, 0, None, 2))


@cache
def _blanked_words() -> re.Pattern[str]:
    words = "|".join(read_yaml("generate", "checks", "numbers.yaml")["words"])
    return re.compile(rf"(?<![0-9{''.join(DIGITS)}十百千万亿])(?:{words})")


@cache
def _a_unit() -> re.Pattern[str]:
    return re.compile(rf"\b(an?|per|each|every)(?=[- ](?:(?:business|working|calendar|full)[- ])?{latin_units()})", re.IGNORECASE)


def _held(text: str) -> Iterator[Amount]:
    for number in _linked(text):
        is_word = number.kind == "han" and len(number.written) == 1 and number.percent is None
        is_one = number.kind == "english" and number.written.lower() == "one"
        is_part = is_word or is_one or _GLUED.search(text, max(0, number.start - _BEFORE), number.start)
        yield from number._replace(unit=number.unit or (LOOSE if is_part and not number.leads else "")).amounts()
        if number.kind == "mega":
            # M stands for a million, and for much else (10M of memory).
            yield from number._replace(scale=10**6).amounts()


def _claims(text: str) -> Iterator[Amount]:
    """The numbers that are meant as such. The beginning of a range is one where its end is."""
    is_claim = False
    for number in _linked(text):
        is_claim = _is_claim(number, text) or (
            number.leads and is_claim and text[number.start - 1 : number.start] not in [*_NO_AMOUNT]
        )
        if is_claim:
            yield from number.amounts()


def _is_claim(number: _Number, text: str) -> bool:
    before = text[number.start - 1 : number.start]
    unit = unit_after(text, number.end)
    is_counted = unit not in {"", UNCOUNTED}
    if number.kind == "english":
        return number.percent is not None or number.scale > 1 or "hundred" in number.written.lower() or is_counted
    if number.kind != "han":
        return not (before.isascii() and (before.isalpha() or before == "_"))
    if number.percent is not None or "点" in number.written:
        return True
    run = number.written
    begins_well = (run[0] in DIGITS or run[0] == "十") and before not in [*_NO_AMOUNT]
    is_large = len(run) > 1 and not set(run).isdisjoint("十百千万亿")
    return begins_well and (is_large or (is_once(text, number.end) if run == "一" else is_counted))


def _linked(text: str) -> Iterator[_Number]:
    """The numbers of a text from its end, each with what it shares with the next in a range or list: 3-5%, 2 to 3 million."""
    after: _Number | None = None
    for number in reversed(list(_numbers(text))):
        if after is not None:
            gap = text[number.end : after.start]
            is_range = _RANGE.fullmatch(gap) is not None
            if gap.strip() == "and":
                is_range = _BETWEEN.search(text, max(0, number.start - _BEFORE), number.start) is not None
            if is_range:
                number = _in_range(number, after)
            elif _LIST.fullmatch(gap) and number.percent is None and after.percent is None:
                number = number._replace(unit=number.unit or after.unit, leads=True)
        yield number
        after = number


def _in_range(number: _Number, after: _Number) -> _Number:
    """The beginning of a range: 2 to 3 million are millions, 5000 到 1 万 are not."""
    if number.unit or number.percent is not None or not (number.values and after.values):
        return number._replace(leads=True)
    scale = after.scale if number.scale == 1 and number.values[0] < after.values[0] else number.scale
    return number._replace(leads=True, unit=after.unit, percent=after.percent, scale=scale)


def _numbers(text: str) -> Iterator[_Number]:
    for found in _NUMBER.finditer(text):
        sign = (found["percent"] or "").strip()
        percent = _HUNDREDTHS.get(found["share"] or sign, Decimal(1) if sign else None)
        unit = unit_before(text, found.start()) or unit_after(text, found.end()).replace(UNCOUNTED, COUNT)
        bound = _BOUND.search(text, max(0, found.start() - _BEFORE), found.start())
        number = _Number(found.start(), found.end(), "digits", found.group(), (), 1, percent, unit)
        if bound:
            number = number._replace(bound=_BOUNDS.get(bound[1], bound[1]))
        number = _read(number, found, text)
        if _NEGATIVE.search(text, max(0, found.start() - _BEFORE), found.start()):
            number = number._replace(values=tuple(-value for value in number.values))
        yield number


def _read(number: _Number, found: re.Match[str], text: str) -> _Number:
    if found["digits"]:
        return _in_digits(number, found, text)
    if found["sum"]:
        parts = re.findall(r"([0-9.]+)\s?([百千万亿]+)", found["sum"])
        return number._replace(values=(sum((Decimal(value) * scale_of(scale) for value, scale in parts), Decimal()),))
    if run := found["han"]:
        factors = _HAN_FACTORS.fullmatch(run)
        head, scale = factors.groups() if factors else (run, "")
        return number._replace(kind="han", written=run, values=tuple(han_values(head)), scale=scale_of(scale))
    run = found["english"]
    factors = _ENGLISH_FACTORS.fullmatch(run)
    head, scale = factors.groups() if factors else (run, "")
    value = Decimal(english_value(head) or int(bool(scale)))
    return number._replace(kind="english", written=run, values=(value,), scale=SCALES.get(scale.lower(), 1))


def _in_digits(number: _Number, found: re.Match[str], text: str) -> _Number:
    written = found["digits"].replace(",", "")
    if written.count(".") > 1 or len(written) > _MOST_DIGITS:
        return number._replace(kind="written", written=written)
    if (
        "." in written
        and written.endswith("0")
        and number.unit in {"", COUNT}
        and number.percent is None
        and _is_version(found, text)
    ):
        # 3.10 is another version than 3.1; 3.0 is 3.
        return number._replace(kind="written", written=re.sub(r"\.0+\Z", "", written))
    number = number._replace(values=(Decimal(written),))
    if found["letter"] == "M" and not unit_before(text, found.start()):
        return number._replace(kind="mega")
    scale = (found["scale"] or found["letter"] or "").lower()
    return number._replace(scale=SCALES[scale] if scale in SCALES else scale_of(scale))


def _is_version(found: re.Match[str], text: str) -> bool:
    before = _VERSION.search(text, max(0, found.start() - _BEFORE), found.start())
    return before is not None or _VERSION_AFTER.match(text, found.end()) is not None


def _shown(value: Decimal, scale: int, percent: Decimal | None) -> str:
    for factor in (scale, percent):
        # A product is rounded, a value as it is written is not.
        value = value if factor in {1, None} else value * factor
    plain = format(value, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return plain if percent is None else f"{plain}%"
