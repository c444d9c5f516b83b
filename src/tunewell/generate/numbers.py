"""The numbers in a text, written in digits or in words, Chinese or English, so that 1,000 is 1000 and 五天 is 5 days."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain, islice, pairwise
from typing import Literal, NamedTuple

from tunewell.generate.clock import claimed, readings, times
from tunewell.generate.number_words import DIGITS, ENGLISH, HAN, SCALES, english_value, han_values, scale_of

_WIDE = str.maketrans("０１２３４５６７８９．％：", "0123456789.%:")

_CURRENCY = re.compile(r"\b(?:USD|CNY|RMB|EUR|GBP|HKD|JPY|US\$|HK\$)(?=[0-9])")
_HAN_UNIT = r"千[米克瓦卡]|个?(?:工作日|自然日|小时|钟头|星期|礼拜|季度|月)|[天日周年元块倍折岁次台核米克]|分钟|秒|公里|人民币|美元"
_UNIT = (
    "second|minute|hour|day|night|week|month|quarter|year|time|dollar|euro|pound|cent|yuan|core|gigabyte|megabyte|metre|meter|"
    "kilometre|kilometer|mile|kilo|gram|item|user|people"
)
_WORD_UNIT = re.compile(rf"[- ](?:(?:business|working|calendar|consecutive|full|more)[- ])?(?:{_UNIT})", re.IGNORECASE)
_HAN_UNITS = re.compile(_HAN_UNIT)
_HAN_ONCE = re.compile(r"个?(?:工作日|自然日|小时|钟头|星期|礼拜|季度|月)|[天周年元]|分钟")
_NO_AMOUNT = "第同有每某这那周期"

# Other ways of writing a number are written in digits first.
_REWRITTEN: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_CURRENCY, r"\g<0> "),
    (re.compile(r"(?<=[0-9])½"), ".5"),
    (re.compile(r"½"), "0.5"),
    (re.compile(rf"({ENGLISH}|\b[0-9]+) and a half\b", re.IGNORECASE), lambda found: f"{_whole(found[1])}.5"),
    (re.compile(rf"\b(?:an?|one) ({_UNIT}) and a half\b", re.IGNORECASE), r"1.5 \1"),
    (re.compile(rf"\bhalf(?: an?|-) ?(?={_UNIT})", re.IGNORECASE), "0.5 "),
    (re.compile(r"\bhalf a (?=million\b|billion\b)", re.IGNORECASE), "0.5 "),
    (re.compile(r"\b(?:12 )?noon\b", re.IGNORECASE), "12 pm"),
    (re.compile(r"\b(?:12 )?midnight\b", re.IGNORECASE), "12 am"),
    (re.compile(rf"([百千万]分之)({HAN}|[0-9.]+)([到至~～—–-])(?![百千万]分之)(?={HAN}|[0-9])"), r"\1\2\3\1"),
    (re.compile(rf"({HAN})个半(?={_HAN_UNIT})"), r"\1点五个"),
    (re.compile(rf"([0-9])个半(?={_HAN_UNIT})"), r"\1.5个"),
    (re.compile(r"([0-9])(年|天|小时)半(?![个年天日夜])"), r"\1.5\2"),
    (re.compile(rf"({HAN})(年|天|小时)半(?![个年天日夜])"), r"\1点五\2"),
    (re.compile(rf"(?<![0-9一二两三四五六七八九十点多大前后上下])半(?={_HAN_UNIT})"), "0.5"),
)

_DIGITS = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)*"
_HAN_SCALE = r"(?:百|千(?![米克瓦卡])|[万亿])+"
_NUMBER = re.compile(
    r"(?P<share>[百千万]分之)?(?:"
    rf"(?P<sum>(?<![0-9.])(?:[0-9]+(?:\.[0-9]+)?\s?{_HAN_SCALE}){{2,4}})"
    rf"|(?<![0-9.])(?P<digits>{_DIGITS})"
    rf"(?:\s*(?P<scale>{_HAN_SCALE}|(?:hundred|thousand|million|billion|trillion)\b)|(?P<letter>k|(?-i:M)|bn)(?![A-Za-z0-9]))?"
    rf"|(?P<han>{HAN})|(?P<english>{ENGLISH}))"
    r"(?P<percent>\s*(?:%|‰|个?百分点|percent\b|per cent\b|percentage points?\b))?",
    re.IGNORECASE,
)
_RANGE = re.compile(r"\s?(?:[-–—~～至到]|to|and|or|或)\s?", re.IGNORECASE)
_A_UNIT = re.compile(
    rf"\b(?:an?|once|per|each|every)[- ](?:(?:business|working|calendar|full)[- ])?(?:{_UNIT})s?\b|\bonce\b", re.IGNORECASE
)
_TWICE = re.compile(r"\btwice\b", re.IGNORECASE)
_HAN_FACTORS = re.compile(rf"([{''.join(DIGITS)}十点]+)([百千万亿]+)")
_ENGLISH_FACTORS = re.compile(
    r"((?:(?!thousand|million|billion|trillion).)*)[- ](hundred|thousand|million|billion|trillion)", re.IGNORECASE
)
_MONEY = re.compile(r"(?:[$¥￥€£]|\b(?:USD|CNY|RMB|EUR|GBP|HKD|JPY)) ?\Z")
_HUNDREDTHS = {"百分之": Decimal(1), "千分之": Decimal("0.1"), "万分之": Decimal("0.01"), "‰": Decimal("0.1")}

_MARKERS = re.compile(
    r"^[ \t>]*(?:[-*+•][ \t]+)?(?:\*\*|__)?\d{1,2}(?:[.．](?!\d)|[)、）])|[(（]\d{1,2}[)）]"
    r"|(?:(?<=[.!?;:]\s)|(?<=[。！？；：]))\s?(?:\*\*)?\d{1,2}(?:\.(?=\s)|[、)）])(?=\s?[^\W\d])"
    r"|第\s?\d{1,2}\s?[步点项]|步骤\s?\d{1,2}|\bsteps? \d{1,2}\b",
    re.MULTILINE | re.IGNORECASE,
)


class _Number(NamedTuple):
    start: int
    end: int
    kind: Literal["digits", "version", "mega", "han", "english"]
    written: str
    values: tuple[Decimal, ...]
    """One, but for 四五天."""
    scale: int
    percent: Decimal | None
    """How many hundredths it counts; None for a plain number."""

    def shown(self) -> list[str]:
        return [self.written] if self.kind == "version" else [_shown(value, self.scale, self.percent) for value in self.values]

    def like(self, other: "_Number") -> "_Number":
        """This one with the scale and the per cent of the other end of its range: 3-5%, two to three million."""
        return self._replace(scale=max(self.scale, other.scale), percent=other.percent if self.percent is None else self.percent)


def stated(text: str) -> frozenset[str]:
    """The numbers that the text claims, each as its value and perhaps a per cent sign, and times of the day (`5:00 pm`).

    A number in words counts where a unit of measure follows it, for "two ways" and 一些 claim nothing that could be looked up.
    The numbers of list items and steps do not count, nor do digits inside a name (`utf8`).

    Known problems: units are not told apart (5 days, 5 hours) and not converted (半小时, 30 分钟); fractions but for halves and
    per cents are not read (三分之一); 1万2 is 10000 and 2.

    >>> sorted(stated("1. 退款需要五个工作日，手续费 0.60%，上限 1,000 元。"))
    ['0.6%', '1000', '5']
    >>> sorted(stated("百分之零点六到百分之一，下午五点半前，一千二百元"))
    ['0.6%', '1%', '1200', '5:30 pm']
    """
    text = _rewritten(_MARKERS.sub(" ", text))
    of_day = [time for time in times(text) if time.is_sure]
    kept = pairwise([0, *(place for time in of_day for place in (time.start, time.end)), len(text)])
    text = " @ ".join(text[start:end] for start, end in islice(kept, 0, None, 2))
    return frozenset((*map(claimed, of_day), *(shown for number in _claims(text) for shown in number.shown())))


def readable(text: str) -> frozenset[str]:
    """Every number that can be read in the text, whether it is meant as one or not: what a claim is looked up in.

    >>> sorted(readable("Between three and five days, see utf8."))
    ['3', '5', '8']
    >>> sorted(readable("三十天，1,000 元，3-5%")), sorted(readable("a month, twice, 17:00"))
    (['1000', '3', '3%', '30', '5%'], ['0', '1', '17', '2', '5:00', '5:00 pm'])
    """
    text = _rewritten(text)
    numbers = list(_numbers(text))
    # M stands for a million, and for much else (10M of memory).
    numbers += [number._replace(scale=10**6) for number in numbers if number.kind == "mega"]
    for one, other in pairwise(list(numbers)):
        if _RANGE.fullmatch(text, one.end, other.start):
            numbers += [one.like(other), other.like(one)]
    ones = (shown for pattern, shown in ((_A_UNIT, "1"), (_TWICE, "2")) if pattern.search(text))
    return frozenset((*ones, *chain(*map(readings, times(text))), *(shown for number in numbers for shown in number.shown())))


def _rewritten(text: str) -> str:
    text = text.translate(_WIDE)
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return text


def _whole(written: str) -> int:
    return int(written) if written.isdigit() else english_value(written)


def _numbers(text: str) -> Iterator[_Number]:
    for found in _NUMBER.finditer(text):
        sign = (found["percent"] or "").strip()
        percent = _HUNDREDTHS.get(found["share"] or sign, Decimal(1) if sign else None)
        number = _Number(found.start(), found.end(), "digits", found.group(), (), 1, percent)
        if found["digits"]:
            yield _in_digits(number, found, text)
        elif found["sum"]:
            parts = re.findall(r"([0-9.]+)\s?([百千万亿]+)", found["sum"])
            yield number._replace(values=(sum((Decimal(value) * scale_of(scale) for value, scale in parts), Decimal()),))
        elif found["han"]:
            yield _in_han(number, found["han"])
        else:
            yield _in_english(number, found["english"])


def _in_han(number: _Number, run: str) -> _Number:
    factors = _HAN_FACTORS.fullmatch(run)
    head, scale = factors.groups() if factors else (run, "")
    return number._replace(kind="han", written=run, values=tuple(han_values(head)), scale=scale_of(scale))


def _in_english(number: _Number, run: str) -> _Number:
    factors = _ENGLISH_FACTORS.fullmatch(run)
    head, scale = factors.groups() if factors else (run, "")
    return number._replace(
        kind="english", values=(Decimal(english_value(head) or int(bool(scale))),), scale=SCALES.get(scale.lower(), 1)
    )


def _in_digits(number: _Number, found: re.Match[str], text: str) -> _Number:
    written = found["digits"].replace(",", "")
    if written.count(".") > 1:
        return number._replace(kind="version", written=written)
    number = number._replace(values=(Decimal(written),))
    if found["letter"] == "M" and not _MONEY.search(text, max(0, found.start() - 4), found.start()):
        return number._replace(kind="mega")
    scale = (found["scale"] or found["letter"] or "").lower()
    return number._replace(scale=SCALES[scale] if scale in SCALES else scale_of(scale))


def _claims(text: str) -> Iterator[_Number]:
    """The numbers that are meant as such. The beginning of a range is one where its end is."""
    numbers = list(_numbers(text))
    after: _Number | None = None
    for place in range(len(numbers) - 1, -1, -1):
        number = numbers[place]
        is_range = after is not None and _RANGE.fullmatch(text, number.end, after.start) is not None
        if _is_claim(number, text, begins_range=is_range):
            after = number.like(after) if after and is_range else number
            yield after
        else:
            after = None


def _is_claim(number: _Number, text: str, *, begins_range: bool) -> bool:
    before = text[number.start - 1 : number.start]
    if number.kind == "english":
        is_large = number.scale > 1 or "hundred" in number.written.lower()
        return begins_range or number.percent is not None or is_large or _WORD_UNIT.match(text, number.end) is not None
    if number.kind != "han":
        return not (before.isascii() and (before.isalpha() or before == "_"))
    if number.percent is not None or "点" in number.written:
        return True
    run = number.written
    is_large = len(run) > 1 and not set(run).isdisjoint("十百千万亿")
    unit = (_HAN_ONCE if run == "一" else _HAN_UNITS).match(text, number.end)
    begins_well = (run[0] in DIGITS or run[0] == "十") and before not in [*_NO_AMOUNT]
    return begins_well and (begins_range or is_large or unit is not None)


def _shown(value: Decimal, scale: int, percent: Decimal | None) -> str:
    for factor in (scale, percent):
        # A product is rounded, a value as it is written is not.
        value = value if factor in {1, None} else value * factor
    plain = format(value, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return plain if percent is None else f"{plain}%"
