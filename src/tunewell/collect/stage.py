"""The stage itself: every source read once, in order, into four folders of shards."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tunewell.collect.parts import Part, Piece, cut
from tunewell.collect.reader import Layout, layout_of, readings
from tunewell.collect.sources import Found, Source, look_up
from tunewell.collect.tally import Problems, SourceKey, Tally, formats_of
from tunewell.engine import LOCAL, Engine
from tunewell.recipe import Data, Recipe
from tunewell.records import (
    DOCUMENT_SCHEMA,
    DROPPED_SCHEMA,
    EXAMPLE_SCHEMA,
    Document,
    Dropped,
    Example,
    Summary,
    document_to_row,
    dropped_to_row,
    examples_to_table,
)
from tunewell.store import ROWS_PER_GROUP, ShardWriter, clear_shards, finish_shards

_SCHEMAS = {"examples": EXAMPLE_SCHEMA, "dropped": DROPPED_SCHEMA, "documents": DOCUMENT_SCHEMA, "test": EXAMPLE_SCHEMA}


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path, *, engine: Engine = LOCAL) -> Summary:
    """Read all data of the recipe into `examples`, `dropped`, `documents` and `test` below `out_dir`.

    Args:
        settings: `recipe.part("data", "collect")`.
        inputs: none; this is the first stage.
        out_dir: the stage's folder.
        engine: where the files are read; in processes of this machine unless given.

    Returns:
        Counts `rows` (domain and open), `dropped`, `documents`, `test`; details `formats` (training rows by format),
        `sources` (one entry a file), `skipped` (files found in folders that are no data) and `left_out` (data sets of a
        catalogue that are not read, each with its reason).

    Raises:
        DataError: a path that matches nothing; a file that cannot be opened; or, unless `collect.on_error` is `drop`, any
            broken row, all of them named in one error.
    """
    assert not inputs, "collect is the first stage"
    stop_on_error = settings.collect.on_error == "stop"
    for name in _SCHEMAS:
        clear_shards(out_dir / name)
    counts: Counter[str] = Counter()
    tallies: dict[SourceKey, Tally] = {}
    problems = Problems()
    skipped: list[str] = []
    found = all_sources(settings.data)
    parts = cut(found.sources)
    for result in engine.map(_PartReader(out_dir), parts, name="collect"):
        counts.update(result.counts)
        problems.add(result.problems)
        skipped += result.skipped
        for key, tally in result.tallies.items():
            tallies.setdefault(key, Tally()).add(tally)
    if stop_on_error and problems.count:
        raise problems.as_error()
    for name, schema in _SCHEMAS.items():
        finish_shards(out_dir / name, schema)
    return Summary(
        counts={"rows": counts["examples"], **{name: counts[name] for name in ("dropped", "documents", "test")}},
        details={
            "formats": formats_of(tallies),
            "sources": [tally.as_json(key) for key, tally in tallies.items()],
            "skipped": skipped,
            "left_out": [f"{left_out.catalogue}: {left_out.name}: {left_out.why}" for left_out in found.left_out],
        },
    )


def all_sources(data: Data) -> Found:
    """The files of all three keys: domain, open, test. Raises `DataError` where a path matches no file."""
    found = [look_up(data.domain, "domain"), look_up(data.open, "open"), look_up(data.test, "test")]
    return Found([source for part in found for source in part.sources], [one for part in found for one in part.left_out])


def data_files(data: Data) -> list[Path]:
    """Every file that the rows of a recipe hang on: the sources, and the catalogues that name them."""
    named = [Path(path) for path in (*data.domain, *data.open, *data.test)]
    return [*(path for path in named if path.is_file()), *(source.path for source in all_sources(data).sources)]


def is_skipped(source: Source, layout: Layout) -> bool:
    """Whether a file is passed over: it was found in a folder or by a glob, and its content is no data."""
    return layout.container is None and layout.encoding is not None and not source.named


class _PartResult(NamedTuple):
    counts: dict[str, int]
    tallies: dict[SourceKey, Tally]
    problems: Problems
    skipped: list[str]


@dataclass(frozen=True, slots=True)
class _PartReader:
    """Reads one part into shards of its own."""

    out_dir: Path

    def __call__(self, part: Part) -> _PartResult:
        tallies: dict[SourceKey, Tally] = {}
        problems = Problems()
        skipped: list[str] = []
        with _Outputs(self.out_dir, f"part-{part.number:05d}") as outputs:
            for piece in part.pieces:
                source, layout = piece.source, piece.layout or layout_of(piece.source)
                if is_skipped(source, layout):
                    skipped.append(source.name)
                else:
                    _read(piece, layout, outputs, problems, tallies.setdefault(SourceKey(source.name, source.use), Tally()))
        return _PartResult(outputs.rows(), tallies, problems, skipped)


def _read(piece: Piece, layout: Layout, outputs: "_Outputs", problems: Problems, tally: Tally) -> None:
    tally.container, tally.encoding = layout.container, layout.encoding_name
    is_test = piece.source.use == "test"
    for reading in readings(piece.source, layout, span=piece.span):
        tally.count(reading)
        problems.note(reading)
        outputs.write(reading.record, is_test=is_test)


class _Outputs:
    """The four folders that a part is written into; a folder that gets no row gets no shard."""

    def __init__(self, out_dir: Path, name: str) -> None:
        self._writers = {
            kind: ShardWriter(out_dir / kind, schema, name=name, may_be_empty=True) for kind, schema in _SCHEMAS.items()
        }
        self._examples: dict[str, list[Example]] = {"examples": [], "test": []}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for writer in self._writers.values():
            self._stack.enter_context(writer)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            for name in self._examples:
                self._flush(name)
        self._stack.__exit__(kind, error, trace)

    def write(self, record: Example | Dropped | Document, *, is_test: bool) -> None:
        if isinstance(record, Dropped):
            self._writers["dropped"].write(dropped_to_row(record))
        elif isinstance(record, Document):
            self._writers["documents"].write(document_to_row(record))
        else:
            name = "test" if is_test else "examples"
            self._examples[name].append(record)
            if len(self._examples[name]) == ROWS_PER_GROUP:
                self._flush(name)

    def rows(self) -> dict[str, int]:
        return {name: writer.rows for name, writer in self._writers.items()}

    def _flush(self, name: str) -> None:
        self._writers[name].write_table(examples_to_table(self._examples[name]))
        self._examples[name] = []
