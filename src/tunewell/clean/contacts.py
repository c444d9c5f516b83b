"""Telling the team's own numbers and addresses, which answers should give, from those of persons, which they should not.

A value that the answers of several conversations give, and that no user writes, is a contact of the team: the hotline, the address
for reports, the account to pay into. The recipe may name more (`clean.contacts`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tunewell.clean.batch import Batch
from tunewell.clean.examine import Shard
from tunewell.clean.keys import Keys, text_keys
from tunewell.clean.reviewed import mend
from tunewell.engine import Engine
from tunewell.identifiers import FIRST_LOOK, LEAST_CONVERSATIONS, bare, values
from tunewell.store import Judgement, read_tables


def own_contacts(shards: Sequence[Shard], named: Sequence[str], mended: Mapping[str, Judgement], engine: Engine) -> list[str]:
    """The values that are named, and those that answers give often enough and no user writes, in the form of `identifiers.bare`.

    Rows in `mended` count with their mended text.
    """
    return sorted({*map(bare, named), *_given_often(shards, mended, engine)})


def _given_often(shards: Sequence[Shard], mended: Mapping[str, Judgement], engine: Engine) -> set[str]:
    parts = list(engine.map(_Using(mended), shards, name="contacts"))
    given, conversations = np.unique(np.concatenate([part.given for part in parts]), return_counts=True)
    written = np.concatenate([part.written for part in parts])
    own = given[(conversations >= LEAST_CONVERSATIONS) & ~np.isin(given, written)]
    if not len(own):
        return set()
    return set().union(*engine.map(_Named(own, mended), shards, name="contacts"))


class _Uses(NamedTuple):
    """Keys of the values in a shard: `given` has one for each row that gives it in an answer, `written` those that users write."""

    given: Keys
    written: Keys


class _Use(NamedTuple):
    row: int
    value: str


@dataclass(frozen=True, slots=True)
class _Using:
    """What the rows of a shard use."""

    mended: Mapping[str, Judgement]

    def __call__(self, shard: Shard) -> _Uses:
        batches = list(_batches(shard, self.mended))
        given = [use.value for batch in batches for use in set(_found(batch, "assistant"))]
        written = {use.value for batch in batches for use in _found(batch, "user")}
        return _Uses(text_keys(given), text_keys(sorted(written)))


@dataclass(frozen=True, slots=True)
class _Named:
    """The values of a shard that have one of the keys."""

    keys: Keys
    mended: Mapping[str, Judgement]

    def __call__(self, shard: Shard) -> set[str]:
        given = sorted({use.value for batch in _batches(shard, self.mended) for use in _found(batch, "assistant")})
        return {value for value, is_own in zip(given, np.isin(text_keys(given), self.keys), strict=True) if is_own}


def _batches(shard: Shard, mended: Mapping[str, Judgement]) -> Iterator[Batch]:
    return (Batch(mend(table, mended).table) for table in read_tables(shard.path))


def _found(batch: Batch, role: str) -> Iterator[_Use]:
    for turn in batch.turns(batch.matching(batch.places(role), FIRST_LOOK)):
        yield from (_Use(turn.row, value) for value in values(turn.text))
