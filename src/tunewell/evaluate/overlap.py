"""Test items that are meant to be new, and whose question was trained on: they measure memory and not the model."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from tunewell.errors import DataError
from tunewell.records import Example, Message
from tunewell.store import short_digest
from tunewell.text import normalise

_SHOWN = 3


class Tests(NamedTuple):
    """The test items that are asked, and how many of those meant to be new stand in training."""

    items: list[Example]
    trained: int


def without_trained(
    tests: Sequence[Example], rows: Iterable[Example], *, policy: Literal["refuse", "leave_out", "keep"], where: str
) -> Tests:
    """Look for `unseen` and `paraphrase` items whose user turns, normalised, are those up to some answer of a training row.

    Under `leave_out` they are left out, under `keep` they stay. Raises `DataError` where there are any under `refuse`, and where
    none but they are there under `leave_out`.
    """
    trained = {key for row in rows for key in _asked(row.messages)}
    known = {test.id for test in tests if test.task != "seen" and _key(test.prompt) in trained}
    if known and policy == "refuse":
        questions = [test.question for test in tests if test.id in known]
        shown = ", ".join(f"{question[:60]!r}" for question in questions[:_SHOWN])
        raise DataError(
            f"{len(questions)} test items that are meant to be new also stand in training, the first: {shown}",
            where=where,
            hint="take their questions out of the training data, or set `evaluate.trained_tests` to `leave_out` or `keep`",
        )
    items = [test for test in tests if policy == "keep" or test.id not in known or test.task == "seen"]
    if not items:
        raise DataError("every test item stands in training", where=where, hint="give test items that are not trained on")
    return Tests(items, len(known))


def _asked(messages: Sequence[Message]) -> Iterator[int]:
    for place, message in enumerate(messages):
        if message.role == "assistant":
            yield _key(messages[:place])


def _key(prompt: Sequence[Message]) -> int:
    return short_digest("\n".join(normalise(message.content) for message in prompt if message.role == "user"))
