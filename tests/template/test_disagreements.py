"""Eight families on which the known frameworks disagree: what they do, what we do, and why."""

import pytest

from tests.template.tokenizers import family_tokenizer
from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template import NOT_TRAINED, FamilyFormat, load_family, text_of

_SYSTEM = Message("system", "SYS")
_FIRST = (Message("user", "U1"), Message("assistant", "A1"))
_ASKED = (*_FIRST, Message("user", "U2"))
_ANSWERED = (*_ASKED, Message("assistant", "A2"))


def _chat(name: str, kind: str = "a space put in front by a normaliser") -> FamilyFormat:
    family = load_family(name)
    return FamilyFormat(family, family_tokenizer(family, kind))


def _trained(chat: FamilyFormat, messages: tuple[Message, ...]) -> str:
    """The tokens that are trained, as text."""
    labels = [label for label in chat.encode(messages).labels if label != NOT_TRAINED]
    tokens = family_tokenizer(chat.family, "a space put in front by a normaliser").convert_ids_to_tokens(labels)
    return "".join(tokens).replace("▁", " ").replace("<0x32>", "2")


def test_alpaca_answers_follow_the_colon_at_once() -> None:
    """LLaMA-Factory writes a line break after `### Response:`, FastChat the instruction on the line of its heading.

    We write what Stanford's train.py wrote, for the weights learnt that: a line break before the instruction, nothing after
    `### Response:`. Stanford has no second turn; ours begins after the end token and an empty line, as LLaMA-Factory's does.
    """
    text = text_of(load_family("alpaca"), _ASKED)
    heading = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    turns = [f"{heading}### Instruction:\n{question}\n\n### Response:" for question in ("U1", "U2")]
    assert text == f"{turns[0]}A1</s>\n\n{turns[1]}"


def test_vicuna_has_a_space_before_the_first_user() -> None:
    """LLaMA-Factory's Jinja template joins system text and `USER:` without a space; FastChat, from whom Vicuna is, has one.

    We follow FastChat: the space belongs to the token of the word after it, so that without it the first token of every prompt
    after the system text is another.
    """
    chat = _chat("vicuna-1.1")
    text = chat.text(_ASKED)
    assert "the user's questions. USER: U1 ASSISTANT: A1</s>USER: U2 ASSISTANT:" in text
    assert text.endswith("ASSISTANT:"), "a space here would be a token that no answer begins after"
    assert text.startswith("<s>A chat"), "the tokenizer adds this token of its own accord"
    without = _chat("vicuna-1.1", "metaspace in front of every text")
    assert without.text(_ASKED).startswith("A chat"), "and another does not"


def test_zephyr_breaks_the_line_behind_every_end() -> None:
    """LLaMA-Factory writes `</s><|assistant|>` and a line break; FastChat `</s>`, a line break, `<|assistant|>` and no other.

    The template of the model's own tokenizer has both line breaks, as ms-swift has; so have we.
    """
    text = text_of(load_family("zephyr"), (_SYSTEM, *_ASKED))
    assert text == "<|system|>\nSYS</s>\n<|user|>\nU1</s>\n<|assistant|>\nA1</s>\n<|user|>\nU2</s>\n<|assistant|>\n"


def test_gemma_refuses_a_system_text() -> None:
    """LLaMA-Factory puts it in front of the first question, ms-swift into a turn of its own, FastChat drops it.

    The tokenizer's own template raises an error, for the model has never seen one; a server that uses it would refuse what we
    had trained. So we refuse too, with a hint. Gemma 3 has a place for it, in the first question.
    """
    with pytest.raises(TemplateError) as caught:
        _chat("gemma").encode((_SYSTEM, *_FIRST))
    assert caught.value.what == "`gemma` has no place for a system text"
    assert caught.value.hint == "put it into the question, leave it out, or take a family with a system text"
    assert "<start_of_turn>user\nSYS\n\nU1<end_of_turn>" in text_of(load_family("gemma-3"), (_SYSTEM, *_ASKED))


def test_chatglm2_counts_rounds_from_1() -> None:
    """LLaMA-Factory 0.9.1 counts from 0, as ChatGLM did; the model's own code, FastChat and ms-swift count from 1.

    We count from 1; and from 0 for ChatGLM, whose only question has no number at all. A past answer has no end token, but the
    model must have written one there: it is the label of the token after the answer.
    """
    assert text_of(load_family("chatglm2-6b"), _ASKED).startswith("[Round 1]\n\n问：U1\n\n答：A1\n\n[Round 2]")
    assert text_of(load_family("chatglm-6b"), _ASKED).startswith("[Round 0]\n问：U1\n答：A1\n[Round 1]")
    assert text_of(load_family("chatglm-6b"), _FIRST[:1]) == "U1"
    chat = _chat("chatglm2-6b")
    assert _trained(chat, _ANSWERED) == "A1</s>A2</s>"
    assert chat.encode(_ANSWERED).ids.count(2) == 1


def test_baichuan_13b_ends_past_answers() -> None:
    """LLaMA-Factory 0.9.1 and FastChat leave the end token after past answers out; the model's own code has it in its ids.

    We have it, since the model learnt to see it (LLaMA-Factory issue 177); Baichuan 2, whose code leaves it out, is a family of
    its own. Both are built from the ids 195 and 196: the names of these tokens as text would be other tokens.
    """
    chat = _chat("baichuan-13b-chat")
    ids = chat.encode(_ANSWERED).ids
    assert [token for token in ids if token in (2, 195, 196)] == [195, 196, 2, 195, 196, 2]
    later = _chat("baichuan2").encode(_ANSWERED).ids
    assert [token for token in later if token in (2, 195, 196)] == [195, 196, 195, 196, 2]
    named = chat.prompt_ids([Message("user", "<reserved_102>")])
    assert named.count(195) == 1, "a name in a question is text"


def test_llama_2_has_spaces_on_both_sides_of_an_answer() -> None:
    """LLaMA-Factory writes `[/INST]`, the answer and `</s>` with nothing between them; Meta's code and FastChat put spaces there.

    We follow Meta's generation.py: every question opens with its own beginning-of-sequence token, every answer stands between
    spaces and ends with the end token.
    """
    text = text_of(load_family("llama-2"), (_SYSTEM, *_ASKED))
    assert text == "<s>[INST] <<SYS>>\nSYS\n<</SYS>>\n\nU1 [/INST] A1 </s><s>[INST] U2 [/INST]"
    assert _trained(_chat("llama-2"), _FIRST) == " A1 </s>"


def test_qwen2_has_another_default_than_qwen2_5() -> None:
    """LLaMA-Factory gives Qwen2 the default system text of Qwen2.5; FastChat and the tokenizer have a shorter one.

    We have one family for each, and a third for Qwen3, which has none.
    """
    texts = {name: text_of(load_family(name), _FIRST[:1]) for name in ("chatml-qwen1.5", "chatml-qwen2.5", "chatml-qwen3")}
    question = "<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\n"
    longer = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    assert texts == {
        "chatml-qwen1.5": f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{question}",
        "chatml-qwen2.5": f"<|im_start|>system\n{longer}<|im_end|>\n{question}",
        "chatml-qwen3": question,
    }
    own = text_of(load_family("chatml-qwen2.5"), (_SYSTEM, *_FIRST[:1]))
    assert own == f"<|im_start|>system\nSYS<|im_end|>\n{question}"
