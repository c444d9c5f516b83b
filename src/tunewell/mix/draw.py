"""Drawing rows by seed. A row's place in a draw hangs on its id alone, so that the order of the input does not matter."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tunewell.mix.shares import Turn
from tunewell.records import Pool


class Row(NamedTuple):
    """What must be known of a row to draw it: where it stands in the input, and what it belongs to."""

    position: int
    id: str
    family: str
    pool: Pool
    turns: Turn


class Copy(NamedTuple):
    """A row in the mixture; `number` is 0 for its first appearance and counts its repeats."""

    row: Row
    number: int


def draw(rows: Iterable[Row], count: int, *, seed: int) -> list[Copy]:
    """`count` copies of rows: some of them once, or all of them equally often and a random remainder once more.

    >>> rows = [Row(0, "a", "a", "open", "single"), Row(1, "b", "b", "open", "single")]
    >>> sorted((copy.row.id, copy.number) for copy in draw(rows, 5, seed=0))
    [('a', 0), ('a', 1), ('b', 0), ('b', 1), ('b', 2)]
    """
    choices = list(rows)
    whole, remainder = divmod(count, len(choices)) if choices else (0, 0)
    repeated = [Copy(row, number) for number in range(whole) for row in choices]
    return repeated + [Copy(row, whole) for row in shuffled(choices, f"draw {whole}", seed=seed)[:remainder]]


def in_order(copies: Iterable[Copy], *, seed: int) -> list[Copy]:
    """The copies in the order in which they are trained on."""
    return sorted(copies, key=lambda copy: (place(copy.row.id, f"order {copy.number}", seed=seed), copy.row.position))


def shuffled(rows: Sequence[Row], purpose: str, *, seed: int) -> list[Row]:
    """The rows in a random order, another one for each purpose and seed."""
    return sorted(rows, key=lambda row: (place(row.id, purpose, seed=seed), row.position))


def place(name: str, purpose: str, *, seed: int) -> bytes:
    """A random place for a name, by which names are put in order."""
    return hashlib.blake2b(f"{seed}\n{purpose}\n{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
