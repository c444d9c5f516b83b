"""The stage itself: every source read once, in order, into four folders of shards."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tunewell.collect.reader import Layout, Reading, layout_of, readings
from tunewell.collect.sources import Source, find_sources
from tunewell.errors import DataError
from tunewell.recipe import Data, Recipe
from tunewell.records import (
    DOCUMENT_SCHEMA,
    DROPPED_SCHEMA,
    EXAMPLE_SCHEMA,
    Document,
    Dropped,
    Summary,
    document_to_row,
    dropped_to_row,
    example_to_row,
)
from tunewell.store import ShardWriter

_MOST_PROBLEMS = 20
_SCHEMAS = {"examples": EXAMPLE_SCHEMA, "dropped": DROPPED_SCHEMA, "documents": DOCUMENT_SCHEMA, "test": EXAMPLE_SCHEMA}


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Read all data of the recipe into `examples`, `dropped`, `documents` and `test` below `out_dir`.

    Args:
        settings: `recipe.part("data", "collect")`.
        inputs: none; this is the first stage.
        out_dir: the stage's folder.

    Returns:
        Counts `rows` (domain and open), `dropped`, `documents`, `test`; details `formats` (training rows by format),
        `sources` (one entry a file) and `skipped` (files found in folders that are no data).

    Raises:
        DataError: a path that matches nothing; a file that cannot be opened; or, unless `collect.on_error` is `drop`, any
            broken row, all of them named in one error.
    """
    assert not inputs, "collect is the first stage"
    sources = all_sources(settings.data)
    stop_on_error = settings.collect.on_error == "stop"
    problems = _Problems()
    tallies: list[_Tally] = []
    skipped: list[str] = []
    with ExitStack() as stack:
        writers = {name: stack.enter_context(ShardWriter(out_dir / name, schema)) for name, schema in _SCHEMAS.items()}
        for source in sources:
            layout = layout_of(source)
            if is_skipped(source, layout):
                skipped.append(source.name)
                continue
            tally = _Tally(source, layout)
            for reading in readings(source, layout):
                tally.count(reading)
                _write(reading, source, writers)
                problems.note(reading)
            tallies.append(tally)
        if stop_on_error and problems.count:
            raise problems.as_error()
    return Summary(
        counts={"rows": writers["examples"].rows, **{name: writers[name].rows for name in ("dropped", "documents", "test")}},
        details={"formats": _formats(tallies), "sources": [tally.as_json() for tally in tallies], "skipped": skipped},
    )


def all_sources(data: Data) -> list[Source]:
    """The files of all three keys: domain, open, test. Raises `DataError` where a path matches no file."""
    return [*find_sources(data.domain, "domain"), *find_sources(data.open, "open"), *find_sources(data.test, "test")]


def is_skipped(source: Source, layout: Layout) -> bool:
    """Whether a file is passed over: it was found in a folder or by a glob, and its content is no data."""
    return layout.container is None and layout.encoding is not None and not source.named


def _write(reading: Reading, source: Source, writers: Mapping[str, ShardWriter]) -> None:
    record = reading.record
    if isinstance(record, Dropped):
        writers["dropped"].write(dropped_to_row(record))
    elif isinstance(record, Document):
        writers["documents"].write(document_to_row(record))
    else:
        writers["test" if source.use == "test" else "examples"].write(example_to_row(record))


class _Problems:
    """The first problems in words, and how many there are in all."""

    def __init__(self) -> None:
        self.count = 0
        self._lines: list[str] = []

    def note(self, reading: Reading) -> None:
        if isinstance(reading.record, Dropped):
            self.count += 1
            if self.count <= _MOST_PROBLEMS:
                self._lines.append(f"  {reading.where}: {reading.record.detail}")

    def as_error(self) -> DataError:
        count = "1 broken row" if self.count == 1 else f"{self.count} broken rows"
        more = [f"  and {self.count - _MOST_PROBLEMS} more"] if self.count > _MOST_PROBLEMS else []
        hint = "`tunewell data check` names each with its remedy; `collect.on_error: drop` leaves them out and keeps their reasons"
        return DataError("\n".join([count, *self._lines, *more]), hint=hint)


class _Tally:
    """What one source gave."""

    def __init__(self, source: Source, layout: Layout) -> None:
        self.use = source.use
        self.formats: Counter[str] = Counter()
        self._path = source.name
        self._layout = layout
        self._dropped = self._documents = 0
        self._languages: Counter[str] = Counter()

    def count(self, reading: Reading) -> None:
        record = reading.record
        if isinstance(record, Dropped):
            self._dropped += 1
        elif isinstance(record, Document):
            self._documents += 1
        else:
            self.formats[reading.format] += 1
            self._languages[record.language] += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "path": self._path,
            "pool": self.use,
            "format": "+".join(sorted(self.formats)) or self._layout.container or "unknown",
            "rows": self.formats.total(),
            "dropped": self._dropped,
            "documents": self._documents,
            "encoding": self._layout.encoding or "unknown",
            "languages": dict(sorted(self._languages.items())),
        }


def _formats(tallies: Iterable[_Tally]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for tally in tallies:
        if tally.use != "test":
            total += tally.formats
    return dict(sorted(total.items()))
