"""The generated rows of a run as columns: those that the checks kept, and those they rejected."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tunewell.errors import DataError
from tunewell.records import DROPPED_SCHEMA, Dropped, row_to_dropped
from tunewell.store import read_tables, shards, short_digest

KEPT = "kept"
"""The outcome of the checks for a row that they did not reject; the others bear the reason of a rejection."""

Flags = npt.NDArray[np.bool_]


class Filter(NamedTuple):
    """Which rows are wanted; what is empty is not asked for. `state` is what the reviewer made of a row."""

    task: str = ""
    language: str = ""
    outcome: str = ""
    state: str = ""
    text: str = ""


@dataclass(frozen=True)
class Rows:
    """Rows of `DROPPED_SCHEMA` in the order in which they are shown; `reason` is `KEPT` for those that may be judged.

    `population` is how many kept rows the run has, of which these may be a sample.
    """

    table: pa.Table
    population: int
    is_sample: bool = False
    ids: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", self.table.column("id").to_pylist())

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, place: int) -> Dropped:
        """The row at a place; its reason is `KEPT` where the checks kept it."""
        (values,) = self.table.slice(place, 1).to_pylist()
        return row_to_dropped(values)

    @cached_property
    def is_kept(self) -> Flags:
        """Which rows may be judged."""
        return np.asarray(self.columns["reason"] == KEPT, np.bool_)

    def kept_ids(self) -> list[str]:
        """The ids of the rows that may be judged, in their order."""
        return [self.ids[place] for place in np.flatnonzero(self.is_kept)]

    @cached_property
    def columns(self) -> dict[str, npt.NDArray[np.object_]]:
        """What rows are chosen by: task, language, and the reason for which the checks rejected a row, or `KEPT`."""
        names = ("task", "language", "reason")
        return {name: np.asarray(self.table.column(name).to_pylist(), dtype=object) for name in names}

    def matching(self, wanted: Filter) -> Flags:
        """The rows that a filter lets through, whatever the reviewer made of them."""
        found = np.ones(len(self), np.bool_)
        for name, value in (("task", wanted.task), ("language", wanted.language), ("reason", wanted.outcome)):
            if value:
                found &= self.columns[name] == value
        return found & self._holding(wanted.text) if wanted.text else found

    def _holding(self, text: str) -> Flags:
        found = np.array([known == text for known in self.ids], np.bool_)
        messages = self.table.column("messages").combine_chunks()
        owners = np.asarray(pc.list_parent_indices(messages), np.int64)
        texts = messages.flatten().field("content")
        found[owners[pc.match_substring(texts, text, ignore_case=True).to_numpy(zero_copy_only=False)]] = True
        return found


def read_rows(generate: Path) -> Rows:
    """The rows in the folder that `generate` wrote, each conversation once. Raises `DataError` where it holds none."""
    kept = _once(_table(generate / "examples"))
    if not kept.num_rows:
        hint = "`tunewell run RECIPE --until generate` writes rows where the recipe's `generate` asks for some"
        raise DataError("there are no generated rows here", where=str(generate), hint=hint)
    rejected = _table(generate / "dropped") if (generate / "dropped").is_dir() else DROPPED_SCHEMA.empty_table()
    return Rows(pa.concat_tables([kept, rejected]).combine_chunks(), kept.num_rows)


def sampled(rows: Rows, size: int, seed: int) -> Rows:
    """So many kept rows drawn at random, in the order in which they are drawn.

    The order hangs on the seed and on each row alone: every reviewer has the same sample, and a larger one begins with the
    smaller one.
    """
    places = np.flatnonzero(rows.is_kept).tolist()
    drawn = sorted(places, key=lambda place: (short_digest(f"{seed} {rows.ids[place]}"), place))[:size]
    return Rows(rows.table.take(pa.array(drawn, pa.int64())), rows.population, is_sample=True)


def _table(folder: Path) -> pa.Table:
    if not folder.is_dir():
        return DROPPED_SCHEMA.empty_table()
    return pa.concat_tables([DROPPED_SCHEMA.empty_table(), *_with_reasons(folder)])


def _with_reasons(folder: Path) -> Iterator[pa.Table]:
    for table in (table for path in shards(folder) for table in read_tables(path)):
        if "reason" in table.column_names:
            yield table.cast(DROPPED_SCHEMA)
        else:
            reasons = pa.array([KEPT] * table.num_rows, pa.string())
            details = pa.array([""] * table.num_rows, pa.string())
            yield table.append_column("reason", reasons).append_column("detail", details).cast(DROPPED_SCHEMA)


def _once(table: pa.Table) -> pa.Table:
    first: dict[str, int] = {}
    for place, known in enumerate(table.column("id").to_pylist()):
        first.setdefault(known, place)
    return table if len(first) == table.num_rows else table.take(pa.array(first.values(), pa.int64()))
