"""What the doctor gathers in one pass over the rows, by several workers, and what it says of single files and rows."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from pathlib import Path
from typing import NamedTuple

from tunewell.collect.findings import Finding, Notes
from tunewell.collect.lengths import conversation_counter
from tunewell.collect.parts import Part, Piece
from tunewell.collect.problems import REMEDIES
from tunewell.collect.reader import Layout, Reading, is_document, layout_of, readings
from tunewell.collect.repeats import Overlap, Repeats
from tunewell.collect.sources import Source
from tunewell.collect.stage import is_skipped
from tunewell.errors import DataError
from tunewell.records import Dropped, Example, Message, Pool

_QUESTION_CHARS = 400
_LONGEST_SHOWN = 3
_COUNTED_AT_ONCE = 256


class Long(NamedTuple):
    """A row and its tokens."""

    tokens: int
    where: str


@dataclass(slots=True)
class PoolFacts:
    """One pool: its rows, those in which the user speaks more than once, and of the rows looked at closely questions and tokens.

    The questions of tasks (pairs to compare, texts to classify) are left out: what they have in common are the reader's own
    words. `tokens` is empty where there is no tokenizer.
    """

    rows: int = 0
    multi: int = 0
    questions: list[str] = field(default_factory=list)
    tokens: "array[int]" = field(default_factory=lambda: array("I"))
    longest: list[Long] = field(default_factory=list)

    def merge(self, other: "PoolFacts") -> None:
        """Take in what another worker found."""
        self.rows += other.rows
        self.multi += other.multi
        self.questions += other.questions
        self.tokens += other.tokens
        self.longest = nlargest(_LONGEST_SHOWN, [*self.longest, *other.longest])


@dataclass(slots=True)
class Survey:
    """What was gathered over some parts of the training data."""

    pools: dict[Pool, PoolFacts] = field(default_factory=lambda: {"domain": PoolFacts(), "open": PoolFacts()})
    files: list[Finding] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    repeats: Repeats = field(default_factory=Repeats)
    trained: set[str] = field(default_factory=set)
    formats: dict[str, Counter[str]] = field(default_factory=dict)

    def merge(self, later: "Survey") -> None:
        """Take in what was gathered over later parts."""
        for pool, facts in later.pools.items():
            self.pools[pool].merge(facts)
        self.files += later.files
        self.notes.merge(later.notes)
        self.repeats.merge(later.repeats)
        self.trained |= later.trained
        for path, formats in later.formats.items():
            self.formats.setdefault(path, Counter()).update(formats)


class _Close(NamedTuple):
    pool: Pool
    where: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Surveys one part of the training data.

    `closely` tells for each pool how many rows are looked at closely: one in `closely`, a power of two, drawn by their ids.
    """

    overlap: Overlap
    closely: Mapping[str, int]
    tokenizer: Path | None

    def __call__(self, part: Part) -> Survey:
        """Read a part."""
        survey = Survey()
        close: list[_Close] = []
        for piece in part.pieces:
            for reading in read_piece(piece, survey.files, survey.notes):
                record = reading.record
                if isinstance(record, Example):
                    self._take(record, reading, survey, close)
                if len(close) == _COUNTED_AT_ONCE:
                    self._count(close, survey)
        self._count(close, survey)
        return survey

    def _take(self, example: Example, reading: Reading, survey: Survey, close: list[_Close]) -> None:
        where = reading.where
        survey.formats.setdefault(example.origin.path, Counter())[reading.format] += 1
        facts = survey.pools[example.pool]
        facts.rows += 1
        facts.multi += example.turns == "multi"
        survey.repeats.add(example, where, reading.row_id)
        if example.id in self.overlap.seen:
            survey.trained.add(example.id)
        if finding := self.overlap.finding(example, where):
            survey.notes.add(example.origin.path, finding)
        if int(example.id, 16) % self.closely[example.pool] == 0:
            if example.task == "qa":
                facts.questions.append(example.question[:_QUESTION_CHARS])
            close.append(_Close(example.pool, where, example.messages))

    def _count(self, close: list[_Close], survey: Survey) -> None:
        if self.tokenizer:
            counts = conversation_counter(self.tokenizer)([row.messages for row in close])
            for row, tokens in zip(close, counts, strict=True):
                facts = survey.pools[row.pool]
                facts.tokens.append(tokens)
                facts.longest = nlargest(_LONGEST_SHOWN, [*facts.longest, Long(tokens, row.where)])
        close.clear()


def read_piece(piece: Piece, files: list[Finding], notes: Notes) -> Iterator[Reading]:
    """What a piece of a source holds; what is wrong with the file goes to `files`, what with a row to `notes`."""
    source = piece.source
    try:
        layout = piece.layout or layout_of(source)
        if piece.span is None or piece.span.start == 0:
            files += _about_file(source, layout)
        for reading in readings(source, layout, span=piece.span):
            record = reading.record
            if isinstance(record, Dropped):
                remedy = REMEDIES[record.reason]
                notes.add(source.name, Finding(reading.where, record.reason, "error", record.detail, remedy))
            else:
                yield reading
    except DataError as error:
        files.append(unreadable(error))


def unreadable(error: DataError) -> Finding:
    """The finding for a path that cannot be read."""
    return Finding(error.where, "unreadable", "error", error.what, error.hint)


def _about_file(source: Source, layout: Layout) -> Iterator[Finding]:
    path = source.name
    if is_skipped(source, layout):
        yield Finding(
            path, "not_data", "info", "is passed over: neither rows nor a document", "name the file itself to have it read"
        )
    elif layout.encoding not in ("utf-8", "utf-8-sig", None):
        yield Finding(path, "encoding", "info", f"is read as {layout.encoding}", "check a few rows with `tunewell data inspect`")
    if is_document(layout.container) and source.use == "open":
        yield Finding(
            path, "document_unused", "warning", "is a document, and under data.open only rows are read", "move it to data.domain"
        )
