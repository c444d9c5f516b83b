"""The names in an answer, and whether its source holds them, be they written in one word or in two."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import NamedTuple

from tunewell.bundled import read_yaml
from tunewell.generate.quotes import locate

_NAME = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z\u00c0-\u024f][A-Za-z0-9_\u00c0-\u024f]*(?:[.\-][A-Za-z0-9_]+)*")
# Where letters meet digits one writer puts a space and another does not.
_PART = re.compile(r"[a-z\u00c0-\u024f]+|[0-9]+|[\u3400-\u4dbf\u4e00-\u9fff]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_QUOTED = re.compile(
    r"「([^「」\n]{1,80})」|『([^『』\n]{1,80})』|《([^《》\n]{1,80})》|“([^“”\n]{1,80})”|\"([^\"\n]{1,80})\"|`([^`\n]{1,80})`"
)
# A capital says nothing where it begins a line, a list item, a sentence or a quotation.
_BEGINS = re.compile(
    r"(?:(?:\A|\n)[\s>*_\-+•#|\"“「『(]*(?:(?:[0-9]{1,2}|[A-Za-z])[.)、][\s*_]*)?"
    r"|[.!?:;。！？：；(（\[\"“「『][\s\"“「『(*_]*(?:(?:[0-9]{1,2}|[A-Za-z])[.)、][\s*_]*)?)\Z",
)
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
    quoted = (text for text in _quoted(answer) if locate(text.casefold(), source.casefold()) is None)
    return list(dict.fromkeys((*quoted, *names)))


def _read(source: str) -> _Source:
    text = _folded(source)
    parts = [_stem(part) for part in _PART.findall(text)]
    return _Source(text, frozenset(parts), "".join(parts), frozenset(accumulate(map(len, parts), initial=0)))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _stem(word: str) -> str:
    """A word without the ending that its plural changes: policies and policy, boxes and box, caches and cache."""
    if len(word) < 3 or not word.isalpha():
        return word
    return re.sub(r"(?:ies|ie|y)\Z", "i", word) if word.endswith(("ies", "ie", "y")) else re.sub(r"(?:es|(?<!s)s|e)\Z", "", word)


def _holds(held: _Source, name: str) -> bool:
    """Whether the source holds a name: as it is where it has points and underscores, else part by part or in one piece."""
    folded = _folded(name)
    if "." in name or "_" in name:
        return folded in held.text
    parts = [_stem(part) for part in _PART.findall(folded)]
    if "-" in name and all(part in held.parts for part in parts):
        return True
    return _stands_in(held, "".join(parts)) or any(_is_held(held, other) for other in _others().get("".join(parts), ()))


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
    groups: list[list[str]] = read_yaml("generate", "checks", "names.yaml")["same"]
    return {_stem(one): group for group in groups for one in group}


@cache
def _shouted() -> frozenset[str]:
    return frozenset(read_yaml("generate", "checks", "names.yaml")["shouted"].split())


def _names(answer: str) -> Iterator[str]:
    in_chinese = _HAN.search(answer) is not None
    for found in _NAME.finditer(unicodedata.normalize("NFKC", answer)):
        word = found.group()
        if len(word) < 2 or (word.isupper() and word.lower() in _shouted()):
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
