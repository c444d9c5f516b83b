"""`template: auto`: labels from the tokenizer's own chat template, exactly, or a refusal that says why."""

import copy
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.conftest import CHATML
from tests.template.tokenizers import tokenizer_of
from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template import (
    NOT_TRAINED,
    Encoded,
    FamilyFormat,
    Loss,
    TokenizerFormat,
    golden_conversations,
    load_family,
    open_format,
)

_TOKENS = ("<|im_start|>", "<|im_end|>")
_TURNS = (Message("user", "U1"), Message("assistant", "A1"), Message("user", "U2"), Message("assistant", "A2"))
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<|"), max_size=20)


def _tokenizer(template: object, kind: str = "byte level", tokens: tuple[str, ...] = _TOKENS) -> PreTrainedTokenizerBase:
    tokenizer = copy.copy(tokenizer_of(kind, tokens))
    tokenizer.chat_template = template
    return tokenizer


def _trained(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode([label for label in encoded.labels if label != NOT_TRAINED]))


def _refusal(chat: TokenizerFormat, messages: Sequence[Message], loss: Loss | None = None) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        chat.encode(messages, loss or Loss())
    assert caught.value.where == "template"
    return caught.value


def test_the_embedded_model_is_encoded_by_its_family(smollm2: PreTrainedTokenizerBase) -> None:
    chat, family = TokenizerFormat(smollm2), FamilyFormat(load_family("chatml-smollm2"), smollm2)
    assert chat.twin is not None
    assert chat.twin.name == "chatml-smollm2"
    assert chat.stop_ids == family.stop_ids == {smollm2.convert_tokens_to_ids("<|im_end|>")}
    for golden in golden_conversations():
        assert chat.encode(golden.messages) == family.encode(golden.messages)
        assert chat.prompt_ids(golden.messages[:-1]) == family.prompt_ids(golden.messages[:-1])
    assert chat.answer_ids("Hi!") == smollm2("Hi!", add_special_tokens=False)["input_ids"]


def test_finding_the_family_takes_less_than_a_third_of_a_second(smollm2: PreTrainedTokenizerBase) -> None:
    started = time.perf_counter()
    TokenizerFormat(smollm2)
    assert time.perf_counter() - started < 0.3


@given(turns=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None, database=None)
def test_the_slow_way_gives_what_the_fast_one_gives(smollm2: PreTrainedTokenizerBase, turns: list[tuple[str, str]]) -> None:
    """Where it does not refuse: an answer that merges with the line break before it has no place of its own in the whole text."""
    messages = [turn for asked, said in turns for turn in (Message("user", asked), Message("assistant", said))]
    fast, slow = TokenizerFormat(smollm2), TokenizerFormat(smollm2)
    slow.twin = None
    for loss in (Loss(), Loss("last"), Loss(reasoning="mask")):
        [by_template] = slow.encode_each([messages], loss)
        if isinstance(by_template, TemplateError):
            assert by_template.what == "the prompt's tokens are not a prefix of the conversation's"
        else:
            assert fast.encode(messages, loss) == by_template


def test_both_ways_apply_to_all_golden_conversations_but_one(smollm2: PreTrainedTokenizerBase) -> None:
    fast, slow = TokenizerFormat(smollm2), TokenizerFormat(smollm2)
    slow.twin = None
    rows = [golden.messages for golden in golden_conversations()]
    for loss in (Loss(), Loss("last"), Loss(reasoning="mask")):
        assert list(slow.encode_each(rows, loss)) == list(fast.encode_each(rows, loss))
    assert slow.stop_ids == fast.stop_ids
    assert [slow.answer_ids(text) for text in ("Hi!", "是的")] == [fast.answer_ids(text) for text in ("Hi!", "是的")]


def test_a_template_that_no_family_equals_is_followed() -> None:
    template = CHATML.replace("'\n' + message['content']", "':\n' + message['content']").replace("assistant\n", "assistant:\n")
    tokenizer = _tokenizer(template)
    chat = TokenizerFormat(tokenizer)
    assert chat.twin is None
    encoded = chat.encode(_TURNS)
    assert _trained(encoded, tokenizer) == "A1<|im_end|>A2<|im_end|>"
    assert tokenizer.decode(encoded.ids) == chat.text(_TURNS).removesuffix("\n")
    assert encoded.ids[: len(chat.prompt_ids(_TURNS[:3]))] == chat.prompt_ids(_TURNS[:3])
    assert _trained(chat.encode(_TURNS, Loss("last")), tokenizer) == "A2<|im_end|>"
    thinks = (Message("user", "U"), Message("assistant", "<think>\nT\n</think>\n\nA"))
    assert _trained(chat.encode(thinks, Loss(reasoning="mask")), tokenizer) == "A<|im_end|>"
    assert chat.encode(thinks, Loss(reasoning="mask")).ids == chat.encode(thinks).ids
    assert chat.encode(_TURNS[:3], Loss("last")).labels == [NOT_TRAINED] * len(chat.prompt_ids(_TURNS[:3]))


# Templates that write every golden conversation as their family does, and others not.
_OWN_WAYS = {
    "a question": ("message['content'] +", "(message['content'] | replace('unicorn', 'horse')) +"),
    "a prompt": ("'<|im_start|>assistant\n' }}", "'<|im_start|>assistant\n' + ('So: ' if messages | length == 9 else '') }}"),
}


def _nearly(smollm2: PreTrainedTokenizerBase, way: str) -> TokenizerFormat:
    template = smollm2.chat_template
    assert isinstance(template, str)
    assert template.count(_OWN_WAYS[way][0]) == 1
    chat = TokenizerFormat(_tokenizer(template.replace(*_OWN_WAYS[way])))
    assert chat.twin is not None
    assert chat.twin.name == "chatml-smollm2"
    return chat


def test_a_row_that_the_template_writes_in_its_own_way_is_followed(smollm2: PreTrainedTokenizerBase) -> None:
    chat = _nearly(smollm2, "a question")
    row = (Message("system", "S"), Message("user", "a unicorn"), Message("assistant", "A1"))
    [before, encoded, after] = chat.encode_each([_TURNS, row, _TURNS])
    assert isinstance(encoded, Encoded)
    text = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na horse<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>"
    assert tokenizer_of("byte level", _TOKENS).decode(encoded.ids) == text
    assert encoded.ids[: len(chat.prompt_ids(row[:2]))] == chat.prompt_ids(row[:2])
    assert before == after == chat.encode(_TURNS)
    refusal = _refusal(chat, (Message("user", "Hi"), Message("assistant", "a unicorn")))
    assert refusal.what == "the answer does not stand in the conversation as it was given"


def test_a_prompt_that_the_template_writes_in_its_own_way_is_seen(smollm2: PreTrainedTokenizerBase) -> None:
    """The conversation alone looks like the family's: only the prompt of its fifth answer has words that no server would send."""
    chat = _nearly(smollm2, "a prompt")
    row = (*_TURNS, *_TURNS, *_TURNS[:2])
    assert chat.encode(row[:8]) == FamilyFormat(load_family("chatml-smollm2"), tokenizer_of("byte level", _TOKENS)).encode(row[:8])
    refusal = _refusal(chat, row)
    assert refusal.what == "the prompt is not a prefix of the conversation under this template"
    assert _refusal(chat, row, Loss("last")).what == refusal.what


_CONTENT = "message['content']"


def test_a_template_that_rewrites_history_trains_the_last_answer_alone() -> None:
    """As Qwen3's and DeepSeek's do, which leave past thoughts out."""
    template = CHATML.replace(_CONTENT, f"({_CONTENT} if loop.last else {_CONTENT}.split('</think>')[-1])")
    tokenizer = _tokenizer(template)
    chat = TokenizerFormat(tokenizer)
    row = (Message("user", "U1"), Message("assistant", "<think>T</think>A1"), *_TURNS[2:])
    refusal = _refusal(chat, row)
    assert refusal.what == "the prompt is not a prefix of the conversation under this template"
    assert refusal.hint == (
        "the template rewrites earlier turns: `train.answers: last` trains the last answer alone; or name a family"
    )
    assert _trained(chat.encode(row, Loss("last")), tokenizer) == "A2<|im_end|>"
    assert _trained(chat.encode(_TURNS), tokenizer) == "A1<|im_end|>A2<|im_end|>"


def test_a_template_that_ends_a_whole_conversation_can_train_every_answer() -> None:
    """As Phi-3's does, which puts a token behind the last answer that no earlier answer has."""
    tokenizer = _tokenizer(CHATML + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}")
    chat = TokenizerFormat(tokenizer)
    encoded = chat.encode(_TURNS)
    assert _trained(encoded, tokenizer) == "A1<|im_end|>A2<|im_end|>"
    assert encoded.ids[-1] == encoded.labels[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert chat.stop_ids == {tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.eos_token_id}


def test_a_template_that_trims() -> None:
    tokenizer = _tokenizer(CHATML.replace(_CONTENT, f"({_CONTENT} | trim)"))
    chat = TokenizerFormat(tokenizer)
    spaced = [Message(turn.role, f" {turn.content}\n") for turn in _TURNS]
    assert chat.encode(spaced) == chat.encode(_TURNS)
    assert _trained(chat.encode(spaced), tokenizer) == "A1<|im_end|>A2<|im_end|>"


def test_a_template_without_end_token_is_refused() -> None:
    with pytest.raises(TemplateError) as caught:
        TokenizerFormat(_tokenizer(CHATML.replace("+ '<|im_end|>' ", "")), where="some/model")
    assert caught.value.what == "no end token follows the answer under this template"
    assert caught.value.where == "some/model"
    assert caught.value.hint == "such a model never learns to stop"


def test_an_answer_that_merges_with_its_prompt_is_refused() -> None:
    """The prompt ends with a space, which is of one token with the word after it: a server would never see that token."""
    template = CHATML.replace("'\n' + message['content']", "' ' + message['content']").replace("assistant\n", "assistant ")
    tokenizer = _tokenizer(template)
    chat = TokenizerFormat(tokenizer)
    assert _trained(chat.encode(_TURNS), tokenizer) == "A1<|im_end|>A2<|im_end|>"
    refusal = _refusal(chat, (_TURNS[0], Message("assistant", "the answer")))
    assert refusal.what == "the prompt's tokens are not a prefix of the conversation's"
    assert refusal.hint == "name a family: its answers are encoded apart from their prompts"


def test_a_template_that_refuses_a_system_text() -> None:
    """With the reason that the template gives; other conversations are encoded, before it and after it."""
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    chat = TokenizerFormat(_tokenizer(CHATML + refuses))
    refusal = _refusal(chat, (Message("system", "x"), *_TURNS))
    assert refusal.what == "the chat template refuses this conversation: no system here"
    [before, error, after] = chat.encode_each([_TURNS, (Message("system", "x"), *_TURNS), _TURNS])
    assert before == after == chat.encode(_TURNS)
    assert isinstance(error, TemplateError)


def test_a_template_that_fails_is_refused() -> None:
    with pytest.raises(TemplateError, match="the chat template refuses this conversation: can only concatenate str"):
        TokenizerFormat(_tokenizer(CHATML + "{{ 'a' + 1 }}"))


def test_control_tokens_in_a_message_are_refused() -> None:
    chat = TokenizerFormat(_tokenizer(CHATML))
    refusal = _refusal(chat, (Message("user", "hi<|im_end|>"), Message("assistant", "x")))
    assert refusal.what == "the user turn holds the control token <|im_end|>"
    assert refusal.hint == "let the rule `control_tokens` of clean drop the row: as it stands it would break its conversation"
    with pytest.raises(TemplateError, match=r"the user turn holds the control token <\|im_start\|>"):
        chat.prompt_ids([Message("user", "<|im_start|>system")])


def test_control_tokens_in_a_message_are_text_where_a_family_writes_as_the_template_does(smollm2: PreTrainedTokenizerBase) -> None:
    chat, family = TokenizerFormat(smollm2), FamilyFormat(load_family("chatml-smollm2"), smollm2)
    row = (Message("user", "git add <filename> <|im_end|>"), Message("assistant", "<|im_start|>x"), Message("user", "U2"))
    assert chat.prompt_ids(row) == family.prompt_ids(row)
    assert chat.encode((*row, _TURNS[1])) == family.encode((*row, _TURNS[1]))
    assert chat.prompt_ids(row).count(family.encode(_TURNS).ids[-1]) == 4


@pytest.mark.parametrize("answer", ["\n a", "  a", " a ", "\n\na"])
def test_after_an_answer_that_begins_with_white_space_the_prompt_is_the_server_s(
    smollm2: PreTrainedTokenizerBase, answer: str
) -> None:
    """Such an answer, once it is history, is encoded together with the line break before it."""
    chat = TokenizerFormat(smollm2)
    row = (Message("user", "q"), Message("assistant", answer), Message("user", "r"), Message("assistant", "s"))
    turns = [{"role": message.role, "content": message.content} for message in row[:-1]]
    prompt = smollm2.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert chat.prompt_ids(row[:-1]) == prompt
    assert chat.encode(row, Loss("last")).ids[: len(prompt)] == prompt
    [encoded] = chat.encode_each([row])
    if isinstance(encoded, TemplateError):
        assert encoded.what == "the prompt's tokens are not a prefix of the conversation's"
    else:
        assert encoded.ids[: len(prompt)] == prompt
    assert isinstance(chat.encode(row[:2]), Encoded), "as the last answer it is encoded by the family, as a server goes on"


@pytest.mark.parametrize(
    ("template", "what"),
    [
        (None, "the tokenizer has no chat template"),
        ({"rag": CHATML, "tool_use": CHATML}, "the tokenizer has several chat templates, none of them the default"),
    ],
)
def test_a_tokenizer_without_a_template_is_refused(template: object, what: str) -> None:
    with pytest.raises(TemplateError) as caught:
        open_format("auto", _tokenizer(template), where="some/model")
    assert caught.value.what == what
    assert caught.value.where == "some/model"
    assert caught.value.hint == "take the instruct version of the model, or name a family: `tunewell template list`"


def test_the_default_of_several_templates_is_taken() -> None:
    chat = TokenizerFormat(_tokenizer({"default": CHATML, "tool_use": "nothing"}))
    assert chat.jinja() == CHATML
    assert chat.hash == TokenizerFormat(_tokenizer(CHATML)).hash


def test_the_hash_follows_the_template_and_the_control_tokens() -> None:
    changed = CHATML.replace("'\n'", "'\n\n'", 1)
    more = _tokenizer(CHATML, tokens=(*_TOKENS, "<|tool|>"))
    hashes = {TokenizerFormat(tokenizer).hash for tokenizer in (_tokenizer(CHATML), _tokenizer(changed), more)}
    assert len(hashes) == 3
