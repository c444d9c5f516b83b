"""What the sources gave, counted as they are read by several workers and added up afterwards."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tunewell.collect.reader import Reading
from tunewell.errors import DataError
from tunewell.records import Document, Dropped

_MOST_PROBLEMS = 20


class SourceKey(NamedTuple):
    """A source in tables: the name of its file, and the recipe key it stands under."""

    path: str
    use: str


class Problems:
    """The first problems in words, and how many there are in all."""

    def __init__(self) -> None:
        self.count = 0
        self._lines: list[str] = []

    def note(self, reading: Reading) -> None:
        """Take in one reading."""
        if isinstance(reading.record, Dropped):
            self.count += 1
            if self.count <= _MOST_PROBLEMS:
                self._lines.append(f"  {reading.where}: {reading.record.detail}")

    def add(self, others: "Problems") -> None:
        """Take in those of another worker, which come after these."""
        self.count += others.count
        self._lines = [*self._lines, *others._lines][:_MOST_PROBLEMS]

    def as_error(self) -> DataError:
        """All problems in one error."""
        count = "1 broken row" if self.count == 1 else f"{self.count} broken rows"
        more = [f"  and {self.count - _MOST_PROBLEMS} more"] if self.count > _MOST_PROBLEMS else []
        hint = "`tunewell data check` names each with its remedy; `collect.on_error: drop` leaves them out and keeps their reasons"
        return DataError("\n".join([count, *self._lines, *more]), hint=hint)


@dataclass(slots=True)
class Tally:
    """What one source gave."""

    container: str | None = None
    encoding: str = "unknown"
    formats: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    documents: int = 0

    def count(self, reading: Reading) -> None:
        """Take in one reading."""
        record = reading.record
        if isinstance(record, Dropped):
            self.dropped += 1
        elif isinstance(record, Document):
            self.documents += 1
        else:
            self.formats[reading.format] += 1
            self.languages[record.language] += 1

    def add(self, other: "Tally") -> None:
        """Take in what another worker read of the same source."""
        self.container, self.encoding = other.container, other.encoding
        self.formats += other.formats
        self.languages += other.languages
        self.dropped += other.dropped
        self.documents += other.documents

    def as_json(self, source: SourceKey) -> dict[str, Any]:
        """The entry of `sources` in the manifest."""
        return {
            "path": source.path,
            "pool": source.use,
            "format": "+".join(sorted(self.formats)) or self.container or "unknown",
            "rows": self.formats.total(),
            "dropped": self.dropped,
            "documents": self.documents,
            "encoding": self.encoding,
            "languages": dict(sorted(self.languages.items())),
        }


def formats_of(tallies: Mapping[SourceKey, Tally]) -> dict[str, int]:
    """Training rows by format."""
    trained: Iterable[Counter[str]] = (tally.formats for source, tally in tallies.items() if source.use != "test")
    return dict(sorted(sum(trained, Counter()).items()))
