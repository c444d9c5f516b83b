"""Rows as token ids, and the rows that cannot be trained, each with its reason."""

from collections.abc import Iterable
from typing import NamedTuple

from tunewell.errors import TemplateError
from tunewell.records import Example
from tunewell.template import ChatFormat, Encoded


class LeftOut(NamedTuple):
    """A row that is not trained, where it came from, and why."""

    id: str
    origin: str
    reason: str


class EncodedRows(NamedTuple):
    """Rows with their ids and labels, in the order they came, and the rows left out."""

    rows: list[tuple[Example, Encoded]]
    left_out: list[LeftOut]


def encode_rows(examples: Iterable[Example], chat: ChatFormat, *, context: int) -> EncodedRows:
    """Encode every row. A row longer than `context` tokens is left out rather than cut: a cut would eat its end token."""
    rows: list[tuple[Example, Encoded]] = []
    left_out: list[LeftOut] = []
    for example in examples:
        try:
            encoded = chat.encode(example.messages)
        except TemplateError as error:
            left_out.append(LeftOut(example.id, str(example.origin), error.what))
            continue
        if len(encoded.ids) > context:
            reason = f"{len(encoded.ids)} tokens are more than train.context ({context})"
            left_out.append(LeftOut(example.id, str(example.origin), reason))
        else:
            rows.append((example, encoded))
    return EncodedRows(rows, left_out)
