"""The names in an answer, and whether its source holds them, be they written in one word or in two."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from tunewell.bundled import read_yaml
from tunewell.generate.quotes import squeezed
from tunewell.generate.units import same_units

_NAME = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z\u00c0-\u024f][A-Za-z0-9_\u00c0-\u024f]*(?:[.\-][A-Za-z0-9_]+)*")
# Where letters meet digits one writer puts a space and another does not.
_PART = re.compile(r"[a-z\u00c0-\u024f]+|[0-9]+|[\u3400-\u4dbf\u4e00-\u9fff]")
_MARKS = re.compile(r"([\u0300-\u036f]{4})[\u0300-\u036f]+")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_QUOTED = re.compile(
    "|".join(
        rf"{begin}([^{begin}{end}\n]{{1,80}}){end}"
        for begin, end in ("「」", "『』", "《》", "“”", "‘’", "【】", "［］", '""', "``")
    )
    # In brackets of this shape there is code, too.
    + r"|\[([^\[\]\n]{0,40}[\u4e00-\u9fff][^\[\]\n]{0,40})\](?!\()"
)
# A capital says nothing where it begins a line, a list item, a sentence or a quotation.
_ITEM = r"(?:(?:[0-9]{1,2}|[A-Za-z])[.)、][\s*_]*)?"
_BEGINS = re.compile(
    rf"(?:(?:\A|\n)[\s>*_\-+•#|\"“「『(]*{_ITEM}|[.!?:;。！？：；(（\[\"“「『][\s\"“「『(*_]*{_ITEM})\Z",
)
# A point after a title ends no sentence, and what stands alone in brackets or after a colon is a name.
_TITLE = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|e\.g|i\.e)\. ?\Z")
_OPENS = re.compile(r"[(（:：]\s?\Z")
_CLOSES = re.compile(r"\s?(?:[)）]|[.。,，]?(?:\s|\Z))(?!\s?[a-z0-9])")
_VERSION = re.compile(r"[vV][0-9.]+")
_PIECE = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)*|.")
_IDENTIFIER = re.compile(r".+[0-9_A-Z]|.*[a-z]{2}\.[a-z]{2}")


class _Source(NamedTuple):
    text: str
    parts: frozenset[str]
    joined: str
    borders: frozenset[int]
    """Where in `joined` a part begins or ends."""


def unsupported_names(answer: str, source: str) -> list[str]:
    """The names in the answer that the source does not hold, in their order.

    Names are Latin words with a capital inside a sentence, identifiers (`task_id`, `RabbitMQ`, `conf.yaml`), all Latin words of a
    Chinese answer, and what stands in quotation marks or code marks. Case, a plural, and where a name is parted (10MB, Wi-Fi,
    e-mail) do not count; common words in capitals (PLEASE) are no names. Known problems: a Chinese name without marks is not
    seen; an answer that spells out an abbreviation is rejected.

    >>> unsupported_names("Open the Dashboard, then call RabbitMQ.", "The dashboard shows payouts.")
    ['RabbitMQ']
    >>> unsupported_names("请在「商户中心」里用 redis 查看。", "在商户中心查看。")
    ['redis']
    """
    held = _read(source)
    names = (name for name in dict.fromkeys(_names(answer)) if not _holds(held, name))
    passages = squeezed(source.casefold())
    quoted = (text for text in dict.fromkeys(_quoted(answer)) if squeezed(text.casefold()) not in passages)
    return list(dict.fromkeys((*quoted, *names)))


def _read(source: str) -> _Source:
    text = _folded(source)
    parts = [_stem(part) for part in _PART.findall(text)]
    return _Source(text, frozenset(parts), "".join(parts), frozenset(accumulate(map(len, parts), initial=0)))


def _folded(text: str) -> str:
    # Long runs of marks are no writing, and slow to put in order.
    return unicodedata.normalize("NFKC", _MARKS.sub(r"\1", text)).casefold()


def _stem(word: str) -> str:
    """A word without the ending that its plural changes: policies and policy, boxes and box, caches and cache."""
    if len(word) < 3 or not word.isalpha():
        return word
    return re.sub(r"(?:ies|ie|y)\Z", "i", word) if word.endswith(("ies", "ie", "y")) else re.sub(r"(?:es|(?<!s)s|e)\Z", "", word)


def _holds(held: _Source, name: str) -> bool:
    """Whether the source holds a name: as it is where it has points and underscores, else part by part or in one piece."""
    folded = _folded(name)
    if "." in name or "_" in name:
        return _written_out(folded).search(held.text) is not None
    parts = [_stem(part) for part in _PART.findall(folded)]
    if "-" in name and all(part in held.parts for part in parts):
        return True
    return _stands_in(held, "".join(parts)) or any(_is_held(held, other) for other in _others().get("".join(parts), ()))


@lru_cache(maxsize=1000)
def _written_out(name: str) -> re.Pattern[str]:
    """Pattern of an identifier or a version, in which letters and digits may be parted: mysql5.7 is mysql 5.7."""
    pieces = _PIECE.findall(name)
    gaps = ["[ -]?" if one[-1].isalpha() and two[0].isdigit() else "" for one, two in pairwise(pieces)]
    pattern = "".join(gap + re.escape(piece) for gap, piece in zip(["", *gaps], pieces, strict=True))
    return re.compile(rf"(?<![\da-z_]){pattern}(?![\da-z_]|\.\d)")


def _is_held(held: _Source, other: str) -> bool:
    return _stem(other) in held.parts if other.isascii() and other.isalpha() else other in held.text


def _stands_in(held: _Source, joined: str) -> bool:
    start = held.joined.find(joined)
    while start >= 0:
        if start in held.borders and start + len(joined) in held.borders:
            return True
        start = held.joined.find(joined, start + 1)
    return False


@cache
def _others() -> dict[str, list[str]]:
    """The other ways of writing a unit or currency."""
    groups: list[list[str]] = [*same_units(), *read_yaml("generate", "checks", "names.yaml")["same"]]
    return {_stem(one): group for group in groups for one in group}


@cache
def _shouted() -> frozenset[str]:
    return frozenset(read_yaml("generate", "checks", "names.yaml")["shouted"].split())


def _names(answer: str) -> Iterator[str]:
    in_chinese = _HAN.search(answer) is not None
    for found in _NAME.finditer(unicodedata.normalize("NFKC", _MARKS.sub(r"\1", answer))):
        word = found.group()
        if len(word) < 2 or (word.isupper() and _is_common(word)) or _VERSION.fullmatch(word):
            continue
        is_marked = _IDENTIFIER.match(word) is not None
        is_capital = word[0].isupper() and not _begins(found)
        if is_marked or is_capital or in_chinese:
            yield word


def _begins(found: re.Match[str]) -> bool:
    """Whether a word begins something, so that its capital says nothing."""
    before = found.string[max(0, found.start() - 40) : found.start()]
    if _TITLE.search(before) or (
        _OPENS.search(before) and _CLOSES.match(found.string, found.end()) and not _is_common(found.group())
    ):
        return False
    return _BEGINS.search(before) is not None


def _is_common(word: str) -> bool:
    return word.lower() in _shouted()


def _quoted(answer: str) -> Iterator[str]:
    for found in _QUOTED.finditer(answer):
        text = next(part for part in found.groups() if part is not None)
        if any(map(str.isalnum, text)):
            yield text
