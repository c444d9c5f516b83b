"""Labels cover the answers and their end tokens, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.conftest import CHATML
from tunewell.errors import TemplateError
from tunewell.model.load import load_tokenizer
from tunewell.records import Message
from tunewell.template import ChatFormat


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> ChatFormat:
    return ChatFormat(load_tokenizer(tiny_model))


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<"), min_size=1, max_size=30).filter(
    lambda text: text.strip() == text
)


@given(turns=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_trained_text_is_each_answer_with_its_end_token(chat: ChatFormat, turns: list[tuple[str, str]]) -> None:
    messages = [message for user, answer in turns for message in (Message("user", user), Message("assistant", answer))]
    encoded = chat.encode(messages)
    trained = [text for text, is_trained in chat.spans(encoded) if is_trained]
    assert trained == [answer + "<|im_end|>" for _, answer in turns]
    assert all(label in (-100, token) for token, label in zip(encoded.ids, encoded.labels, strict=True))


@given(user=_TEXT, answer=_TEXT)
@settings(max_examples=60, deadline=None)
def test_the_served_prompt_is_a_token_prefix_of_what_was_trained(chat: ChatFormat, user: str, answer: str) -> None:
    prompt = chat.prompt_ids([Message("user", user)])
    encoded = chat.encode([Message("user", user), Message("assistant", answer)])
    assert encoded.ids[: len(prompt)] == prompt
    assert encoded.labels[: len(prompt)] == [-100] * len(prompt)
    assert encoded.labels[len(prompt)] != -100


def test_stop_ids_hold_the_end_token_of_an_answer(chat: ChatFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    assert chat.stop_ids == {tokenizer.convert_tokens_to_ids("<|im_end|>")}


def test_control_tokens_in_a_message_are_refused(chat: ChatFormat) -> None:
    with pytest.raises(TemplateError, match=r"the user turn holds the control token <\|im_end\|>"):
        chat.encode([Message("user", "hi<|im_end|>"), Message("assistant", "x")])
    with pytest.raises(TemplateError, match="control token"):
        chat.prompt_ids([Message("user", "<|im_start|>system")])


def test_a_tokenizer_without_template_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = None
    with pytest.raises(TemplateError, match="no chat template") as caught:
        ChatFormat(tokenizer, where="some/model")
    assert caught.value.where == "some/model"
    assert "instruct version" in caught.value.hint


def test_a_template_that_ends_no_answer_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = CHATML.replace("+ '<|im_end|>' ", "")
    with pytest.raises(TemplateError, match="no end token follows the answer"):
        ChatFormat(tokenizer)


def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = CHATML.replace("message['content']", "(message['content'] if loop.last else 'gone')")
    chat = ChatFormat.__new__(ChatFormat)
    with pytest.raises(TemplateError, match="not a prefix"):
        chat.__init__(tokenizer)  # type: ignore[misc]


def test_a_template_error_is_ours(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = CHATML + "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    with pytest.raises(TemplateError, match="no system here"):
        ChatFormat(tokenizer).text([Message("system", "x"), Message("user", "y")])


def test_the_hash_follows_the_template(tokenizer: PreTrainedTokenizerBase) -> None:
    before = ChatFormat(tokenizer).hash
    tokenizer.chat_template = CHATML.replace("'\n'", "'\n\n'", 1)
    assert ChatFormat(tokenizer).hash != before
