"""A conversation as the model sees it."""

from collections.abc import Sequence
from typing import NamedTuple

NOT_TRAINED = -100


class Encoded(NamedTuple):
    """Token ids of a conversation, and for each the id to learn there or -100.

    The id to learn is the token's own, but for families whose answers carry no end token once they are history: there the token
    after such an answer has the end token as its label, since that is what the model must write at that place.
    """

    ids: list[int]
    labels: list[int]


def supervised(encoded: Encoded) -> int:
    """How many tokens are trained."""
    return sum(label != NOT_TRAINED for label in encoded.labels)


def first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int | None:
    """The first place where two lists of ids differ, or None where they are equal."""
    if list(ours) == list(theirs):
        return None
    return next((place for place, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
