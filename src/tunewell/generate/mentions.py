"""What a text says in numbers, and which of it supports what another text says."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

LOOSE = "-"
"""The unit of a number that is part of a word or a name (二维码, H5): it is not the number of any unit."""


class Amount(NamedTuple):
    """A number, date, time or ordinal as a text states it."""

    shown: str
    unit: str = ""
    """What it counts, as `units.unit_after` names it; empty where the text leaves that open."""
    bound: str = ""
    """`<` or `>` where such a sign stands before it."""


Readable = Mapping[str, frozenset[Amount]]
"""The amounts of a source by what they show."""


class Mention(NamedTuple):
    """A place in a text that is one date, time, fraction or ordinal, and no plain numbers."""

    start: int
    end: int
    claims: tuple[Amount, ...]
    readings: tuple[Amount, ...]
    """What it supports: its claims, and more where it can be read in several ways."""


def is_supported(amount: Amount, source: Readable) -> bool:
    """Whether a source holds an amount, with the same unit and bound where both name one.

    >>> held = by_shown([Amount("5", "hour"), Amount("7")])
    >>> [is_supported(Amount(*stated), held) for stated in (("5", "hour"), ("5", "day"), ("7", "day"))]
    [True, False, True]
    """
    return any(_agree(amount.unit, held.unit) and _agree(amount.bound, held.bound) for held in source.get(amount.shown, ()))


def by_shown(amounts: Iterable[Amount]) -> Readable:
    """Amounts, by what they show."""
    found: dict[str, set[Amount]] = {}
    for amount in amounts:
        found.setdefault(amount.shown, set()).add(amount)
    return {shown: frozenset(held) for shown, held in found.items()}


def _agree(one: str, other: str) -> bool:
    return one == other or not one or not other
