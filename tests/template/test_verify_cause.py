"""From a prompt that is not the trained one, the mistake that made it so."""

import re
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.records import Message
from tunewell.template import load_family, text_of
from tunewell.template.verify.cause import Case, Cause, Marks, likely_cause, likely_cause_of_counts

_MARKS = Marks("<s>", "</s>", ("<s>", "</s>", "<|im_end|>"))
_ASKED = (Message("user", "Where is my order?"),)
_AGAIN = (*_ASKED, Message("assistant", "In the warehouse."), Message("user", "And when will it be here?"))
_UNDER_SYSTEM = (Message("system", "Be brief."), *_AGAIN)
_THOUGHT = (*_ASKED, Message("assistant", "<think>\nHm, look.\n</think>\n\nIn the warehouse."), Message("user", "When?"))
_SPACED = (Message("user", "  Where is it?  "),)


def _writer(family: str) -> Callable[[Sequence[Message]], str]:
    return partial(text_of, load_family(family))


def _cause(theirs: str, messages: Sequence[Message] = _ASKED, family: str = "llama-2", marks: Marks = _MARKS) -> Cause:
    return likely_cause(Case(messages, theirs, _writer(family), marks))


def _ours(messages: Sequence[Message] = _ASKED, family: str = "llama-2") -> str:
    return _writer(family)(messages)


def test_a_doubled_beginning() -> None:
    cause = _cause("<s>" + _ours(_AGAIN), _AGAIN)
    assert cause.what == "<s> stands twice at the beginning"
    assert cause.remedy == "the template writes it and the server adds it: take it out of one of the two"


def test_a_missing_beginning() -> None:
    assert _cause(_ours().removeprefix("<s>")).what == "<s> is missing at the beginning"


def test_a_beginning_that_the_format_has_not() -> None:
    ours = _ours(family="vicuna-1.1")
    assert _cause("<s>" + ours, family="vicuna-1.1").what == "the server puts <s> in front, the format has none"


def test_missing_ends_of_past_answers() -> None:
    cause = _cause(_ours(_AGAIN).replace("</s>", ""), _AGAIN)
    assert cause.what == "past answers lack their end token </s>"


def test_ends_of_past_answers_that_training_has_not() -> None:
    theirs = _ours(_AGAIN, "baichuan2").replace("In the warehouse.", "In the warehouse.</s>")
    assert _cause(theirs, _AGAIN, "baichuan2").what == "the server writes </s> after past answers, where training has none"


def test_another_default_system_text() -> None:
    cause = _cause(_ours(family="chatml-qwen2.5"), family="chatml-qwen1.5")
    assert cause.what == "the server has another default system text"
    assert re.search(r"^“.*You are a helpful.*” against “.*You are Qwen.*”$", cause.seen)


def test_an_added_default_system_text() -> None:
    cause = _cause(_ours(family="chatml-qwen1.5"), family="chatml-qwen3")
    assert cause.what == "the server has another default system text"


def test_a_system_text_that_is_left_out() -> None:
    theirs = _ours(_AGAIN, "chatml-qwen3")
    assert _cause(theirs, _UNDER_SYSTEM, "chatml-qwen3").what == "the server leaves the system text out"


def test_something_else_around_the_system_text() -> None:
    theirs = _ours(_UNDER_SYSTEM, "chatml-qwen3").replace("Be brief.", "Be brief. Today is Monday.")
    cause = _cause(theirs, _UNDER_SYSTEM, "chatml-qwen3")
    assert cause.what == "the server writes something else around the system text"
    assert "Today is Monday." in cause.seen


@pytest.mark.parametrize(
    ("ours", "theirs", "seen"),
    [
        (
            "vicuna-1.1",
            " ",
            "the generation prompt ends with one sign of white space more than in training (‹› in training, ‹ › here)",
        ),
        ("chatml-qwen3", "  ", "ends with 2 signs of white space more than in training (‹\\n› in training, ‹\\n  › here)"),
    ],
)
def test_white_space_behind_the_generation_prompt(ours: str, theirs: str, seen: str) -> None:
    cause = _cause(_ours(family=ours) + theirs, family=ours)
    assert seen in f"{cause.what} ({cause.seen})"


def test_white_space_missing_behind_the_generation_prompt() -> None:
    cause = _cause(_ours(family="baichuan-7b").rstrip(), family="baichuan-7b")
    assert cause.what == "the generation prompt ends with one sign of white space fewer than in training"
    assert cause.seen == "‹ › in training, ‹› here"


def test_white_space_elsewhere() -> None:
    cause = _cause(_ours().replace("[INST] ", "[INST]"))
    assert cause.what == "only white space differs"
    assert cause.seen.startswith("one sign of white space fewer than in training: “<s>[INST] Where")


def test_no_generation_prompt() -> None:
    theirs = _ours(family="chatml-qwen3").removesuffix("<|im_start|>assistant\n")
    cause = _cause(theirs, family="chatml-qwen3")
    assert cause.what == "the generation prompt ‹<|im_start|>assistant\\n› is missing"


def test_a_generation_prompt_that_goes_on() -> None:
    cause = _cause(_ours(family="chatml-qwen3") + "<think>\n\n</think>\n\n", family="chatml-qwen3")
    assert cause.what == "the server goes on after the generation prompt, with ‹<think>\\n\\n</think>\\n\\n›"


def test_trimmed_messages() -> None:
    theirs = _ours((Message("user", "Where is it?"),), "vicuna-1.1")
    assert _cause(theirs, _SPACED, "vicuna-1.1").what == "the server takes white space from the ends of messages"


def test_reasoning_left_out_of_history_and_kept_in_it() -> None:
    whole, short = (
        _ours(_THOUGHT, "chatml-qwen1.5"),
        _ours(_THOUGHT, "chatml-qwen1.5").replace("<think>\nHm, look.\n</think>\n\n", ""),
    )
    assert _cause(short, _THOUGHT, "chatml-qwen1.5").what == "the server leaves the reasoning out of past answers"
    kept = _ours(_THOUGHT, "chatml-qwen3").replace("In the warehouse.", "<think>\nHm, look.\n</think>\n\nIn the warehouse.")
    assert _cause(kept, _THOUGHT, "chatml-qwen3").what == "the server keeps the reasoning in past answers"
    assert whole != short


def test_control_tokens_read_from_a_message() -> None:
    messages = (Message("user", "What is <|im_end|>?"),)
    cause = _cause(_ours(messages, "chatml-qwen3"), messages, "chatml-qwen3")
    assert cause.what == "<|im_end|> inside a message is read as a control token"


def test_the_same_text_in_other_tokens() -> None:
    assert _cause(_ours()).what == "the text is the same, but cut into other tokens"


def test_another_family() -> None:
    cause = _cause(_ours(family="zephyr"))
    assert cause.what == "another format"
    assert cause.seen.startswith("“<s>[INST] Where")


def test_no_beginning_is_looked_for_where_the_tokenizer_has_none() -> None:
    cause = _cause("<s>" + _ours(family="zephyr"), family="zephyr", marks=_MARKS._replace(bos=""))
    assert cause.what == "the server has another default system text"


@given(theirs=st.text(max_size=60), messages=st.sampled_from([_ASKED, _AGAIN, _UNDER_SYSTEM, _THOUGHT, _SPACED]))
def test_there_is_always_a_cause_and_it_is_one_line(theirs: str, messages: tuple[Message, ...]) -> None:
    cause = _cause(theirs, messages)
    assert cause.what
    assert cause.remedy
    assert "\n" not in cause.what + cause.remedy + cause.seen
    assert "\x1b" not in cause.what + cause.remedy + cause.seen


@pytest.mark.parametrize(
    ("differences", "what"),
    [
        ([(_ASKED, 1), (_AGAIN, 1), (_UNDER_SYSTEM, 1)], "one token more in every conversation"),
        ([(_ASKED, -1), (_AGAIN, -1)], "one token fewer in every conversation"),
        ([(_ASKED, 9), (_AGAIN, 9), (_UNDER_SYSTEM, 0)], "only conversations without a system text differ"),
        ([(_ASKED, 0), (_AGAIN, -1), (_UNDER_SYSTEM, -1)], "only conversations with past answers differ"),
        ([(_ASKED, 3), (_AGAIN, 4), (_UNDER_SYSTEM, -2)], "the numbers alone do not tell"),
    ],
)
def test_what_numbers_tell(differences: list[tuple[tuple[Message, ...], int]], what: str) -> None:
    assert likely_cause_of_counts(differences).what.startswith(what)
