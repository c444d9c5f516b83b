"""What is in one file, for `tunewell data inspect`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewell.collect.problems import printable
from tunewell.collect.reader import layout_of, readings
from tunewell.collect.sources import Source, visible_path
from tunewell.collect.triples import is_triple
from tunewell.errors import DataError
from tunewell.records import Document, Dropped, Example

_SHOWN = 3
_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Inspection:
    """One file: its container (such as `jsonl`, `parquet` or `html`, or `unknown`) and encoding, and what it gives.

    `rows` counts examples (`formats` by format, `languages` by language), `broken` what would be dropped, with the first causes
    in `problems` as `file:line: cause`; `keys` are those of its rows, in the order in which they appear.
    """

    path: str
    container: str
    encoding: str
    formats: Mapping[str, int]
    rows: int
    broken: int
    documents: int
    languages: Mapping[str, int]
    keys: tuple[str, ...]
    examples: tuple[Example, ...]
    problems: tuple[str, ...]


def inspect_file(path: Path) -> Inspection:
    """Read one file as `collect` would, and keep nothing of it but this account. Raises `DataError` where there is none."""
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="`tunewell data inspect` takes one file at a time")
    source = Source(visible_path(path), "domain", named=True)
    layout = layout_of(source)
    first = next(readings(source, layout), None)
    if first is not None and is_triple(dict.fromkeys(first.keys)):
        source = source._replace(use="test")
    formats: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    keys: dict[str, None] = {}
    examples: list[Example] = []
    problems: list[str] = []
    broken = documents = 0
    for reading in readings(source, layout):
        record = reading.record
        if isinstance(record, Dropped):
            broken += 1
            problems += [f"{reading.where}: {record.detail}"][: _MOST_PROBLEMS - len(problems)]
        elif isinstance(record, Document):
            documents += 1
        else:
            formats[reading.format] += 1
            languages[record.language] += 1
            examples += [record][: _SHOWN - len(examples)]
        keys.update(dict.fromkeys(map(printable, reading.keys)))
    return Inspection(
        path=source.name,
        container=layout.container or "unknown",
        encoding=layout.encoding_name,
        formats=dict(formats),
        rows=formats.total(),
        broken=broken,
        documents=documents,
        languages=dict(languages),
        keys=tuple(keys),
        examples=tuple(examples),
        problems=tuple(problems),
    )


def conversations(path: Path) -> Iterator[Example | Dropped]:
    """The conversations of one file, in order, and what could not be read as one. Raises `DataError` where there is no such file.

    One that ends with a question is `Dropped` with all its messages, since collect wants an answer to learn.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path))
    source = Source(visible_path(path), "domain", named=True)
    for reading in readings(source, layout_of(source)):
        if not isinstance(reading.record, Document):
            yield reading.record
