"""Keys are equal exactly where the texts they stand for are, after normalising."""

from collections.abc import Sequence
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from tests.clean.test_rules import batch, example
from tunewell.clean.keys import row_keys, text_keys
from tunewell.records import Example, Message, Origin, Role
from tunewell.text import normalise

_TEXTS = st.sampled_from(["", "fee", "Fee ", "Ｆｅｅ", "fee?", "fe", "e", "费率", "费 率"])
_ROWS = st.lists(
    st.lists(st.builds(Message, st.sampled_from(get_args(Role)), _TEXTS), max_size=4).map(
        lambda messages: Example(tuple(messages), "open", Origin("a"))
    ),
    max_size=8,
)


def groups(values: Sequence[object]) -> list[int]:
    """For each value the place of the first equal one."""
    return [values.index(value) for value in values]


@given(_ROWS)
def test_keys_are_equal_where_rows_are(rows: list[Example]) -> None:
    keys = row_keys(batch(*rows))
    users = [[normalise(message.content) for message in row.messages if message.role == "user"] for row in rows]
    systems = ["".join(normalise(message.content) for message in row.messages if message.role == "system") for row in rows]
    assert groups(keys.conversation.tolist()) == groups(
        [[(message.role, normalise(message.content)) for message in row.messages] for row in rows]
    )
    assert groups(keys.question.tolist()) == groups(
        [(system, next(filter(None, said), "")) for system, said in zip(systems, users, strict=True)]
    )
    assert groups(keys.answer.tolist()) == groups([normalise(row.answer) for row in rows])


def test_roles_and_the_bounds_of_turns_count() -> None:
    rows = [
        example("ab", "c"),
        example("a", "bc"),
        example("a", "b", "c"),
        Example((Message("assistant", "ab"), Message("user", "c")), "open", Origin("a")),
        example("ab", "c", system="s"),
        example("ab", "c"),
    ]
    assert groups(row_keys(batch(*rows)).conversation.tolist()) == [0, 1, 2, 3, 4, 0]


def test_a_key_does_not_depend_on_the_rows_around_it() -> None:
    rows = [example("When?", "Soon."), example("Where?", "Here."), example("Who?", "We.")]
    alone = row_keys(batch(rows[1]))
    assert [column[1:2].tolist() for column in row_keys(batch(*rows))] == [column.tolist() for column in alone]


def test_keys_of_texts_are_the_same_in_every_process() -> None:
    assert text_keys(["", "fee", "\ud800"]).tolist() == [16476032584258269876, 14934400244772751122, 4758185216457903464]
    assert text_keys([]).tolist() == []
