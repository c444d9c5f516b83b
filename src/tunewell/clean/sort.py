"""The second pass over a shard: its rows into two folders, kept and dropped, each dropped one with its reason and detail."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tunewell.clean.batch import Batch
from tunewell.clean.examine import Places, Preparation, Shard
from tunewell.clean.funnel import KEPT, Source
from tunewell.clean.rules import Rule, Verdict, first_reasons
from tunewell.recipe import RuleName
from tunewell.records import DROPPED_SCHEMA, EXAMPLE_SCHEMA
from tunewell.store import ShardWriter, read_tables

_WORDS: Mapping[RuleName, str] = {
    "duplicate": "same conversation as RIVAL",
    "contradiction": "the same question has different answers",
    "near_duplicate": "nearly the same conversation as RIVAL",
    "novelty": "nearly the same question as RIVAL",
}


class Judged(NamedTuple):
    """A shard, for each of its rows the place of the comparing rule that drops it (-1: none), and the places of their rivals."""

    shard: Shard
    rule: npt.NDArray[np.int8]
    rivals: Places


class Sorted(NamedTuple):
    """Rows kept and dropped of each source, the values masked by kind, and how many rows a reviewer mended."""

    tallies: dict[Source, Counter[str]]
    masked: Counter[str]
    mended: int


@dataclass(frozen=True, slots=True)
class Sorter:
    """The second pass. `comparing` are the names of the rules that compare rows, `tainted` the families that give away the test."""

    rules: Sequence[Rule]
    prepare: Preparation
    comparing: Sequence[RuleName]
    tainted: Mapping[str, str]
    out_dir: Path

    def __call__(self, judged: Judged) -> Sorted:
        """Sort one shard."""
        name = judged.shard.name
        tallies: dict[Source, Counter[str]] = {}
        masked: Counter[str] = Counter()
        start = changed = 0
        with (
            ShardWriter(self.out_dir / "examples", EXAMPLE_SCHEMA, name=name, may_be_empty=True) as kept,
            ShardWriter(self.out_dir / "dropped", DROPPED_SCHEMA, name=name, may_be_empty=True) as dropped,
        ):
            for table in read_tables(judged.shard.path):
                mended = self.prepare.mended(table)
                prepared = self.prepare.masked(Batch(mended.table))
                batch = Batch(prepared.table)
                verdicts = self._verdicts(batch, judged, start)
                _write(batch.table, verdicts, kept, dropped)
                _count(batch, verdicts, tallies)
                masked.update(prepared.counts)
                changed += mended.rows
                start += batch.rows
        return Sorted(tallies, masked, changed)

    def _verdicts(self, batch: Batch, judged: Judged, start: int) -> list[Verdict | None]:
        verdicts = first_reasons(batch, self.rules)
        places = judged.rule[start : start + batch.rows]
        families = batch.values("family")
        for row in np.flatnonzero(places >= 0).tolist():
            reason = self.comparing[places[row]]
            if reason == "contamination":
                detail = self.tainted[families[row]]
            else:
                detail = _WORDS[reason].replace("RIVAL", judged.rivals.name(start + row))
            verdicts[row] = Verdict(reason, detail)
        return verdicts


def _write(table: pa.Table, verdicts: Sequence[Verdict | None], kept: ShardWriter, dropped: ShardWriter) -> None:
    stays = pa.array([verdict is None for verdict in verdicts], pa.bool_())
    kept.write_table(table.filter(stays))
    reasons = [verdict for verdict in verdicts if verdict is not None]
    if reasons:
        gone = table.filter(pc.invert(stays))
        for name in ("reason", "detail"):
            gone = gone.append_column(name, pa.array([getattr(verdict, name) for verdict in reasons], pa.string()))
        dropped.write_table(gone.cast(DROPPED_SCHEMA))


def _count(batch: Batch, verdicts: Sequence[Verdict | None], tallies: dict[Source, Counter[str]]) -> None:
    outcomes = [KEPT if verdict is None else verdict.reason for verdict in verdicts]
    paths = pc.struct_field(batch.table.column("origin"), "path").to_pylist()
    sources = map(Source, paths, batch.values("pool"))
    for (source, outcome), rows in Counter(zip(sources, outcomes, strict=True)).items():
        tallies.setdefault(source, Counter())[outcome] += rows
