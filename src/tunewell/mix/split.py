"""Which rows may be trained on and which are kept for the test. A family never stands on both sides."""

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from math import floor
from typing import NamedTuple

import numpy as np

from tunewell.mix.columns import Mask, Names, Rows, among, numbers
from tunewell.mix.draw import places
from tunewell.records import POOLS, Example

MOST_FAMILIES = 2_000
"""Most families that are held out: evaluation asks some hundreds, so that more would only be lost to training."""
_FAMILIES_WORTH_A_TEST = 10


class Split(NamedTuple):
    """Which rows may be trained on, which are held out for the test, and of how many families these are."""

    trainable: Mask
    held_out: Mask
    families: int


def hold_out(rows: Rows, share: float, *, seed: int) -> Split:
    """Set a share of the domain families aside, at least one where there are ten or more, and at most `MOST_FAMILIES`.

    A row that belongs to such a family and cannot be a test item, or has the content of a held-out row, is on neither side.
    """
    fit = can_test(rows)
    families = np.unique(rows.families[fit])
    count = min(floor(Fraction(str(share)) * len(families)), MOST_FAMILIES)
    if share > 0 and len(families) >= _FAMILIES_WORTH_A_TEST:
        count = max(count, 1)
    chosen = families[np.argsort(places(families, "hold out", seed=seed), kind="stable")[:count]]
    taboo = among(rows.families, chosen)
    held_out = fit & taboo
    return Split(~taboo & ~among(rows.ids, rows.ids[held_out]), held_out, count)


def can_test(rows: Rows) -> Mask:
    """Which rows can be test items: the user's own domain rows, since a teacher's would measure the teacher.

    Where there are none, all domain rows can.
    """
    domain = rows.pools == POOLS.index("domain")
    own: Mask = domain & rows.is_own
    return own if own.any() else domain


def without_unseen(rows: Rows, test_items: Iterable[Example]) -> Split:
    """Leave the families out of training all of whose test items are `unseen`; none is held out, for the test is given."""
    tasks: defaultdict[str, set[str]] = defaultdict(set)
    for item in test_items:
        tasks[item.family].add(item.task)
    families = numbers(family for family, found in tasks.items() if found == {"unseen"})
    taboo = among(rows.families, families) | among(rows.ids, families)
    return Split(~taboo, np.zeros_like(taboo), 0)


def answerable(test_items: Iterable[Example], trained: Names) -> Mask:
    """Which test items still stand: a `seen` or `paraphrase` item needs its training row among the ids and families trained."""
    unseen, families = [], []
    for item in test_items:
        unseen.append(item.task == "unseen")
        families.append(item.family)
    return np.array(unseen, np.bool_) | among(numbers(families), trained)
