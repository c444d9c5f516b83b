"""What must be known of every row to draw it, as columns of numbers: some thirty bytes a row, whatever its texts weigh."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tunewell.engine import Engine
from tunewell.mix.shares import TURNS
from tunewell.mix.tokens import count_tokens
from tunewell.records import OWN_WORDS_TASKS, POOLS
from tunewell.store import ROWS_PER_GROUP, short_digest

Names: TypeAlias = NDArray[np.uint64]
Numbers: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

_ROWS_PER_PIECE = 50_000
_READ = ("id", "family", "pool", "task", "messages.list.element.role", "origin.path")
_HEX = re.compile(r"[0-9a-f]{16}")


class Piece(NamedTuple):
    """Shards that follow one another in the input and are read by one worker: their paths, and the rows of the input in them."""

    paths: tuple[Path, ...]
    start: int
    stop: int


class Rows(NamedTuple):
    """The rows of the input in their order, one entry a row in each column.

    `ids` and `families` are hashes; `pools`, `turns` and `sources` are places in `POOLS`, `TURNS` and `source_names`; `is_own`
    are those that no teacher has made, or one that kept to the user's own words. `tokens` is filled where tokens were counted.
    """

    ids: Names
    families: Names
    pools: NDArray[np.int8]
    turns: NDArray[np.int8]
    is_own: Mask
    sources: NDArray[np.int32]
    tokens: NDArray[np.int32] | None
    source_names: tuple[str, ...]


def pieces_of(paths: Sequence[Path]) -> list[Piece]:
    """The shards as work for workers: many small ones together, none cut."""
    pieces: list[Piece] = []
    for path in paths:
        rows = pq.read_metadata(path).num_rows
        if pieces and pieces[-1].stop - pieces[-1].start + rows <= _ROWS_PER_PIECE:
            last = pieces.pop()
            pieces.append(Piece((*last.paths, path), last.start, last.stop + rows))
        else:
            start = pieces[-1].stop if pieces else 0
            pieces.append(Piece((path,), start, start + rows))
    return pieces


def read_columns(pieces: Sequence[Piece], *, tokenizer: Path | None, engine: Engine) -> Rows:
    """The columns of all rows; their tokens are counted where the folder of a tokenizer is given."""
    return _joined(list(engine.map(_ReadColumns(tokenizer), pieces, name="mix: read")))


def number(name: str) -> int:
    """A name as 64 bits: an id of 16 hex digits as it is, any other by its hash.

    >>> number("00000000000000ff")
    255
    """
    return int(name, 16) if _HEX.fullmatch(name) else short_digest(name)


def numbers(names: Iterable[str]) -> Names:
    """Many names as 64 bits each."""
    return np.fromiter(map(number, names), np.uint64)


def among(values: Names, members: Names) -> Mask:
    """Which of the values are among the members."""
    if not len(members):
        return np.zeros(len(values), np.bool_)
    known = np.sort(members)
    nearest = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found: Mask = known[nearest] == values
    return found


@dataclass(frozen=True)
class _ReadColumns:
    """The work on one piece."""

    tokenizer: Path | None

    def __call__(self, piece: Piece) -> Rows:
        return _joined([self._of_shard(path) for path in piece.paths])

    def _of_shard(self, path: Path) -> Rows:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(_READ)).combine_chunks()
            named = _names_teacher(file)
        sources = pc.struct_field(_only_chunk(table, "origin"), "path").dictionary_encode()
        return Rows(
            ids=numbers(table.column("id").to_pylist()),
            families=numbers(table.column("family").to_pylist()),
            pools=pc.index_in(_only_chunk(table, "pool"), pa.array(POOLS)).to_numpy(zero_copy_only=False).astype(np.int8),
            turns=_turns(_only_chunk(table, "messages")),
            is_own=~named | np.isin(table.column("task").to_pylist(), OWN_WORDS_TASKS),
            sources=sources.indices.to_numpy(zero_copy_only=False).astype(np.int32),
            tokens=None if self.tokenizer is None else count_tokens(path, self.tokenizer),
            source_names=tuple(sources.dictionary.to_pylist()),
        )


def _only_chunk(table: pa.Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _turns(messages: Any) -> NDArray[np.int8]:
    """For each conversation, whether the user speaks more than once."""
    by_user = pc.equal(messages.values.field("role"), "user").to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(by_user)])
    offsets = messages.offsets.to_numpy()
    several: Mask = before[offsets[1:]] - before[offsets[:-1]] > 1
    return np.where(several, TURNS.index("multi"), TURNS.index("single")).astype(np.int8)


def _names_teacher(file: pq.ParquetFile) -> Mask:
    """Which rows name a teacher in their evidence, which can be long: it is read piece by piece."""
    named = np.zeros(file.metadata.num_rows, np.bool_)
    start = 0
    for batch in file.iter_batches(ROWS_PER_GROUP, columns=["evidence"]):
        evidence = batch.column("evidence")
        # The word may also stand in a text or deeper down; only where it stands at all is a row worth parsing.
        likely = np.flatnonzero(pc.match_substring(evidence, '"teacher').to_numpy(zero_copy_only=False))
        named[start + likely] = ["teacher" in json.loads(text) for text in evidence.take(pa.array(likely)).to_pylist()]
        start += batch.num_rows
    return named


def _joined(parts: Sequence[Rows]) -> Rows:
    names = {name: None for part in parts for name in part.source_names}
    codes = {name: code for code, name in enumerate(names)}
    sources = [np.array([codes[name] for name in part.source_names], np.int32)[part.sources] for part in parts]
    tokens = [part.tokens for part in parts if part.tokens is not None]
    return Rows(
        ids=np.concatenate([part.ids for part in parts]),
        families=np.concatenate([part.families for part in parts]),
        pools=np.concatenate([part.pools for part in parts]),
        turns=np.concatenate([part.turns for part in parts]),
        is_own=np.concatenate([part.is_own for part in parts]),
        sources=np.concatenate(sources),
        tokens=np.concatenate(tokens) if tokens else None,
        source_names=tuple(names),
    )
