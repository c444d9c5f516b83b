"""Sections of documents, cut into chunks that fit a prompt: by paragraph, then list item or table row, then sentence."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from tunewell.records import Document
from tunewell.store import digest
from tunewell.text import language

BUDGET = {"zh": 1800, "en": 2400}
"""Most characters of a chunk, by language; a text in neither is cut like English."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM_OR_ROW = re.compile(r"[ \t]*(?:[-*+•][ \t]|\d{1,3}[.)、]|[(（]\d{1,3}[)）]|\|)")
_SENTENCE_END = re.compile(r"[。！？；][”」』）)]*|[.!?;][\"')\]]*(?=\s)")
_WHITE = re.compile(r"\s+")
_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|<[^<>]{0,1000}>|https?://[!-~]+|\]\([^()\s]{0,1000}\)", re.DOTALL)


class _Span(NamedTuple):
    start: int
    end: int


def chunks(sections: Iterable[Document]) -> Iterator[Document]:
    """The chunks of each section, in order. `text` is what the file holds from `start` to `end`, without the blank space around it.

    A table row, a list item or a block of code is cut only where it alone is above the budget. Code, links and tags have no say in
    a chunk's language, since they are Latin in Chinese pages too. A chunk's id is the hash of its path and span. Known problem: the
    later chunks of a long table lack its head, since a chunk is a span of the file.
    """
    for section in sections:
        budget = BUDGET.get(prose_language(section.text), BUDGET["en"])
        for span in _packed(section.text, _pieces(section.text, budget), budget):
            yield _chunk(section, span)


def prose_language(text: str) -> str:
    """The language of a text in which code, links and tags have no say, where it holds anything else.

    >>> prose_language("见 `bin/run.sh --all --now`"), prose_language("`select a`")
    ('zh', 'en')
    """
    return language(_NO_PROSE.sub(" ", text)) or language(text)


def _chunk(section: Document, span: _Span) -> Document:
    text = section.text[span.start : span.end]
    start, end = section.start + span.start, section.start + span.end
    return Document(digest([section.path, start, end])[:16], section.path, section.heading, text, start, end, prose_language(text))


def _packed(text: str, pieces: Iterable[_Span], budget: int) -> Iterator[_Span]:
    """Neighbouring pieces joined as long as they fit."""
    packed: _Span | None = None
    for piece in (trimmed for span in pieces if (trimmed := _trimmed(text, span)) is not None):
        if packed is not None and piece.end - packed.start <= budget:
            packed = _Span(packed.start, piece.end)
            continue
        if packed is not None:
            yield packed
        packed = piece
    if packed is not None:
        yield packed


def _trimmed(text: str, span: _Span) -> _Span | None:
    body = text[span.start : span.end]
    words = body.strip()
    start = span.start + len(body) - len(body.lstrip())
    return _Span(start, start + len(words)) if words else None


def _pieces(text: str, budget: int) -> Iterator[_Span]:
    """The text in pieces within the budget, each as large as the structure allows."""
    yield from _cut(text, _Span(0, len(text)), budget, (_paragraphs, _items, _lines, _sentences, _words))


def _cut(text: str, span: _Span, budget: int, ways: tuple[Callable[[str], Iterable[int]], ...]) -> Iterator[_Span]:
    if span.end - span.start <= budget:
        yield span
    elif not ways:
        yield from (_Span(start, min(start + budget, span.end)) for start in range(span.start, span.end, budget))
    else:
        starts = sorted({0, *ways[0](text[span.start : span.end])})
        edges = [*(span.start + start for start in starts), span.end]
        for start, end in pairwise(edges):
            yield from _cut(text, _Span(start, end), budget, ways[1:])


def _paragraphs(text: str) -> Iterator[int]:
    """Where paragraphs, tables and blocks of code begin; blank lines inside a block of code do not end it."""
    fence, after_blank = "", False
    for line in _LINE.finditer(text):
        opened = _FENCE.match(line.group())
        if fence:
            if opened and opened[1].startswith(fence) and not line.group()[opened.end() :].strip():
                fence, after_blank = "", True
            continue
        if opened or (after_blank and line.group().strip()):
            yield line.start()
        fence = opened[1] if opened else ""
        after_blank = not line.group().strip()


def _items(text: str) -> Iterator[int]:
    """Where list items and table rows begin, but for what looks like them in a block of code."""
    if not _FENCE.match(text):
        yield from (line.start() for line in _LINE.finditer(text) if _ITEM_OR_ROW.match(line.group()))


def _lines(text: str) -> Iterator[int]:
    """Where lines begin in a block of code; elsewhere sentences may run over several lines."""
    if _FENCE.match(text):
        yield from (line.start() for line in _LINE.finditer(text))


def _sentences(text: str) -> Iterator[int]:
    yield from (end.end() for end in _SENTENCE_END.finditer(text) if end.end() < len(text))


def _words(text: str) -> Iterator[int]:
    yield from (blank.end() for blank in _WHITE.finditer(text) if blank.end() < len(text))
