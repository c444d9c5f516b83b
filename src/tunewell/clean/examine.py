"""The first pass over a shard: which rows its own rules let live, and what the rules that compare rows must know of each."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tunewell.clean.batch import Batch
from tunewell.clean.contamination import Hits, TestIndex
from tunewell.clean.keys import Keys, RowKeys, row_keys, text_keys
from tunewell.clean.near_duplicates import POSITIONS, signatures
from tunewell.clean.novelty import Encoded, encode
from tunewell.clean.personal import Masked, mask
from tunewell.clean.reviewed import Mended, mend
from tunewell.clean.rules import Rule, first_reasons
from tunewell.clean.superseded import REWRITING
from tunewell.records import BORROWED_TASKS, POOLS
from tunewell.store import Judgement, atomic_write, read_examples, read_tables

_SIGNATURES = ".signatures"


class Shard(NamedTuple):
    """A shard of rows, and the name under which what becomes of it is written."""

    name: str
    path: Path


class Places(NamedTuple):
    """Where rows came from: `path` counts in `paths`, `row` is -1 where the source has no rows."""

    paths: list[str]
    path: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]

    def name(self, number: int) -> str:
        """The place of a row in words, as `Origin` writes it."""
        path, row = self.paths[self.path[number]], int(self.row[number])
        return path if row < 0 else f"{path}:{row}"


class Columns(NamedTuple):
    """What is known of rows, one entry a row."""

    alive: npt.NDArray[np.bool_]
    keys: RowKeys
    family: Keys
    pool: npt.NDArray[np.uint8]
    is_multi_turn: npt.NDArray[np.bool_]
    is_borrowed: npt.NDArray[np.bool_]
    identity: Keys
    is_rewriting: npt.NDArray[np.bool_]
    places: Places


class Examined(NamedTuple):
    """A shard after the first pass: its columns, its questions (None: not compared), and what gives away the test."""

    columns: Columns
    questions: Encoded | None
    hits: list[Hits]


class HeldOut(NamedTuple):
    """A folder of test items, and the hash of its content, so that a worker that remembers it remembers the right one."""

    folder: Path
    digest: str


class Preparation(NamedTuple):
    """What happens to a row before a rule looks at it.

    First it takes its mended text, if it is in `reviewed`. Then personal data is masked, but for `contacts` (None: it is not).
    """

    reviewed: Mapping[str, Judgement]
    contacts: Sequence[str] | None

    def mended(self, table: pa.Table) -> Mended:
        """The rows as reviewers left them."""
        return mend(table, self.reviewed)

    def masked(self, batch: Batch) -> Masked:
        """The mended rows as the rules see them."""
        return Masked(batch.table, {}) if self.contacts is None else mask(batch, contacts=self.contacts)


@dataclass(frozen=True, slots=True)
class Examiner:
    """The first pass.

    `test` is None where contamination is not looked for, and `signatures`, the folder that receives MinHash signatures, where
    near duplicates are not.
    """

    rules: Sequence[Rule]
    prepare: Preparation
    compares_questions: bool
    test: HeldOut | None
    signatures: Path | None

    def __call__(self, shard: Shard) -> Examined:
        """Examine one shard."""
        columns: list[Columns] = []
        questions: list[str] = []
        hits: list[Hits] = []
        signed: list[npt.NDArray[np.uint32]] = []
        for table in read_tables(shard.path):
            batch = Batch(self.prepare.mended(table).table)
            if self.test:
                hits.append(_test_index(self.test).hits(batch))
            batch = Batch(self.prepare.masked(batch).table)
            columns.append(_columns(batch, self.rules))
            questions += batch.questions if self.compares_questions else []
            if self.signatures:
                signed.append(signatures(_conversations(batch)))
        if self.signatures:
            with atomic_write(self.signatures / f"{shard.name}{_SIGNATURES}") as temporary:
                np.concatenate(signed).tofile(temporary)
        return Examined(joined(columns), encode(questions) if self.compares_questions else None, hits)


def joined(parts: Sequence[Columns]) -> Columns:
    """Columns laid end to end."""
    paths = dict.fromkeys(chain.from_iterable(part.places.paths for part in parts))
    numbers = {path: number for number, path in enumerate(paths)}
    renumbered = [np.array([numbers[path] for path in part.places.paths], np.int32)[part.places.path] for part in parts]
    return Columns(
        alive=_end_to_end(part.alive for part in parts),
        keys=RowKeys(*(_end_to_end(column) for column in zip(*(part.keys for part in parts), strict=True))),
        family=_end_to_end(part.family for part in parts),
        pool=_end_to_end(part.pool for part in parts),
        is_multi_turn=_end_to_end(part.is_multi_turn for part in parts),
        is_borrowed=_end_to_end(part.is_borrowed for part in parts),
        identity=_end_to_end(part.identity for part in parts),
        is_rewriting=_end_to_end(part.is_rewriting for part in parts),
        places=Places(list(paths), _end_to_end(renumbered), _end_to_end(part.places.row for part in parts)),
    )


def signatures_in(folder: Path) -> npt.NDArray[np.uint32]:
    """The signatures of all shards in their order, one a row, backed by a file in the folder, which the first call writes."""
    whole = folder / "all"
    if not whole.exists():
        with whole.open("wb") as target:
            for path in sorted(folder.glob(f"*{_SIGNATURES}")):
                with path.open("rb") as part:
                    shutil.copyfileobj(part, target)
                path.unlink()
    return np.memmap(whole, np.uint32, "r").reshape(-1, POSITIONS)


def _columns(batch: Batch, rules: Sequence[Rule]) -> Columns:
    verdicts = first_reasons(batch, rules)
    return Columns(
        alive=np.array([verdict is None for verdict in verdicts], np.bool_),
        keys=row_keys(batch),
        family=text_keys(batch.values("family")),
        pool=np.array([POOLS.index(pool) for pool in batch.values("pool")], np.uint8),
        is_multi_turn=batch.is_multi_turn,
        is_borrowed=np.isin(batch.values("task"), BORROWED_TASKS),
        identity=text_keys(batch.values("id")),
        is_rewriting=np.isin(batch.values("task"), [REWRITING]),
        places=_places(batch),
    )


def _places(batch: Batch) -> Places:
    origin = batch.table.column("origin").combine_chunks()
    paths = pc.struct_field(origin, "path").dictionary_encode()
    rows = pc.fill_null(pc.struct_field(origin, "row"), -1)
    return Places(paths.dictionary.to_pylist(), paths.indices.to_numpy(), rows.to_numpy())


def _conversations(batch: Batch) -> list[str]:
    texts: list[list[str]] = [[] for _ in range(batch.rows)]
    for row, text in zip(batch.owners.tolist(), batch.texts.to_pylist(), strict=True):
        texts[row].append(text)
    return ["\n".join(parts) for parts in texts]


@lru_cache(maxsize=1)
def _test_index(items: HeldOut) -> TestIndex:
    return TestIndex(read_examples(items.folder))


def _end_to_end(parts: Iterable[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(list(parts))
