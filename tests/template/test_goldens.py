"""What families write, against the strings of their sources, and their ids against Mistral's own encoder."""

import copy
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import PreTrainedTokenizerFast

from tests.template.tokenizers import MISTRAL_FILES, legacy
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
        assert text_of(family, _asked(golden)) == adds + theirs["generation_prompt"], name
        if theirs["training_text"]:
            assert text_of(family, _answered(golden)) == adds + theirs["training_text"].removeprefix(adds), name
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
        ("chatglm3-6b", "the tokenizer gives tag, line break, content"),
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


def test_without_the_space_in_front_version_1_is_another_format(mistral: Mapping[str, PreTrainedTokenizerFast]) -> None:
    chat, prompt = FamilyFormat(load_family("mistral-v1"), mistral["v1"]), [Message("user", "U1")]
    ours, theirs = chat.prompt_ids(prompt), _mistral_ids("v1", prompt)
    first = mistral["v1"].convert_ids_to_tokens
    assert (first(ours[:2]), first(theirs[:2])) == (["<s>", "["], ["<s>", "▁["])
    assert ours[2:] == theirs[2:]
