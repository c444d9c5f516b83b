"""What families write, against the strings of their sources, and their ids against Mistral's own encoder."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import PreTrainedTokenizerFast

from tests.template.tokenizers import MISTRAL_FILES, converted, legacy
from tunewell.records import Message
from tunewell.template import FamilyFormat, Golden, family_names, golden_conversations, load_family, text_of

_GOLDENS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "goldens.yaml").read_text(encoding="utf-8"))
_NOTES = Path(__file__).parents[2].parent / "shared" / "reference" / "template_goldens.json"


def _asked(golden: Mapping[str, Any]) -> list[Message]:
    messages = [Message("system", golden["system"])] if "system" in golden else []
    for place, question in enumerate(golden["questions"]):
        messages += [Message("assistant", f"A{place}")] if place else []
        messages.append(Message("user", question))
    return messages


def _answered(golden: Mapping[str, Any]) -> list[Message]:
    return [*_asked(golden), Message("assistant", f"A{len(golden['questions'])}")]


def _name(golden: Mapping[str, Any]) -> str:
    return f"{golden['family']}-{golden.get('notes', 'own')}"


@pytest.mark.parametrize("golden", _GOLDENS, ids=_name)
def test_a_family_writes_what_its_source_writes(golden: Mapping[str, Any]) -> None:
    family = load_family(golden["family"])
    assert text_of(family, _asked(golden)) == golden["prompt"]
    assert text_of(family, _answered(golden)) == golden["trained"]


def test_every_family_has_a_golden_string() -> None:
    assert {golden["family"] for golden in _GOLDENS} == set(family_names())


def test_the_golden_strings_of_the_notes_are_written() -> None:
    if not _NOTES.exists():
        pytest.skip("shared/reference/template_goldens.json is not beside this repository")
    notes = json.loads(_NOTES.read_text(encoding="utf-8"))
    ours = {golden["notes"]: golden for golden in _GOLDENS if "notes" in golden}
    assert set(ours) == set(notes)
    assert len(notes) == 29
    for name, theirs in notes.items():
        golden, family = ours[name], load_family(ours[name]["family"])
        adds = golden.get("adds", "")
        has, lacks = golden.get("notes_lack", ("", ""))
        assert text_of(family, _asked(golden)).replace(has, lacks) == adds + theirs["generation_prompt"], name
        if theirs["training_text"]:
            expected = adds + theirs["training_text"].removeprefix(adds)
            assert text_of(family, _answered(golden)).replace(has, lacks) == expected, name
        assert list(family.stop) == theirs["stop"], name


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("mistral-v1", "decided by what mistral-common writes"),
        ("baichuan2", "sources disagree on past answers in training"),
        ("chatml-smollm2", "no full stop; LLaMA-Factory adds one"),
        ("deepseek-v3", "Later revisions of R1 open a thought in the generation prompt; V3 does not"),
        ("chinese-alpaca-2", "which the source does not show"),
        ("vicuna-1.1", "The tokenizer puts its beginning-of-sequence token in front"),
        ("belle-2023-03", "The cards write a space before the line breaks; their code has none"),
        ("chatglm3-6b", "encodes the line break and the content apart"),
        ("deepseek-v3", "the line breaks after it stay"),
        ("chatml-qwen3", "writes an empty thought before a last answer that has none"),
        ("chatml-qwen1.5", "The first revisions"),
        ("baichuan-13b-chat", "refuses a system text; its place here, in front of the first question, is ours"),
        ("chinese-alpaca-train", "encodes an answer apart from its prompt"),
        ("chinese-alpaca-2", "encodes an answer apart from its prompt"),
        ("belle-2023-06", "encodes an answer apart from its prompt"),
        ("zephyr", "No beginning-of-sequence token"),
    ],
)
def test_where_sources_are_uncertain_the_family_says_what_was_decided(family: str, says: str) -> None:
    found = load_family(family)
    assert found.source
    assert says in found.notes


@cache
def _encoder(version: str) -> Any:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return {"v1": MistralTokenizer.v1, "v3": MistralTokenizer.v3, "v7": MistralTokenizer.v7}[version]()


def _mistral_ids(version: str, messages: Sequence[Message]) -> list[int]:
    """What mistral-common itself makes of a conversation that ends with a question."""
    from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    kinds = {"system": SystemMessage, "user": UserMessage, "assistant": AssistantMessage}
    turns = [kinds[message.role](content=message.content) for message in messages]
    request: ChatCompletionRequest[Any] = ChatCompletionRequest(messages=turns)
    return list(_encoder(version).encode_chat_completion(request).tokens)


def _as_shipped(version: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer with the space in front that the version was trained with.

    Version 1 writes its marks as text, and its encoder begins each of them anew, with SentencePiece's space in front. That is what
    the first conversions of the tokenizer do after a special token, and what later ones (`legacy: false`) no longer do. From
    version 2 on the marks are tokens, and the families write the space before a question and an answer themselves.
    """
    return legacy(copy.deepcopy(tokenizer)) if version == "v1" else tokenizer


@pytest.mark.parametrize("version", MISTRAL_FILES)
@pytest.mark.parametrize("golden", golden_conversations(), ids=lambda golden: golden.name)
def test_ids_are_those_of_mistral_common(version: str, golden: Golden, mistral: Mapping[str, PreTrainedTokenizerFast]) -> None:
    chat = FamilyFormat(load_family(f"mistral-{version}"), _as_shipped(version, mistral[version]))
    conversation = (*golden.messages, Message("user", "And then?"))
    for place, message in enumerate(conversation):
        if message.role == "user":
            prompt = conversation[: place + 1]
            assert chat.prompt_ids(prompt) == _mistral_ids(version, prompt)


@pytest.mark.parametrize("version", ["v3", "v7"])
@pytest.mark.parametrize("convert", [legacy, converted])
def test_a_space_that_the_tokenizer_writes_is_not_written_twice(
    version: str,
    convert: Callable[[PreTrainedTokenizerFast], PreTrainedTokenizerFast],
    mistral: Mapping[str, PreTrainedTokenizerFast],
) -> None:
    """As under a folder with nothing but a tokenizer.model. The text, too, lacks the space that the tokenizer will write."""
    tokenizer = convert(copy.deepcopy(mistral[version]))
    chat = FamilyFormat(load_family(f"mistral-{version}"), tokenizer)
    for golden in golden_conversations():
        messages = [*golden.messages, Message("user", " And then?")]
        ids = chat.prompt_ids(messages)
        assert ids == _mistral_ids(version, messages)
        assert tokenizer(chat.text(messages), add_special_tokens=False)["input_ids"] == ids


def test_chatglm3_encodes_a_tag_s_line_break_and_the_content_apart(mistral: Mapping[str, PreTrainedTokenizerFast]) -> None:
    """Each with SentencePiece's space in front, as tokenization_chatglm.py does."""
    tokenizer = legacy(copy.deepcopy(mistral["v1"]))
    tokenizer.add_special_tokens({"additional_special_tokens": [piece.text for piece in load_family("chatglm3-6b").tokens]})
    ids = FamilyFormat(load_family("chatglm3-6b"), tokenizer).prompt_ids([Message("user", "Hi")])
    apart = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("\n", "Hi")]
    gmask, sop, user, assistant = (tokenizer.get_vocab()[tag] for tag in ("[gMASK]", "sop", "<|user|>", "<|assistant|>"))
    assert ids == [gmask, sop, user, *apart[0], *apart[1], assistant]


_SPACED = (Message("system", " S "), Message("user", " U1 "), Message("assistant", " A1 "), Message("user", " U2 "))


def test_meta_strips_questions_and_answers() -> None:
    assert text_of(load_family("llama-2"), _SPACED[1:]) == "<s>[INST] U1 [/INST] A1 </s><s>[INST] U2 [/INST]"
    assert text_of(load_family("llama-2"), _SPACED).startswith("<s>[INST] <<SYS>>\n S \n<</SYS>>\n\nU1 [/INST]")


def test_gemma_3_does_not_trim_the_system_text() -> None:
    assert text_of(load_family("gemma-3"), _SPACED).startswith("<bos><start_of_turn>user\n S \n\nU1<end_of_turn>")


def test_what_is_left_of_a_past_answer_that_thought() -> None:
    """Qwen3's template takes the line breaks after the thought away, that of DeepSeek V3 does not."""
    messages = [Message("user", "U1"), Message("assistant", "<think>\nT\n</think>\n\nA1"), Message("user", "U2")]
    assert "assistant\nA1<|im_end|>" in text_of(load_family("chatml-qwen3"), messages)
    assert "<｜Assistant｜>\n\nA1<｜end▁of▁sentence｜>" in text_of(load_family("deepseek-v3"), messages)


def test_without_the_space_in_front_version_1_is_another_format(mistral: Mapping[str, PreTrainedTokenizerFast]) -> None:
    chat, prompt = FamilyFormat(load_family("mistral-v1"), mistral["v1"]), [Message("user", "U1")]
    ours, theirs = chat.prompt_ids(prompt), _mistral_ids("v1", prompt)
    first = mistral["v1"].convert_ids_to_tokens
    assert (first(ours[:2]), first(theirs[:2])) == (["<s>", "["], ["<s>", "▁["])
    assert ours[2:] == theirs[2:]
