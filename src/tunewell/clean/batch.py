"""Rows as columns: what the rules of cleaning look at, a few thousand rows at a time."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Details = list[str | None]
"""For each row of a batch what a rule saw in it, or None where the row may stay."""


class Turn(NamedTuple):
    """One message of a batch and the row it belongs to."""

    row: int
    role: str
    text: str


class Batch:
    """The rows of a table of `EXAMPLE_SCHEMA`, and all their messages laid end to end.

    `roles`, `texts` and `owners` have one entry a message: who speaks, what is said, and the number of the row it belongs to.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self.rows: int = table.num_rows

    @cached_property
    def roles(self) -> pa.StringArray:
        """The role of each message."""
        return self._messages.field("role")

    @cached_property
    def texts(self) -> pa.StringArray:
        """The text of each message."""
        return self._messages.field("content")

    @cached_property
    def owners(self) -> npt.NDArray[np.int64]:
        """The row of each message."""
        return np.asarray(pc.list_parent_indices(self._column("messages")), np.int64)

    @cached_property
    def trimmed(self) -> pa.StringArray:
        """The text of each message without white space at its ends, which to Arrow is the same as to `str.strip`."""
        return pc.utf8_trim_whitespace(self.texts)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The characters of each trimmed text."""
        return np.asarray(pc.utf8_length(self.trimmed), np.int64)

    @cached_property
    def questions(self) -> list[str]:
        """The first user text of each row, or an empty string."""
        places = self.places("user")[::-1]
        questions = [""] * self.rows
        for row, text in zip(self.owners[places].tolist(), self.texts.take(pa.array(places)).to_pylist(), strict=True):
            questions[row] = text
        return questions

    @cached_property
    def is_multi_turn(self) -> npt.NDArray[np.bool_]:
        """Whether the user speaks more than once, by row."""
        return np.bincount(self.owners[self.places("user")], minlength=self.rows) > 1

    def values(self, name: str) -> list[Any]:
        """A column (`pool`, `language`, `family`, …) as a list."""
        return list(self.table.column(name).to_pylist())

    def places(self, *roles: str) -> npt.NDArray[np.int64]:
        """The places of the messages of these roles among all messages."""
        return np.flatnonzero(pc.is_in(self.roles, pa.array(roles)).to_numpy(zero_copy_only=False))

    def matching(self, places: npt.NDArray[np.int64], *patterns: str) -> npt.NDArray[np.int64]:
        """Those of the places whose texts match one of the patterns of RE2, which knows no look-around.

        The cheap first look of a rule: hundreds of texts a millisecond, so that Python's own patterns need read only a few.
        """
        texts = self.texts if len(places) == len(self.texts) else self.texts.take(pa.array(places))
        found = np.zeros(len(places), np.bool_)
        for pattern in patterns:
            found |= pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
        return places[found]

    def turns(self, places: npt.NDArray[np.int64]) -> list[Turn]:
        """The messages at these places."""
        chosen = pa.array(places)
        columns = (self.owners[places].tolist(), self.roles.take(chosen).to_pylist(), self.texts.take(chosen).to_pylist())
        return [Turn(*values) for values in zip(*columns, strict=True)]

    def nothing(self) -> Details:
        """The details of a rule that saw nothing."""
        return [None] * self.rows

    def first_of(self, found: Iterable[tuple[int, str]]) -> Details:
        """Details from (row, detail) pairs: the first one of each row counts."""
        details = self.nothing()
        for row, detail in found:
            if details[row] is None:
                details[row] = detail
        return details

    @cached_property
    def _messages(self) -> Any:
        return self._column("messages").flatten()

    def _column(self, name: str) -> Any:
        column = self.table.column(name)
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)
