"""Passages of a source that a teacher quotes: where they stand, and whether they can prove anything."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tunewell.text import language, tokens

LEAST_QUOTE = {"zh": 4, "en": 3}
"""Words or Han characters that a quote must have unless it is a whole line or cell."""

_PLAIN = str.maketrans({**dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‘’", "'"), "—": "-", "–": "-", "*": "", "`": ""})
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}(?=[ \t]|\Z)", re.MULTILINE)
_CELL_ENDS = re.compile(r"[\n|\t]")
_ITEM = re.compile(r"\s*(?:>|[-*+•]|\d{1,3}[.)、])?\s+")


class Quote(NamedTuple):
    """A passage of a source: `text == source[start:end]`."""

    text: str
    start: int
    end: int


def locate(quote: str, source: str) -> Quote | None:
    """The first passage of the source that the quote repeats word for word, or None.

    White space, the width and shape of signs, the marks of headings, and marks of emphasis and code (`*`, backtick) do not count,
    since teachers change them without meaning to; letters, digits and their case do. Known problem: where words are joined or
    parted is not seen.

    >>> locate("费率为0.6%", "说明：费率 为０.６％。")
    Quote(text='费率 为０.６％', start=3, end=11)
    >>> locate("the rate is 0.8%", "The rate is 0.6%.") is None
    True
    """
    wanted = _squeezed(quote)
    signs = list(_signs(source))
    found = "".join(sign for sign, _ in signs).find(wanted)
    if found < 0 or not any(map(str.isalnum, wanted)):
        return None
    start, end = signs[found][1], signs[found + len(wanted) - 1][1] + 1
    return Quote(source[start:end], start, end)


def thin_quotes(quotes: Sequence[str], source: str) -> str:
    """The quotes, where all of them are too short to prove anything; else an empty string.

    A quote is long enough with three words, or four Han characters, or as a whole line, list item or table cell of the source.
    Whether the quotes hold what the answer says is another question: see `checks.unsupported_numbers`, with the quotes, the
    heading and the question as the source. Known problem: a long quote may be about something else.

    >>> thin_quotes(["5"], "Refunds take 5 days."), thin_quotes(["the", "take 5 days"], "Refunds take 5 days.")
    ('5', '')
    >>> thin_quotes(["¥99"], "| 月费 | ¥99 |")
    ''
    """
    whole = {_squeezed(cell) for line in _CELL_ENDS.split(source) for cell in (line, _ITEM.sub("", f" {line}", count=1))}
    if any(_is_long(quote) or _squeezed(quote) in whole for quote in quotes):
        return ""
    return " … ".join(quotes)


def _is_long(quote: str) -> bool:
    return len(tokens(quote)) >= LEAST_QUOTE.get(language(quote), LEAST_QUOTE["en"])


def _squeezed(text: str) -> str:
    return "".join(sign for sign, _ in _signs(text))


def _signs(text: str) -> Iterator[tuple[str, int]]:
    """The signs of a text that count in a quote, each with the place it comes from."""
    text = _HEADING.sub(lambda found: " " * len(found.group()), text)
    for place, sign in enumerate(text):
        for plain in unicodedata.normalize("NFKC", sign).translate(_PLAIN):
            if not plain.isspace():
                yield plain, place
