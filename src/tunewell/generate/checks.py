"""What can be checked about a generated row without a model: quotes, numbers, names, references to the text, agreement.

All of these are pure functions of texts; none of them is right always, and each says where it errs.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from rapidfuzz.distance import Indel

from tunewell.bundled import read_yaml
from tunewell.generate.numbers import readable, stated
from tunewell.text import normalise, tokens

_PLAIN = str.maketrans({**dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‘’", "'"), "—": "-", "–": "-", "*": "", "`": ""})

_NAME = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z\u00c0-\u024f][A-Za-z0-9_\u00c0-\u024f]*(?:[.\-][A-Za-z0-9_]+)*")
_LATIN = re.compile(r"[a-z0-9\u00c0-\u024f]+")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_QUOTED = re.compile(
    r"「([^「」\n]{1,80})」|『([^『』\n]{1,80})』|《([^《》\n]{1,80})》|“([^“”\n]{1,80})”|\"([^\"\n]{1,80})\"|`([^`\n]{1,80})`"
)
# A capital says nothing where it begins a line, a list item, a sentence or a quotation.
_BEGINS = re.compile(
    r"(?:(?:\A|\n)[\s>*\-•#|\"“「『(_]*(?:\d{1,2}[.)]\s+)?|[.!?:;。！？：；(（\[\"“「『][\s\"“「『(*_]*)\Z",
)
_IDENTIFIER = re.compile(r".+[0-9_A-Z]|.*[a-z]{2}\.[a-z]{2}")


class Quote(NamedTuple):
    """A passage of a source: `text == source[start:end]`."""

    text: str
    start: int
    end: int


def locate(quote: str, source: str) -> Quote | None:
    """The first passage of the source that the quote repeats word for word, or None.

    White space, the width and shape of signs, and marks of emphasis and code (`*`, backtick) do not count, since teachers change
    them without meaning to; letters, digits and their case do. Known problem: where words are joined or parted is not seen.

    >>> locate("费率为0.6%", "说明：费率 为０.６％。")
    Quote(text='费率 为０.６％', start=3, end=11)
    >>> locate("the rate is 0.8%", "The rate is 0.6%.") is None
    True
    """
    wanted = "".join(sign for sign, _ in _signs(quote))
    signs = list(_signs(source))
    found = "".join(sign for sign, _ in signs).find(wanted)
    if found < 0 or not any(map(str.isalnum, wanted)):
        return None
    start, end = signs[found][1], signs[found + len(wanted) - 1][1] + 1
    return Quote(source[start:end], start, end)


def unsupported_numbers(answer: str, source: str) -> list[str]:
    """The numbers that the answer states and the source does not hold, in order of size of text.

    The source is all that the answer may rest on: the chunk with its headings, and the question. See `numbers.stated` for what
    counts. Known problems: a sum or a count that the answer works out is unsupported; a right number in a wrong place is not.

    >>> unsupported_numbers("Payout takes 3 days and costs 2%.", "Payout takes three days.")
    ['2%']
    """
    return sorted(stated(answer) - readable(source))


def unsupported_names(answer: str, source: str) -> list[str]:
    """The names in the answer that the source does not hold, in their order.

    Names are Latin words with a capital inside a sentence, identifiers (`task_id`, `RabbitMQ`, `conf.yaml`), all Latin words of a
    Chinese answer, and what stands in quotation marks or code marks. Case and a plural `s` do not count. Known problems: a Chinese
    name without marks is not seen; an answer that spells out an abbreviation is rejected.

    >>> unsupported_names("Open the Dashboard, then call RabbitMQ.", "The dashboard shows payouts.")
    ['RabbitMQ']
    >>> unsupported_names("请在「商户中心」里用 redis 查看。", "在商户中心查看。")
    ['redis']
    """
    held = _folded(source)
    words = {_singular(word) for word in _LATIN.findall(held)}
    names = (name for name in _names(answer) if not _holds(held, words, name))
    quoted = (text for text in _quoted(answer) if locate(text.casefold(), source.casefold()) is None)
    return list(dict.fromkeys((*quoted, *names)))


def unsupported(answer: str, source: str) -> list[str]:
    """The numbers and names of the answer that the source does not hold.

    >>> unsupported("Visa refunds take 9 days.", "Refunds take 5 days.")
    ['9']
    """
    return [*unsupported_numbers(answer, source), *unsupported_names(answer, source)]


def meta_reference(question: str) -> str:
    """The words by which a question points at a text that its reader will not see, or an empty string.

    Known problem: such words may be meant otherwise (in the manual of a text editor, "the table above"); the question is lost.

    >>> meta_reference("What does the passage say about fees?"), meta_reference("上文提到的手续费是多少？")
    ('does the passage say', '上文')
    >>> meta_reference("How do I share a document?"), meta_reference("文本文件怎么导出？")
    ('', '')
    """
    found = _phrases("meta_reference").search(question)
    return found.group() if found else ""


def is_refusal(answer: str) -> bool:
    """Whether an answer says that the material does not tell.

    Known problem: an answer that says so about one part and answers another counts as well.

    >>> is_refusal("The documentation does not mention a fee."), is_refusal("资料中没有说明月费。"), is_refusal("It is free.")
    (True, True, False)
    """
    return _phrases("refusal").search(answer) is not None


def agreement(one: str, other: str) -> float:
    """ROUGE-L F1 of two texts over words and Han characters, 0 to 1.

    Known problem: it measures wording. A short answer and a long one that mean the same agree little, and two that differ in one
    number agree well: see `same_numbers`.

    >>> agreement("Five days.", "Within five days"), agreement("五天", "5 天")
    (0.8, 0.5)
    """
    left, right = tokens(one), tokens(other)
    if not left and not right:
        return float(normalise(one) == normalise(other))
    return Indel.normalized_similarity(left, right)


def same_numbers(one: str, other: str) -> bool:
    """Whether two answers state the same numbers, or one of them all of the other's and more.

    Known problem: an answer without any number differs from one that states a number in passing.

    >>> same_numbers("5 days", "五天，最长 10 天"), same_numbers("5 days", "6 days"), same_numbers("5 days", "a few days")
    (True, False, False)
    """
    return _covers(one, other) or _covers(other, one)


@cache
def _phrases(name: str) -> re.Pattern[str]:
    phrases = read_yaml("generate", "checks", "phrases.yaml")
    return re.compile("|".join(phrases[name]).replace("{text}", phrases["text"]), re.IGNORECASE)


def _covers(one: str, other: str) -> bool:
    """Whether `other` holds all numbers that `one` states, and `one` states any if `other` does."""
    numbers = stated(one)
    return numbers <= readable(other) and (bool(numbers) or not stated(other))


def _signs(text: str) -> Iterator[tuple[str, int]]:
    """The signs of a text that count in a quote, each with the place it comes from."""
    for place, sign in enumerate(text):
        for plain in unicodedata.normalize("NFKC", sign).translate(_PLAIN):
            if not plain.isspace():
                yield plain, place


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 2 and word.endswith("s") else word


def _holds(held: str, words: set[str], name: str) -> bool:
    """Whether the source holds a name as a word; one of several parts must stand there as it is, or part by part."""
    folded = _folded(name)
    parts = _LATIN.findall(folded)
    return folded in held if "." in name or "_" in name else all(_singular(part) in words for part in parts)


def _names(answer: str) -> Iterator[str]:
    in_chinese = _HAN.search(answer) is not None
    for found in _NAME.finditer(unicodedata.normalize("NFKC", answer)):
        word = found.group()
        if len(word) < 2:
            continue
        is_marked = _IDENTIFIER.match(word) is not None
        is_capital = word[0].isupper() and not _BEGINS.search(found.string[max(0, found.start() - 40) : found.start()])
        if is_marked or is_capital or in_chinese:
            yield word


def _quoted(answer: str) -> Iterator[str]:
    for found in _QUOTED.finditer(answer):
        text = next(part for part in found.groups() if part is not None)
        if any(map(str.isalnum, text)):
            yield text
