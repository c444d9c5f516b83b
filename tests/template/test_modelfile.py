"""The Modelfile that is made from a family: its lines, what its template writes, and what it cannot say."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.template.emit_support import conversations, families
from tests.template.go_template import render
from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template import Family, family_names, golden_conversations, load_family, text_of
from tunewell.template.family import read_family
from tunewell.template.modelfile import modelfile_of

BOS = {
    "belle-llama-ext": "<s>",
    "chinese-alpaca-2": "<s>",
    "deepseek-llm": "<｜begin▁of▁sentence｜>",
    "gemma": "<bos>",
    "gemma-3": "<bos>",
    "llama-2": "<s>",
    "llama-3": "<|begin_of_text|>",
    "mistral-v1": "<s>",
    "mistral-v3": "<s>",
    "mistral-v7": "<s>",
}
UNSAYABLE = {
    "alpaca": "`with_input` (it does not split a text)",
    "chatglm-6b": "rounds (it does not count)",
    "chatglm2-6b": "rounds (it does not count)",
    "chatml-qwen3": "`past_reasoning: drop` (it does not cut a text)",
    "deepseek-v3": "`past_reasoning: drop` (it does not cut a text)",
}
ZEPHYR = '''\
FROM ./model.gguf
ADAPTER ./adapter.gguf
PARAMETER num_ctx 4096
PARAMETER stop "<eos>"
SYSTEM """Be brief."""
TEMPLATE """
{{- if .System }}<|system|>
{{ $.System }}<eos>{{ "\\n" }}
{{- end }}
{{- range $i, $_ := .Messages }}
{{- if eq .Role "user" }}<|user|>
{{ .Content }}<eos>
<|assistant|>{{ "\\n" }}
{{- else if eq .Role "assistant" }}{{ .Content }}<eos>
{{- if gt (len (slice $.Messages $i)) 1 }}{{ "\\n" }}
{{- end }}
{{- end }}
{{- end }}"""
'''


def written(family: Family, messages: Sequence[Message]) -> str:
    """What Ollama would write: it puts the text of SYSTEM in front, and takes contents as they are."""
    modelfile = modelfile_of(family, {}, source="model.gguf")
    found = re.search(r'^TEMPLATE """(.*)"""\n\Z', modelfile, re.DOTALL | re.MULTILINE)
    assert found is not None
    default = re.search(r'^SYSTEM """(.*?)"""$', modelfile, re.DOTALL | re.MULTILINE)
    turns = [Message(turn.role, turn.content.strip() if family.trim else turn.content) for turn in messages]
    if default and turns[0].role != "system":
        turns.insert(0, Message("system", default[1]))
    system = turns[0].content if turns[0].role == "system" else ""
    return render(found[1], system=system, messages=[{"Role": turn.role, "Content": turn.content} for turn in turns])


def test_a_modelfile_has_the_weights_the_window_the_stops_and_the_template() -> None:
    family = load_family("zephyr")
    names = dict.fromkeys(family.tokens, "<eos>")
    assert modelfile_of(family, names, source="./model.gguf", adapter="./adapter.gguf", system="Be brief.", context=4096) == ZEPHYR


def test_what_was_not_asked_for_is_not_written() -> None:
    lines = modelfile_of(load_family("chatglm3-6b"), {}, source="base").splitlines()
    assert lines[:5] == [
        "FROM base",
        'PARAMETER stop "<|user|>"',
        'PARAMETER stop "</s>"',
        'PARAMETER stop "<|observation|>"',
        'TEMPLATE """[gMASK]sop',
    ]


@pytest.mark.parametrize("name", sorted(set(family_names()) - set(UNSAYABLE)))
def test_the_template_writes_what_the_family_writes_behind_its_first_token(name: str) -> None:
    family = load_family(name)
    for golden in golden_conversations():
        if golden.messages[0].role == "system" and not family.takes_system:
            continue
        for end in range(1 + (golden.messages[0].role == "system"), len(golden.messages) + 1):
            messages = golden.messages[:end]
            assert written(family, messages) == text_of(family, messages).removeprefix(BOS.get(name, "")), golden.name


@settings(max_examples=200, deadline=None)
@given(family=families(sayable=True), data=st.data())
def test_any_family_that_ollama_can_say_writes_any_conversation(family: Family, data: st.DataObject) -> None:
    messages = data.draw(conversations(system=family.takes_system))
    assume(messages[0].role != "system" or messages[0].content.strip())
    assert written(family, messages) == text_of(family, messages)


def test_the_tokenizers_own_first_token_is_left_to_ollama() -> None:
    family = load_family("vicuna-1.1")
    names = {piece: "<bos-of-its-own>" if piece.value == "added_bos" else "</s>" for piece in family.tokens}
    assert "<bos-of-its-own>" not in modelfile_of(family, names, source="x")


@pytest.mark.parametrize("name", UNSAYABLE)
def test_what_ollama_cannot_say_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(TemplateError) as caught:
        modelfile_of(load_family(name), {}, source="x")
    assert caught.value.what == f"Ollama's template language cannot say `{name}`: {UNSAYABLE[name]}"
    assert caught.value.where == "template"
    assert caught.value.hint == (
        "llama.cpp and vLLM read the chat template; or take that out of a copy of the family's file, if your data do without"
    )


def test_a_system_text_without_a_place_is_refused() -> None:
    with pytest.raises(TemplateError) as caught:
        modelfile_of(load_family("gemma"), {}, source="x", system="Be brief.")
    assert caught.value.what == "`gemma` has no place for a system text"
    assert caught.value.hint == "leave it out, or take a family with a system text"


@pytest.mark.parametrize("text", ['say """this"""', "a wide\u3000space", "a bell\a"])
def test_a_system_text_that_a_modelfile_would_cut_is_refused(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        modelfile_of(load_family("phi-3"), {}, source="x", system=text)
    assert caught.value.what == "the text cannot stand in a Modelfile"
    assert caught.value.hint == "leave out three quotes in a row, and control signs and rare spaces"


def test_what_only_clients_can_do_is_said_in_the_file() -> None:
    first, second, third = modelfile_of(load_family("gemma"), {}, source="x").splitlines()[:3]
    assert first.startswith("# This format takes white space from the ends of a message")
    assert second == "# This format has no place for a system text: Ollama leaves one out without a word."
    assert third == "FROM x"


def test_signs_that_mean_something_to_go_or_to_a_modelfile_stand_as_strings() -> None:
    entry = {"source": "", "turn": ['{{ """ \u3000', {"content": "user"}, "{"], "end": ["<end>"], "between": ["{ "]}
    family = read_family("odd", entry, where="a test")
    modelfile = modelfile_of(family, {}, source="x")
    assert '{{- if eq .Role "user" }}{{ "{{ \\"\\"\\" \\U00003000" }}{{ .Content }}{{ "{" }}\n' in modelfile
    assert written(family, [Message("user", "U1")]) == '{{ """ \u3000U1{'
    assert '{{- if gt (len (slice $.Messages $i)) 1 }}{{ "{ " }}\n' in modelfile
