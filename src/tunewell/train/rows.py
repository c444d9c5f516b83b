"""Rows as token ids, and the rows that cannot be trained, each with its reason."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import tee
from typing import NamedTuple

from tunewell.errors import TemplateError
from tunewell.records import Example
from tunewell.template import Encoded, Loss, PromptFormat, fit, supervised


class LeftOut(NamedTuple):
    """A row that is not trained, where it came from, and why."""

    id: str
    origin: str
    reason: str


class EncodedRows(NamedTuple):
    """Rows with their ids and labels, in the order they came, the rows left out, and those whose oldest turns were."""

    rows: list[tuple[Example, Encoded]]
    left_out: list[LeftOut]
    shortened: list[LeftOut]


def encode_rows(examples: Iterable[Example], chat: PromptFormat, loss: Loss, *, context: int) -> EncodedRows:
    """Encode every row. Of a row longer than `context` tokens the oldest turns are left out, and the row where that is not enough.

    Nothing is cut in two: a cut would eat an end token, or the question.
    """
    found = EncodedRows([], [], [])
    ours, theirs = tee(examples)
    for example, encoded in zip(ours, chat.encode_each((row.messages for row in theirs), loss), strict=True):
        row = _named(example)
        if isinstance(encoded, TemplateError):
            found.left_out.append(row(encoded.what))
            continue
        if len(encoded.ids) > context:
            fitted = fit(chat, example.messages, context, loss)
            if fitted is None:
                found.left_out.append(row(f"{len(encoded.ids)} tokens are more than train.context ({context})"))
                continue
            found.shortened.append(row(f"{fitted.left_out} oldest turns left out of {len(encoded.ids)} tokens"))
            encoded = fitted.encoded
        if supervised(encoded):
            found.rows.append((example, encoded))
        else:
            found.left_out.append(row("it has no answer to train"))
    return found


def _named(example: Example) -> Callable[[str], LeftOut]:
    return partial(LeftOut, example.id, str(example.origin))
