"""Which rows may be trained on and which are kept for the test. A family never stands on both sides."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence, Set
from fractions import Fraction
from math import floor
from typing import NamedTuple

from tunewell.mix.draw import Row, place
from tunewell.records import Example

_FAMILIES_WORTH_A_TEST = 10


class Split(NamedTuple):
    """Rows that may be trained on, rows held out for the test, and of how many families these are."""

    trainable: list[Row]
    held_out: list[Row]
    families: int


def hold_out(rows: Sequence[Row], share: float, *, seed: int) -> Split:
    """Set a share of the domain families aside, at least one where there are ten or more.

    A row outside the domain that belongs to such a family, or has the content of a held-out row, is on neither side.
    """
    families = sorted({row.family for row in rows if row.pool == "domain"}, key=lambda family: place(family, "hold out", seed=seed))
    count = floor(Fraction(str(share)) * len(families))
    if share > 0 and len(families) >= _FAMILIES_WORTH_A_TEST:
        count = max(count, 1)
    chosen = set(families[:count])
    held_out = [row for row in rows if row.pool == "domain" and row.family in chosen]
    ids = {row.id for row in held_out}
    return Split([row for row in rows if row.family not in chosen and row.id not in ids], held_out, count)


def without_families(rows: Iterable[Row], families: Set[str]) -> Split:
    """Leave the rows of these families out of training; none is held out, for the test is given."""
    return Split([row for row in rows if row.family not in families and row.id not in families], [], 0)


def unseen_families(test_items: Iterable[Example]) -> set[str]:
    """The families all of whose test items are `unseen`: no row of theirs may be trained on."""
    tasks: defaultdict[str, set[str]] = defaultdict(set)
    for item in test_items:
        tasks[item.family].add(item.task)
    return {family for family, found in tasks.items() if found == {"unseen"}}


def answerable(item: Example, trained: Collection[str]) -> bool:
    """Whether a test item still stands: a `seen` or `paraphrase` item needs its training row among the ids and families trained."""
    return item.task == "unseen" or item.family in trained
