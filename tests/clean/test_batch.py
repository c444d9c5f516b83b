"""A batch against plain loops over its rows, however its table was cut or put together."""

import re
import sys
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clean.test_rules import batch, example
from tunewell.clean.batch import Batch, Turn
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Role, examples_to_table

_MESSAGES = st.builds(Message, st.sampled_from(get_args(Role)), st.sampled_from(["", " ", "a", "ab ", "\u3000退款\n", "é", "😀 1"]))
_ROWS = st.lists(st.lists(_MESSAGES, max_size=5).map(lambda messages: Example(tuple(messages), "open", Origin("a"))), max_size=6)


def in_pieces(rows: Sequence[Example], cut: int) -> list[Batch]:
    """The same rows as one table, as a table of several chunks, and as a slice of a larger table."""
    around = [example("Before", "Not mine", "Nor this", "No"), example("After", "Not mine")]
    larger = examples_to_table([around[0], *rows, around[1]])
    chunks = pa.concat_tables([examples_to_table(rows[:cut]), examples_to_table(rows[cut:])])
    return [Batch(examples_to_table(rows)), Batch(chunks), Batch(larger.slice(1, len(rows)))]


@given(_ROWS, st.integers(min_value=0, max_value=6))
def test_messages_lie_end_to_end_and_know_their_rows(rows: list[Example], cut: int) -> None:
    expected = [Turn(number, message.role, message.content) for number, row in enumerate(rows) for message in row.messages]
    for one in in_pieces(rows, cut):
        assert one.rows == len(rows)
        assert one.turns(np.arange(len(expected))) == expected
        assert [*zip(one.owners.tolist(), one.roles.to_pylist(), one.texts.to_pylist(), strict=True)] == expected
        assert one.trimmed.to_pylist() == [turn.text.strip() for turn in expected]
        assert one.lengths.tolist() == [len(turn.text.strip()) for turn in expected]


@given(_ROWS, st.integers(min_value=0, max_value=6))
def test_rows_are_those_of_the_records(rows: list[Example], cut: int) -> None:
    for one in in_pieces(rows, cut):
        assert one.questions == [row.question for row in rows]
        assert one.is_multi_turn.tolist() == [row.turns == "multi" for row in rows]
        assert one.values("id") == [row.id for row in rows]


@given(_ROWS, st.sets(st.sampled_from(get_args(Role)), min_size=1))
def test_places_are_those_of_the_roles_and_of_the_texts_that_match(rows: list[Example], roles: set[Role]) -> None:
    one = batch(*rows)
    turns = [(place, turn) for place, turn in enumerate(one.turns(np.arange(len(one.texts)))) if turn.role in roles]
    places = one.places(*sorted(roles))
    assert places.tolist() == [place for place, _ in turns]
    assert one.matching(places, "b", "[退é]").tolist() == [place for place, turn in turns if re.search("b|[退é]", turn.text)]
    assert one.turns(places) == [turn for _, turn in turns]


def test_the_first_detail_of_a_row_counts() -> None:
    one = batch(*(example("Question", "Answer") for _ in range(3)))
    assert one.nothing() == [None, None, None]
    assert one.first_of([(2, "late"), (0, "first"), (0, "second")]) == ["first", None, "late"]


@pytest.mark.parametrize("table", [EXAMPLE_SCHEMA.empty_table(), examples_to_table([]), examples_to_table([example("a", "b")])[:0]])
def test_no_rows(table: pa.Table) -> None:
    one = Batch(table)
    assert (one.rows, one.questions, one.values("pool"), one.nothing()) == (0, [], [], [])
    assert (len(one.texts), len(one.places("user")), len(one.is_multi_turn)) == (0, 0, 0)
    assert one.matching(one.places("user"), "a").tolist() == []


def test_white_space_is_to_arrow_what_it_is_to_python() -> None:
    characters = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    trimmed = pc.utf8_trim_whitespace(pa.array([f"{character}x{character}" for character in characters])).to_pylist()
    assert [text == "x" for text in trimmed] == [character.isspace() for character in characters]
