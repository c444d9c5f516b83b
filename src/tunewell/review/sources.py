"""What a row was made from: the text of its chunk or of its source row, cut where quotes begin and end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.dataset as ds

from tunewell.records import Origin
from tunewell.store import shards


class Span(NamedTuple):
    """A passage of a text, in characters."""

    start: int
    end: int


class Segment(NamedTuple):
    """A piece of a text, and the numbers of the quotes that cover it."""

    text: str
    quotes: tuple[int, ...]


class Part(NamedTuple):
    """A text of a source: the chunk, or one message of a row (`role`)."""

    role: str
    segments: list[Segment]


class Source(NamedTuple):
    """What a row was made from, and which of its quotes stand there."""

    title: str
    parts: list[Part]
    found: list[bool]


@dataclass(frozen=True, slots=True)
class Sources:
    """The folders in which sources lie. Each source is looked up when it is shown, so that none of them takes memory."""

    chunks: Path
    rows: Path

    def of(self, evidence: Mapping[str, Any]) -> Source | None:
        """What the evidence of a row names as its source; None where it names none, or the run has it no more."""
        quotes = quotes_in(evidence)
        if chunk := _find(self.chunks, _identity(evidence.get("chunk"))):
            title = " › ".join(filter(None, (chunk["path"], chunk["heading"])))
            return _source(title, [("", chunk["text"])], quotes)
        if row := _find(self.rows, _identity(evidence.get("source"))):
            return _source(str(Origin(**row["origin"])), [(one["role"], one["content"]) for one in row["messages"]], quotes)
        return None


def quotes_in(evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The quotes of a row: `text`, and perhaps `start` and `end` in its source."""
    quotes = evidence.get("quotes")
    return [quote for quote in quotes if isinstance(quote, Mapping)] if isinstance(quotes, list) else []


def span_of(quote: Mapping[str, Any], text: str) -> Span | None:
    """Where a quote stands: at its own place if the text says so, else where it is first found, or nowhere.

    >>> span_of({"text": "two days", "start": 3, "end": 11}, "In two days.")
    Span(start=3, end=11)
    """
    words, start, end = str(quote.get("text", "")), quote.get("start"), quote.get("end")
    if not words:
        return None
    if isinstance(start, int) and isinstance(end, int) and 0 <= start < end and text[start:end] == words:
        return Span(start, end)
    place = text.find(words)
    return Span(place, place + len(words)) if place >= 0 else None


def segments(text: str, spans: Sequence[Span | None]) -> list[Segment]:
    """The text cut at the ends of all spans; put together, the pieces are the text.

    >>> segments("two days.", [Span(0, 8), Span(0, 3)])
    [Segment(text='two', quotes=(0, 1)), Segment(text=' days', quotes=(0,)), Segment(text='.', quotes=())]
    """
    cuts = sorted({0, len(text), *(end for span in spans if span for end in span)})
    return [
        Segment(
            text[start:end],
            tuple(number for number, span in enumerate(spans) if span and span.start <= start and end <= span.end),
        )
        for start, end in pairwise(cuts)
    ]


def _source(title: str, texts: Iterable[tuple[str, str]], quotes: Sequence[Mapping[str, Any]]) -> Source:
    spans = [(role, text, [span_of(quote, text) for quote in quotes]) for role, text in texts]
    found = [any(places[number] for _, _, places in spans) for number, _ in enumerate(quotes)]
    return Source(title, [Part(role, segments(text, places)) for role, text, places in spans], found)


def _identity(value: Any) -> str:
    identity = value.get("id") if isinstance(value, Mapping) else value
    return identity if isinstance(identity, str) else ""


def _find(folder: Path, identity: str) -> dict[str, Any] | None:
    """The first row of a folder of shards with this id."""
    if not identity or not folder.is_dir():
        return None
    table = ds.dataset([str(path) for path in shards(folder)]).head(1, filter=ds.field("id") == identity)
    found: list[dict[str, Any]] = table.to_pylist()
    return found[0] if found else None
