"""Records in Parquet shards: `part-00000.parquet`, `part-00001.parquet`, … in one folder, read in the order of their names.

Several workers may fill one folder: each writes shards under a name of its own (`part-00003-00000.parquet`), so that a worker
that is started again writes the same files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tunewell.errors import DataError
from tunewell.records import Document, Dropped, Example, Result, row_to_document, row_to_dropped, row_to_example, row_to_result
from tunewell.store.files import atomic_write

_ROWS_PER_SHARD = 100_000
ROWS_PER_GROUP = 2_000
"""Rows that are held in memory at once, by whoever reads or writes shards."""
_Record = TypeVar("_Record")


class ShardWriter:
    """Writes rows of one schema into a folder. Memory holds one row group; a shard gets its name once it is whole on disk.

    A shard is full with the row group that takes it to `rows_per_shard`. Shards of the same name from an earlier attempt are
    removed first. With `may_be_empty` no shard is written for no row.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        *,
        name: str = "part",
        rows_per_shard: int = _ROWS_PER_SHARD,
        may_be_empty: bool = False,
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._name = name
        self._rows_per_shard = rows_per_shard
        self._may_be_empty = may_be_empty
        self._buffer: list[Mapping[str, Any]] = []
        self._shard = ExitStack()
        self._writer: pq.ParquetWriter | None = None
        self._shards = 0
        self._rows_in_shard = 0
        self.rows = 0
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{name}-*.parquet"):
            old.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._shard.__exit__(kind, error, trace)
            return
        self._flush_group()
        if self.rows == 0 and not self._may_be_empty:
            self._open_shard()
        self._shard.close()

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row."""
        self._buffer.append(row)
        self.rows += 1
        if len(self._buffer) == min(ROWS_PER_GROUP, self._rows_per_shard):
            self._flush_group()

    def write_table(self, table: pa.Table) -> None:
        """Add the rows of a table of the writer's schema, as one row group."""
        self._flush_group()
        self.rows += table.num_rows
        self._write(table)

    def _flush_group(self) -> None:
        if self._buffer:
            self._write(pa.Table.from_pylist(self._buffer, schema=self._schema))
            self._buffer = []

    def _write(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        (self._writer or self._open_shard()).write_table(table)
        self._rows_in_shard += table.num_rows
        if self._rows_in_shard >= self._rows_per_shard:
            self._shard.close()
            self._writer = None

    def _open_shard(self) -> pq.ParquetWriter:
        temporary = self._shard.enter_context(atomic_write(self._folder / f"{self._name}-{self._shards:05d}.parquet"))
        self._writer = self._shard.enter_context(pq.ParquetWriter(temporary, self._schema, compression="zstd"))
        self._shards += 1
        self._rows_in_shard = 0
        return self._writer


def write_rows(folder: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]], *, name: str = "part") -> int:
    """Write all rows into shards of this name and return how many they were."""
    with ShardWriter(folder, schema, name=name) as writer:
        for row in rows:
            writer.write(row)
    return writer.rows


def clear_shards(folder: Path) -> None:
    """Remove the shards of an earlier attempt, half-written ones included; a folder that is not there is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*folder.glob("*.parquet"), *folder.glob(".*.parquet.*.tmp")]:
        path.unlink(missing_ok=True)


def finish_shards(folder: Path, schema: pa.Schema) -> None:
    """Settle a folder that several workers filled: no half-written file of a worker that died, and at least one shard."""
    for path in folder.glob(".*.parquet.*.tmp"):
        path.unlink(missing_ok=True)
    if not any(folder.glob("part-*.parquet")):
        write_rows(folder, schema, [])


def read_examples(folder: Path) -> Iterator[Example]:
    """The examples in a folder of shards, one at a time. Raises `DataError` where the folder holds none."""
    return _read(folder, row_to_example)


def read_dropped(folder: Path) -> Iterator[Dropped]:
    """The dropped examples in a folder of shards."""
    return _read(folder, row_to_dropped)


def read_documents(folder: Path) -> Iterator[Document]:
    """The document sections in a folder of shards."""
    return _read(folder, row_to_document)


def read_results(folder: Path) -> Iterator[Result]:
    """The evaluation results in a folder of shards."""
    return _read(folder, row_to_result)


def count_rows(folder: Path) -> int:
    """How many rows a folder of shards holds, read from the footers alone."""
    return sum(pq.read_metadata(path).num_rows for path in shards(folder))


def read_tables(path: Path) -> Iterator[pa.Table]:
    """The rows of one shard, at most `ROWS_PER_GROUP` at a time; a shard without rows gives one empty table."""
    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            yield file.schema_arrow.empty_table()
        for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
            yield pa.Table.from_batches([batch])


def shards(folder: Path) -> list[Path]:
    """The shards of a folder in their order. Raises `DataError` where there are none."""
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise DataError("no Parquet shards here", where=str(folder), hint="the folder of a finished stage holds part-00000.parquet")
    return paths


def _read(folder: Path, to_record: Callable[[Mapping[str, Any]], _Record]) -> Iterator[_Record]:
    for path in shards(folder):
        for table in read_tables(path):
            for row in table.to_pylist():
                yield to_record(row)
