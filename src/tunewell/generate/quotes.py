"""Passages of a source that a teacher quotes: where they stand, and whether they can prove anything."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tunewell.generate.polarity import is_negated
from tunewell.text import language, tokens

LEAST_QUOTE = {"zh": 4, "en": 3}
"""Words or Han characters that a quote must have unless it is a whole line or cell."""

_PLAIN = str.maketrans({**dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‘’", "'"), "—": "-", "–": "-", "*": "", "`": ""})
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}(?=[ \t]|\Z)", re.MULTILINE)
_CELL_ENDS = re.compile(r"[\n|\t]")
_ITEM = re.compile(r"\s*(?:>|[-*+•]|\d{1,3}[.)、])?\s+")


_BORDERS = re.compile(r"[。；;！？!?\n|]|(?<![0-9])[,，]|[,，](?![0-9])|[.](?=\s|\Z)")
_NUMERAL = "零一二两三四五六七八九十百千万亿点"
# A number or a word that goes on past an edge, which `\0` marks.
_SPLIT = re.compile(
    rf"[0-9.]\0[0-9]|[0-9]\0[.,，][0-9]|[0-9][,，]\0[0-9]|[0-9]\0\s?[百千万亿kKM](?![A-Za-z])|[第{_NUMERAL}]\0[{_NUMERAL}]"
    r"|[A-Za-z_]\0[A-Za-z0-9_]"
)


class Quote(NamedTuple):
    """A passage of a source: `text == source[start:end]`."""

    text: str
    start: int
    end: int


def squeezed(text: str) -> str:
    """The signs of a text that count in a quote.

    >>> squeezed("## 费率 为 **０.６％**")
    '费率为0.6%'
    """
    return "".join(sign for sign, _ in _signs(text))


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
    return next(_passages(quote, source), None)


def whole_passage(quote: str, source: str) -> Quote | None:
    """The first passage that the quote repeats and that is not cut in the middle of a number or a word, nor after a negation.

    A part of a number is another number (5 of 15, 二条 of 第十二条), and 可以退货 of 不可以退货 is the contrary.

    >>> whole_passage("5天内到账", "15天内到账。") is None, whole_passage("可以退货", "不可以退货。") is None
    (True, True)
    >>> whole_passage("5天内到账", "15天内到账，加急5天内到账。")
    Quote(text='5天内到账', start=9, end=14)
    """
    return next((passage for passage in _passages(quote, source) if not _is_cut(passage, source)), None)


def clause_of(passage: Quote, source: str) -> Quote:
    """The clauses in which a passage stands, whole.

    >>> clause_of(Quote("mg per day", 13, 23), "Adults: take 0.5 mg per day, children less.").text
    'Adults: take 0.5 mg per day'
    """
    start = max((found.end() for found in _BORDERS.finditer(source, 0, passage.start)), default=0)
    after = _BORDERS.search(source, max(passage.start, passage.end - 1))
    end = max(passage.end, after.start()) if after else len(source)
    return Quote(source[start:end].strip(), start, end)


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
    whole = {squeezed(cell) for line in _CELL_ENDS.split(source) for cell in (line, _ITEM.sub("", f" {line}", count=1))}
    if any(_is_long(quote) or squeezed(quote) in whole for quote in quotes):
        return ""
    return " … ".join(quotes)


def _passages(quote: str, source: str) -> Iterator[Quote]:
    wanted = squeezed(quote)
    if not any(map(str.isalnum, wanted)):
        return
    signs = list(_signs(source))
    text = "".join(sign for sign, _ in signs)
    found = text.find(wanted)
    while found >= 0:
        start, end = signs[found][1], signs[found + len(wanted) - 1][1] + 1
        yield Quote(source[start:end], start, end)
        found = text.find(wanted, found + len(wanted))


def _is_cut(passage: Quote, source: str) -> bool:
    before, after = source[max(0, passage.start - 2) : passage.start], source[passage.end : passage.end + 2]
    edges = (f"{before}\0{passage.text[:2]}", f"{passage.text[-2:]}\0{after}")
    if any(_SPLIT.search(unicodedata.normalize("NFKC", edge)) for edge in edges):
        return True
    begin = clause_of(passage, source).start
    return is_negated(source[begin : passage.end]) != is_negated(passage.text)


def _is_long(quote: str) -> bool:
    return len(tokens(quote)) >= LEAST_QUOTE.get(language(quote), LEAST_QUOTE["en"])


def _signs(text: str) -> Iterator[tuple[str, int]]:
    """The signs of a text that count in a quote, each with the place it comes from."""
    text = _HEADING.sub(lambda found: " " * len(found.group()), text)
    for place, sign in enumerate(text):
        for plain in unicodedata.normalize("NFKC", sign).translate(_PLAIN):
            if not plain.isspace():
                yield plain, place
