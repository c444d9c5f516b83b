"""Facts of an answer that code can check: its numbers and its names."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_DIGITS = re.compile(r"(?<![A-Za-z0-9.])\d+(?:,\d{3})*(?:\.\d+)?(?![A-Za-z0-9])")
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: str(value) for value, word in enumerate(_UNITS.split())} | {
    word: str(10 * value) for value, word in enumerate(_TENS.split(), start=2)
}
_WORD = re.compile(r"[a-z]+")
_HAN_DIGITS = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_HAN_NUMBER = re.compile(r"([一二两三四五六七八九])?(十)?([一二三四五六七八九])?")

_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])(?:https?://[^\s，。）)]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:[\w-]+\.)+(?:com|org|net|example)\b(?:/[\w./-]*)?)"
)
_CAPITALISED = re.compile(r"(?<!\w)(?:[A-Z][\w'’-]*|\w*[a-z][A-Z]\w*)")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;。！？：；\n]|[-*•]\s|\d[.)]\s)[\s\"'“‘(*]*$")
_QUOTED = re.compile(r"[“「《『]([^”」》』]{1,20})[”」》』]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_NAME = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]+")
_NO_NAMES = frozenset({"i", "i'm", "i'll", "i've", "i'd", "ok"})


class Facts(NamedTuple):
    """The numbers in digits (`1,000.50` is `1000.5`) and the names (in lower case) of a text."""

    numbers: frozenset[str]
    names: frozenset[str]


class FactCheck(NamedTuple):
    """How many facts the reference has, how many of them the answer holds, and whether it holds all and no other number."""

    total: int
    contained: int
    exact: bool


def check_facts(answer: str, reference: str, question: str) -> FactCheck:
    """Hold an answer against the facts of the reference answer.

    A number counts as held in digits or in words (`three`, `三`, up to 99), a name in any case. A number of the answer is
    another one where neither the reference nor the question holds it.

    Known problems: a number that the reference gives in words is no fact; units are not compared; a name is recognised by its
    capital letter within a sentence, by its quotation marks, by its Latin letters within Chinese text, or as an address.

    >>> check_facts("It takes three days.", "It takes 3 days, shown in the Dashboard.", "How long?")
    FactCheck(total=2, contained=1, exact=False)
    """
    wanted = facts_of(reference)
    total = len(wanted.numbers) + len(wanted.names)
    if not total:
        return FactCheck(0, 0, exact=False)
    text = unicodedata.normalize("NFKC", answer)
    said = facts_of(answer).numbers
    numbers = len(wanted.numbers & (said | _numbers_in_words(text)))
    names = sum(_holds(text.casefold(), name) for name in wanted.names)
    others = said - wanted.numbers - facts_of(question).numbers
    return FactCheck(total, numbers + names, exact=numbers + names == total and not others)


@lru_cache(maxsize=8192)
def facts_of(text: str) -> Facts:
    """The facts that stand in a text.

    >>> found = facts_of("Pay 1,000.50 within 3 days in the Dashboard, or write to help@larkspurpay.example.")
    >>> sorted(found.numbers), sorted(found.names)
    (['1000.5', '3'], ['dashboard', 'help@larkspurpay.example'])
    """
    text = unicodedata.normalize("NFKC", text)
    addresses = [address.rstrip(".") for address in _ADDRESS.findall(text)]
    rest = _ADDRESS.sub(" ", text)
    numbers = frozenset(_plain(found) for found in _DIGITS.findall(rest))
    if _HAN.search(rest):
        names = [*_QUOTED.findall(rest), *_LATIN_NAME.findall(rest)]
    else:
        names = [found.group() for found in _CAPITALISED.finditer(rest) if not _SENTENCE_START.search(rest[: found.start()])]
    return Facts(numbers, frozenset(name.casefold() for name in [*names, *addresses]) - _NO_NAMES)


def _plain(number: str) -> str:
    number = number.replace(",", "")
    return number.rstrip("0").rstrip(".") if "." in number else number


def _numbers_in_words(text: str) -> set[str]:
    found = {_WORDS[word] for word in _WORD.findall(text.lower()) if word in _WORDS}
    for tens, ten, ones in _HAN_NUMBER.findall(text):
        if ten:
            found.add(str(10 * _HAN_DIGITS.get(tens, 1) + _HAN_DIGITS.get(ones, 0)))
        elif tens:
            found.add(str(_HAN_DIGITS[tens]))
    return found | ({"0"} if "零" in text else set())


def _holds(text: str, name: str) -> bool:
    if _HAN.search(name):
        return name in text
    return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", text) is not None
