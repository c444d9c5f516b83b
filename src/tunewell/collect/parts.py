"""The work of collecting, cut into parts: some whole small files, or a stretch of a large one."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tunewell.collect.reader import Layout, Span, layout_of
from tunewell.collect.sources import Source

PART_BYTES = 16 << 20
_MOST_FILES = 500
_CHUNK = 1 << 20
# In these no byte of a longer character is a line feed.
_CUTTABLE = ("utf-8", "utf-8-sig", "gb18030")


class Piece(NamedTuple):
    """A source to read, whole or in a stretch of its lines; a layout that is None is still to be found out."""

    source: Source
    layout: Layout | None = None
    span: Span | None = None


class Part(NamedTuple):
    """Pieces that one worker reads one after the other, and their place among all parts."""

    number: int
    pieces: tuple[Piece, ...]


def cut(sources: Sequence[Source], *, part_bytes: int = PART_BYTES) -> list[Part]:
    """All sources in their order, in parts of about `part_bytes`; only JSON Lines are cut within a file.

    Raises `DataError` where a large file cannot be opened.
    """
    groups: list[list[Piece]] = []
    filled = 0
    for source in sources:
        size = _size(source.path)
        stretches = _stretches(source, part_bytes) if size >= 2 * part_bytes else []
        if stretches:
            groups += [[piece] for piece in stretches]
            filled = part_bytes
            continue
        if not groups or filled + size > part_bytes or len(groups[-1]) == _MOST_FILES:
            groups.append([])
            filled = 0
        groups[-1].append(Piece(source))
        filled += size
    return [Part(number, tuple(pieces)) for number, pieces in enumerate(groups)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # whoever opens it will say what is wrong with it


def _stretches(source: Source, part_bytes: int) -> list[Piece]:
    layout = layout_of(source)
    if layout.container != "jsonl" or layout.encoding not in _CUTTABLE:
        return []
    return [Piece(source, layout, span) for span in spans(source.path, part_bytes)]


def spans(path: Path, part_bytes: int) -> Iterator[Span]:
    """Stretches of a file of at least `part_bytes`, cut after a line feed, with the number of the first line of each."""
    start, line = 0, 1
    for stop, lines in _line_feeds(path, part_bytes):
        yield Span(start, stop, line)
        start, line = stop, line + lines


class _Cut(NamedTuple):
    stop: int
    lines: int


def _line_feeds(path: Path, part_bytes: int) -> Iterable[_Cut]:
    lines = read = since_cut = 0
    with path.open("rb") as handle:
        while chunk := handle.read(min(_CHUNK, part_bytes)):
            feed = chunk.find(b"\n") + 1 if since_cut >= part_bytes else 0
            if feed:
                yield _Cut(read + feed, lines + 1)
                lines, since_cut = 0, 0
            read += len(chunk)
            since_cut += len(chunk) - feed
            lines += chunk.count(b"\n", feed)
    if since_cut:
        yield _Cut(read, lines)
