"""A conversation that is too long loses its oldest turns, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.model.load import load_tokenizer
from tunewell.records import Message
from tunewell.template import Fitted, Loss, PromptFormat, fit, open_format

_SYSTEM = Message("system", "Be brief, and polite.")
_TURNS = [
    *(Message("user", "Can I change the address?"), Message("assistant", "Yes, until it ships.")),
    *(Message("user", "How?"), Message("assistant", "Open the order and choose Edit.")),
    *(Message("user", "Does it cost anything?"), Message("assistant", "No.")),
]


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> PromptFormat:
    return open_format("chatml-qwen3", load_tokenizer(tiny_model))


@pytest.fixture(scope="module")
def size(chat: PromptFormat) -> Callable[[list[Message]], int]:
    return lambda messages: len(chat.encode(messages).ids)


def test_what_fits_stays_as_it_is(chat: PromptFormat, size: Callable[[list[Message]], int]) -> None:
    messages = [_SYSTEM, *_TURNS]
    assert fit(chat, messages, size(messages)) == Fitted(chat.encode(messages), 0)


@pytest.mark.parametrize("left_out", [1, 2])
def test_the_oldest_turns_go_and_the_system_text_stays(
    chat: PromptFormat, size: Callable[[list[Message]], int], left_out: int
) -> None:
    kept = [_SYSTEM, *_TURNS[2 * left_out :]]
    assert fit(chat, [_SYSTEM, *_TURNS], size(kept)) == Fitted(chat.encode(kept), left_out)
    fewer = fit(chat, [_SYSTEM, *_TURNS], size(kept) - 1)
    assert fewer is None if left_out == 2 else fewer is not None and fewer.left_out == 2


def test_a_single_question_that_is_too_long_is_given_up(chat: PromptFormat, size: Callable[[list[Message]], int]) -> None:
    assert fit(chat, _TURNS[:2], size(_TURNS[:2]) - 1) is None


def test_what_is_trained_is_as_asked(chat: PromptFormat, size: Callable[[list[Message]], int]) -> None:
    loss = Loss(answers="last")
    fitted = fit(chat, _TURNS, size(_TURNS[2:]), loss)
    assert fitted == Fitted(chat.encode(_TURNS[2:], loss), 1)


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6), context=st.integers(5, 220), asked=st.booleans())
@settings(max_examples=80, deadline=None)
def test_as_few_turns_go_as_will_do(chat: PromptFormat, lengths: list[int], context: int, *, asked: bool) -> None:
    turns = [
        message for length in lengths for message in (Message("user", "word " * length), Message("assistant", "answer " * length))
    ]
    turns = turns[:-1] if asked else turns
    candidates = [turns[start:] for start in range(0, len(turns), 2)]
    wanted = next(
        (
            Fitted(encoded, left_out)
            for left_out, candidate in enumerate(candidates)
            if len((encoded := chat.encode(candidate)).ids) <= context
        ),
        None,
    )
    assert fit(chat, turns, context) == wanted
