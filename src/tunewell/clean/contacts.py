"""Telling the team's own numbers and addresses, which answers should give, from those of persons, which they should not.

A value that the answers of several conversations give, and that no user writes, is a contact of the team: the hotline, the address
for reports, the account to pay into. The recipe may name more (`clean.contacts`).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tunewell.clean.batch import Batch
from tunewell.clean.examine import Shard
from tunewell.clean.identifiers import FIRST_LOOK, bare, identifiers
from tunewell.clean.keys import Keys, text_keys
from tunewell.store import read_tables

LEAST_CONVERSATIONS = 3
"""How many conversations must give a value for it to be the team's own."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """Values that are not personal, by their keys: written in any way, a value is in it or not."""

    keys: frozenset[int] = frozenset()

    @classmethod
    def named(cls, values: Collection[str]) -> "Contacts":
        """The contacts that a recipe names."""
        return cls(frozenset(_keys(values).tolist()))

    def __contains__(self, value: str) -> bool:
        return bool(self.keys) and int(_keys([value])[0]) in self.keys


class Uses(NamedTuple):
    """Keys of the values in a shard: `given` has one for each row that gives it in an answer, `written` those that users write."""

    given: Keys
    written: Keys


def uses(shard: Shard) -> Uses:
    """Where the rows of a shard hold numbers and addresses."""
    given: list[str] = []
    written: list[str] = []
    for table in read_tables(shard.path):
        batch = Batch(table)
        answers = set(values_at(batch, "assistant"))
        given += [value for _, value in answers]
        written += [value for _, value in values_at(batch, "user")]
    return Uses(_keys(given), np.unique(_keys(written)))


def own_contacts(found: Iterable[Uses]) -> Contacts:
    """The values that answers give often enough and that no user writes, from the uses in all shards."""
    parts = list(found)
    values, conversations = np.unique(np.concatenate([part.given for part in parts]), return_counts=True)
    often = values[conversations >= LEAST_CONVERSATIONS]
    written = np.concatenate([part.written for part in parts])
    return Contacts(frozenset(often[~np.isin(often, written)].tolist()))


def values_at(batch: Batch, role: str) -> list[tuple[int, str]]:
    """The identifiers in the texts of a role: the row, and the value as `bare` gives it."""
    places = batch.matching(batch.places(role), FIRST_LOOK)
    return [(turn.row, bare(turn.text[one.start : one.end])) for turn in batch.turns(places) for one in identifiers(turn.text)]


def _keys(values: Collection[str]) -> Keys:
    return text_keys([bare(value) for value in values])
