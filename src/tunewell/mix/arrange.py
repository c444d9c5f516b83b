"""Writing rows in a new order without holding them: each worker deals the rows it reads out to the files they belong to."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tunewell.engine import Engine
from tunewell.mix.columns import Numbers, Piece
from tunewell.records import EXAMPLE_SCHEMA
from tunewell.store import ROWS_PER_GROUP, atomic_write, read_tables

_ROWS_PER_PART = 50_000
_BYTES_AT_ONCE = 32 << 20
_DEALT_SCHEMA = EXAMPLE_SCHEMA.append(pa.field("place", pa.int64()))


class Section(NamedTuple):
    """A folder to fill: the rows of the input that it gets, in their new order, and the task they get there (empty: their own)."""

    folder: Path
    rows: Numbers
    task: str = ""


class _Part(NamedTuple):
    """One file to write, and the places of its rows in the new order."""

    path: Path
    start: int
    stop: int
    task: str


class _Deal(NamedTuple):
    """Shards to read, which of their rows are used (ascending, repeats included), and the new place of each."""

    paths: tuple[Path, ...]
    rows: NDArray[np.int32]
    places: Numbers
    scratch: Path


def write_sections(pieces: Sequence[Piece], sections: Sequence[Section], scratch: Path, *, engine: Engine) -> None:
    """Fill the folders with shards `part-00000.parquet`, …, at least one a section, all in a single reading of the input.

    The files do not depend on how the input is cut into pieces. Rows pass through the folder `scratch`.
    """
    parts = _parts(sections)
    order = np.concatenate([section.rows for section in sections])
    deals = _deals(pieces, order, scratch)
    _finish(engine.map(_DealOut(tuple(part.stop for part in parts)), deals, name="mix: deal"))
    files = tuple(deal.scratch for deal in deals)
    _finish(engine.map(_Collect(files, len(parts)), list(enumerate(parts)), name="mix: write"))


def _parts(sections: Sequence[Section]) -> list[_Part]:
    parts: list[_Part] = []
    numbers: Counter[Path] = Counter()
    begin = 0
    for section in sections:
        end = begin + len(section.rows)
        for start in range(begin, max(end, begin + 1), _ROWS_PER_PART):
            path = section.folder / f"part-{numbers[section.folder]:05d}.parquet"
            parts.append(_Part(path, start, min(start + _ROWS_PER_PART, end), section.task))
            numbers[section.folder] += 1
        begin = end
    return parts


def _deals(pieces: Sequence[Piece], order: Numbers, scratch: Path) -> list[_Deal]:
    places = np.argsort(order, kind="stable")
    rows = order[places]
    edges = np.searchsorted(rows, [piece.start for piece in pieces] + [pieces[-1].stop])
    return [
        _Deal(piece.paths, (rows[a:b] - piece.start).astype(np.int32), places[a:b], scratch / f"{number:05d}.arrow")
        for number, (piece, (a, b)) in enumerate(zip(pieces, pairwise(edges), strict=True))
        if a < b
    ]


def _finish(results: Iterator[None]) -> None:
    for _ in results:
        pass


@dataclass(frozen=True)
class _DealOut:
    """Write the rows of one deal into its scratch file: time and again one batch for every part, some of them empty."""

    stops: tuple[int, ...]

    def __call__(self, deal: _Deal) -> None:
        with (
            atomic_write(deal.scratch) as temporary,
            pa.OSFile(str(temporary), "wb") as file,
            pa.ipc.new_file(file, _DEALT_SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer,
        ):
            for table in _in_runs(_used(deal)):
                places = table.column("place").to_numpy()
                order = np.argsort(places)
                edges = np.searchsorted(places[order], self.stops)
                (batch,) = table.take(pa.array(order)).combine_chunks().to_batches()
                for start, stop in pairwise([0, *edges]):
                    writer.write_batch(batch.slice(start, stop - start))


def _used(deal: _Deal) -> Iterator[pa.Table]:
    """The rows of a deal, with their places. A row that is repeated often comes in several tables."""
    start = 0
    for table in chain.from_iterable(map(read_tables, deal.paths)):
        first, last = np.searchsorted(deal.rows, [start, start + table.num_rows])
        for begin in range(first, last, ROWS_PER_GROUP):
            chosen = slice(begin, min(begin + ROWS_PER_GROUP, last))
            places = pa.array(deal.places[chosen])
            yield table.take(pa.array(deal.rows[chosen] - start)).append_column("place", places)
        start += table.num_rows


def _in_runs(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The tables, so many together as memory should hold."""
    run: list[pa.Table] = []
    size = 0
    for table in tables:
        run.append(table)
        size += table.nbytes
        if size >= _BYTES_AT_ONCE:
            yield pa.concat_tables(run).combine_chunks()
            run, size = [], 0
    if run:
        yield pa.concat_tables(run).combine_chunks()


@dataclass(frozen=True)
class _Collect:
    """Write one part from what all scratch files hold of it: every batch whose number is the part's, modulo the number of parts."""

    files: tuple[Path, ...]
    parts: int

    def __call__(self, item: tuple[int, _Part]) -> None:
        number, part = item
        table = pa.Table.from_batches(self._batches(number), _DEALT_SCHEMA).combine_chunks()
        order = np.argsort(table.column("place").to_numpy())
        rows = table.drop_columns("place")
        if part.task:
            rows = rows.set_column(rows.column_names.index("task"), "task", pa.repeat(part.task, len(rows)))
        with atomic_write(part.path) as temporary, pq.ParquetWriter(temporary, EXAMPLE_SCHEMA, compression="zstd") as writer:
            for start in range(0, len(order), ROWS_PER_GROUP):
                writer.write_table(rows.take(pa.array(order[start : start + ROWS_PER_GROUP])))

    def _batches(self, number: int) -> Iterator[pa.RecordBatch]:
        for path in self.files:
            with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
                for batch in range(number, reader.num_record_batches, self.parts):
                    yield reader.get_batch(batch)
