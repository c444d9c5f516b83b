"""Each check of a format against its tokenizer passes where it should, and finds what it is there to find."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from transformers import PreTrainedTokenizerBase

from tests.conftest import CHATML
from tests.template.tokenizers import family_tokenizer, legacy, mistral_tokenizer
from tunewell.model.load import load_tokenizer
from tunewell.records import Message
from tunewell.template import NOT_TRAINED, Encoded, FamilyFormat, Loss, PromptFormat, load_family, open_format
from tunewell.template.family import read_family
from tunewell.template.verify import Finding, verify

_JINJA = "same ids as the chat template"
_PREFIX = "prompt is a prefix"
_BOS = "one beginning of sequence"
_STOP = "stop token is trained"
_CUT = "no token across a cut"
_CONTROLS = "control tokens are text"
_TRUNCATION = "truncation keeps question and end"
_CHATML: Mapping[str, Any] = {
    "source": "a test",
    "turn": [
        *({"token": "<|im_start|>"}, "user\n", {"content": "user"}, {"token": "<|im_end|>"}, "\n"),
        *({"token": "<|im_start|>"}, "assistant\n"),
    ],
    "end": [{"token": "<|im_end|>"}],
    "between": ["\n"],
}


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def chat(tokenizer: PreTrainedTokenizerBase) -> PromptFormat:
    return open_format("chatml-qwen3", tokenizer)


def _altered(chat: PromptFormat, **changes: Any) -> PromptFormat:
    """The format with some of its methods replaced."""
    names = ("name", "hash", "stop_ids", "jinja", "text", "prompt_ids", "encode")
    return cast("PromptFormat", SimpleNamespace(**{name: getattr(chat, name) for name in names} | changes))


def _family(tokenizer: PreTrainedTokenizerBase, changes: Mapping[str, Any]) -> FamilyFormat:
    return FamilyFormat(read_family("mine", {**_CHATML, **changes}, where="mine.yaml"), tokenizer)


def _checked(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase, check: str) -> Finding:
    return next(finding for finding in verify(chat, tokenizer) if finding.check == check)


@pytest.mark.parametrize("template", ["auto", "chatml-qwen3", "chatml-qwen2.5"])
def test_a_good_format_passes_every_check(template: str, tokenizer: PreTrainedTokenizerBase) -> None:
    findings = verify(open_format(template, tokenizer), tokenizer)
    assert [finding.check for finding in findings] == [_JINJA, _PREFIX, _BOS, _STOP, _CUT, _CONTROLS, _TRUNCATION]
    assert [finding for finding in findings if not finding.ok] == []
    assert findings[0].detail == "28 answers of the 20 conversations and their prompts have the same ids"


@pytest.mark.parametrize("name", ["llama-2", "llama-3", "vicuna-1.1", "gemma", "belle-2023-06", "phoenix"])
def test_shipped_families_pass_with_a_tokenizer_that_has_their_tokens(name: str) -> None:
    family = load_family(name)
    tokenizer = family_tokenizer(family, "metaspace in front of the first text")
    broken = [finding for finding in verify(FamilyFormat(family, tokenizer), tokenizer) if not finding.ok]
    assert [finding.check for finding in broken] == ([] if tokenizer.eos_token in family.stop else [_STOP])


def test_a_template_that_writes_otherwise_is_shown_where_it_does(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    template = CHATML.replace("assistant\n' }}", "assistant:' }}")
    finding = _checked(_altered(chat, jinja=lambda: template), tokenizer, _JINJA)
    assert not finding.ok
    assert finding.where == "one question, answer 1, its prompt"
    assert finding.detail.startswith("the template writes otherwise: token ")
    assert "«\\n» against " in finding.detail
    assert finding.detail.endswith("«:» (28 more like it)")


def test_a_template_that_refuses_is_named(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML
    finding = _checked(_altered(chat, jinja=lambda: template), tokenizer, _JINJA)
    assert (finding.ok, finding.where) == (False, "system text, answer 1, its prompt")
    assert finding.detail == "the template alone refuses it (11 more like it)"


def test_a_prompt_that_the_format_alone_refuses_is_named(tokenizer: PreTrainedTokenizerBase) -> None:
    finding = _checked(_altered(_family(tokenizer, {}), jinja=lambda: CHATML), tokenizer, _JINJA)
    assert finding == Finding(_JINJA, False, "the compiler alone refuses it (4 more like it)", "system text, answer 1, its prompt")


def test_a_prompt_that_changes_under_its_answer_is_found(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    def prompt_ids(messages: Sequence[Message]) -> list[int]:
        return [*chat.prompt_ids(messages)[:-1], 0]

    finding = _checked(_altered(chat, prompt_ids=prompt_ids), tokenizer, _PREFIX)
    assert (finding.ok, finding.where) == (False, "one question, answer 1")
    assert finding.detail.startswith("the prompt changes once its answer follows: token ")
    assert "«<|endoftext|>» against " in finding.detail


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    pytest.importorskip("mistral_common")
    pytest.importorskip("sentencepiece")
    return legacy(mistral_tokenizer("v1", tmp_path_factory.mktemp("mistral")))


def test_a_doubled_beginning_is_found(mistral: PreTrainedTokenizerBase) -> None:
    bos = {"special": "bos", "text": "<s>"}
    changes = {"turn": [{"content": "user"}], "end": [{"special": "eos"}]}
    assert _checked(_family(mistral, changes | {"prefix": [bos]}), mistral, _BOS).ok
    finding = _checked(_family(mistral, changes | {"prefix": [bos, bos]}), mistral, _BOS)
    assert not finding.ok
    assert finding.detail.startswith("it stands twice: ‹<s>›«<s>»‹ How›")


def test_a_beginning_that_is_sometimes_missing_is_found(mistral: PreTrainedTokenizerBase) -> None:
    changes = {
        "prefix": [{"special": "bos", "text": "<s>"}],
        "turn": [{"content": "user"}, "\n"],
        "single": [{"content": "user"}],
        "end": [{"special": "eos"}],
    }
    chat = _family(mistral, changes)

    def prompt_ids(messages: Sequence[Message]) -> list[int]:
        ids = chat.prompt_ids(messages)
        return ids[1:] if len(messages) == 1 else ids

    finding = _checked(_altered(chat, prompt_ids=prompt_ids), mistral, _BOS)
    assert (finding.ok, finding.where) == (False, "one question, answer 1")
    assert finding.detail.startswith("it is missing, while others have it: «")


def test_it_is_said_which_servers_would_double_or_add_the_beginning(tmp_path: Path) -> None:
    adding = family_tokenizer(load_family("llama-2"), "a space put in front by a normaliser")
    doubled = _checked(open_format("mistral-v1", adding), adding, _BOS)
    assert doubled.ok
    assert doubled.detail.startswith(
        "one <s> in front; a server that tokenises the text with add_special_tokens=True doubles it: vLLM's"
    )
    added = _checked(open_format("belle-2023-06", adding), adding, _BOS)
    assert added.ok
    assert added.detail.startswith(
        "the format has none (the tokenizer's would be <s>); llama.cpp, Ollama and vLLM's /completions put"
    )


def test_a_stop_token_that_stops_no_server_is_found(tiny_model: Path, tmp_path: Path) -> None:
    load_tokenizer(tiny_model).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    chat = _family(tokenizer, {"end": [{"token": "<|endoftext|>"}]})
    finding = _checked(chat, tokenizer, _STOP)
    assert finding == Finding(
        _STOP,
        False,
        "<|endoftext|> ends an answer, but servers stop on <|im_end|>: add 0 to eos_token_id in generation_config.json, or name it "
        "as `stop` in each request",
    )
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 2]}), encoding="utf-8")
    healed = _checked(chat, tokenizer, _STOP)
    assert healed == Finding(
        _STOP, True, "<|endoftext|> is trained after each answer, and servers stop on <|endoftext|>, <|im_end|>"
    )


def test_an_end_that_is_not_trained_is_found(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    def encode(messages: Sequence[Message], loss: Loss = Loss()) -> Encoded:  # noqa: B008  a tuple
        ids, labels = chat.encode(messages, loss)
        return Encoded(ids, [*labels[:-1], NOT_TRAINED])

    finding = _checked(_altered(chat, encode=encode), tokenizer, _STOP)
    assert (finding.ok, finding.where) == (False, "one question, answer 1")
    assert finding.detail.startswith("the end is not trained: …")
    assert "«<|im_end|>»" in finding.detail


def test_a_past_answer_without_its_end_is_found(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")

    def encode(messages: Sequence[Message], loss: Loss = Loss()) -> Encoded:  # noqa: B008  a tuple
        ids, labels = chat.encode(messages, loss)
        return Encoded(ids, [NOT_TRAINED if label == end else label for label in labels[:-1]] + labels[-1:])

    finding = _checked(_altered(chat, encode=encode), tokenizer, _STOP)
    assert (finding.ok, finding.where) == (False, "two turns, answer 2")
    assert finding.detail.startswith("an answer ends in ., which stops nothing")


def test_a_token_across_the_cut_is_shown(mistral: PreTrainedTokenizerBase) -> None:
    assert _checked(open_format("belle-2023-06", mistral), mistral, _CUT).ok
    finding = _checked(open_format("belle-dschat", mistral), mistral, _CUT)
    assert (finding.ok, finding.where) == (False, "one question, answer 1")
    assert finding.detail.startswith(
        "in one piece the text has the token ‹ A› where the prompt ends in ‹ › and the answer begins with ‹A›: "
    )
    assert "‹:›« A»‹ refund›" in finding.detail


def test_a_prompt_whose_end_is_other_tokens_before_an_answer_is_shown() -> None:
    """GPT-2's rules split the last of two line breaks off where a word follows."""
    family = load_family("llama-3")
    tokenizer = family_tokenizer(family, "byte level")
    finding = _checked(FamilyFormat(family, tokenizer), tokenizer, _CUT)
    assert (finding.ok, finding.where) == (False, "one question, answer 1")
    assert finding.detail.startswith("in one piece with its answer the prompt ends in other tokens: token ")
    assert "‹<|end_header_id|>›«\\n\\n» against …" in finding.detail
    assert "«\\n»‹\\n›‹A›" in finding.detail


def test_the_token_that_left_belle_nothing_to_train_is_shown() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    signs = sorted({sign for text in _signs() for sign in text})
    vocabulary = {token: number for number, token in enumerate(["<unk>", "</s>", "▁", "▁是", *(s for s in signs if s not in " ▁")])}
    backend = Tokenizer(models.BPE(vocabulary, [("▁", "是")], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=False)
    backend.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="never", split=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")
    finding = _checked(open_format("belle-dschat", tokenizer), tokenizer, _CUT)
    assert (finding.ok, finding.where) == (False, "an answer that begins with 是, answer 1")
    assert "the token ‹ 是› where the prompt ends in ‹ › and the answer begins with ‹是›" in finding.detail


def _signs() -> list[str]:
    from tunewell.template import golden_conversations

    return [message.content for golden in golden_conversations() for message in golden.messages] + ["Human: Assistant:\n"]


def test_control_tokens_read_from_a_question_are_found(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    def prompt_ids(messages: Sequence[Message]) -> list[int]:
        return cast("list[int]", tokenizer(chat.text(messages), add_special_tokens=False)["input_ids"])

    finding = _checked(_altered(chat, prompt_ids=prompt_ids), tokenizer, _CONTROLS)
    assert not finding.ok
    assert finding.detail.startswith("<|endoftext|> in a question is read as a control token: …")
    assert finding.detail.endswith("(2 more like it)")


def _cut(chat: PromptFormat, cut: Callable[[list[int]], list[int]]) -> PromptFormat:
    """The format with every list of ids cut, as a trainer that truncates does it."""

    def encode(messages: Sequence[Message], loss: Loss = Loss()) -> Encoded:  # noqa: B008  a tuple
        ids, labels = chat.encode(messages, loss)
        return Encoded(cut(ids), cut(labels))

    return _altered(chat, encode=encode)


def test_a_truncated_end_is_found(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    finding = _checked(_cut(chat, lambda values: values[:-1]), tokenizer, _TRUNCATION)
    assert not finding.ok
    assert finding.where.startswith("two turns, ")
    assert finding.detail.startswith("the end token is gone: …")


def test_a_truncated_question_is_found(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    finding = _checked(_cut(chat, lambda values: values[3:]), tokenizer, _TRUNCATION)
    assert not finding.ok
    assert finding.detail.startswith("the question is cut: token 1: «<|im_start|>»")


def test_a_control_token_is_shown_by_its_own_name() -> None:
    family = load_family("deepseek-v3")
    tokenizer = family_tokenizer(family, "metaspace in front of every text")
    finding = _checked(FamilyFormat(family, tokenizer), tokenizer, _STOP)
    assert finding.detail.startswith("<｜end▁of▁sentence｜> ends an answer, but servers stop on </s>: add ")


def test_control_characters_are_made_printable(chat: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    template = CHATML.replace("assistant\n' }}", "\x1b[2J' }}")
    finding = _checked(_altered(chat, jinja=lambda: template), tokenizer, _JINJA)
    assert not finding.ok
    assert "\x1b" not in finding.detail
    assert "�" in finding.detail
