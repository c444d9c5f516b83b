"""A family of the user's own, and what each mistake in its file says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.template.tokenizers import tokenizer_of
from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template import FamilyFormat, family_names, load_family, open_format, text_of
from tunewell.template.family import family_entry, read_family
from tunewell.template.jinja import jinja_of

_OWN = """
source: our help desk
default_system: Be brief.
system: [{content: system}, "\\n"]
turn: ["Customer ", {round: 1}, ": ", {content: user}, "\\nAgent: "]
answer: [{content: assistant}]
end: [{token: "<|done|>"}]
between: ["\\n"]
stop: ["<|done|>"]
"""
_TURNS = (Message("user", "U1"), Message("assistant", "A1"), Message("user", "U2"))


def _load(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "desk.yaml"
    path.write_text(text, encoding="utf-8")
    return load_family(str(path))


def test_a_family_of_ones_own_is_used_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    path.write_text(_OWN, encoding="utf-8")
    tokenizer = tokenizer_of("byte level", ("<|done|>",))
    chat = open_format(str(path), tokenizer)
    assert chat.name == "desk"
    assert chat.text(_TURNS) == "Be brief.\nCustomer 1: U1\nAgent: A1<|done|>\nCustomer 2: U2\nAgent: "
    assert tokenizer.decode(chat.prompt_ids(_TURNS)) == chat.text(_TURNS)
    assert chat.stop_ids == {tokenizer.convert_tokens_to_ids("<|done|>"), tokenizer.eos_token_id}


@pytest.mark.parametrize("name", family_names())
def test_every_shipped_family_is_its_own_entry(name: str) -> None:
    family = load_family(name)
    again = read_family(name, family_entry(family), where="x")
    assert again == family
    assert again.hash == family.hash


def test_the_hash_follows_what_shapes_a_prompt_and_nothing_else() -> None:
    entry = yaml.safe_load(_OWN)
    changes: list[dict[str, Any]] = [{}, {"trim": True}, {"between": []}, {"stop": []}]
    shaped = {read_family("a", entry | change, where="x").hash for change in changes}
    assert len(shaped) == 4
    assert read_family("b", entry | {"source": "y", "notes": "z"}, where="x").hash == read_family("a", entry, where="x").hash


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lama-3", "did you mean `llama-3`?"),
        ("zzzzzz", "`tunewell template list` shows the families; your own is a file ending in .yaml"),
    ],
)
def test_an_unknown_family_is_refused(name: str, hint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load_family(name)
    assert caught.value.what == f"there is no prompt family `{name}`"
    assert (caught.value.where, caught.value.hint) == ("template", hint)


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="a family is a mapping of its parts") as caught:
        _load(tmp_path, "- turn")
    assert caught.value.where == str(tmp_path / "desk.yaml")
    assert caught.value.hint.startswith("its keys are source, notes, default_system, trim")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="the family cannot be read: while parsing") as caught:
        _load(tmp_path, "turn: [")
    assert caught.value.where == str(tmp_path / "desk.yaml")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" * 3000 + "]" * 3000, "the family cannot be read: it is nested too deeply"),
        ("source: 2024-13-01", "the family cannot be read: month must be in 1..12"),
    ],
)
def test_yaml_that_breaks_its_reader_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(TemplateError) as caught:
        _load(tmp_path, text)
    assert (caught.value.what, caught.value.where) == (what, str(tmp_path / "desk.yaml"))


def test_half_a_pair_of_surrogates_in_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="half of a pair of surrogates is no text"):
        _load(tmp_path, _OWN.replace("Customer ", "\\ud83d"))


def test_a_name_is_no_way_to_another_folder(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text(_OWN, encoding="utf-8")
    with pytest.raises(TemplateError, match="there is no prompt family"):
        load_family(str(tmp_path / "desk"))


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    assert _load(tmp_path, _OWN).default_system == "Be brief."
    assert _load(tmp_path, _OWN.replace("Be brief.", "Be kind.")).default_system == "Be kind."


def test_contents_are_trimmed_by_name(tmp_path: Path) -> None:
    spaced = [Message("system", " S "), Message("user", " U "), Message("assistant", " A ")]
    plain = {
        trim: text_of(_load(tmp_path, f"{_OWN}trim: {trim}\n"), spaced)
        for trim in ("true", "false", "[user, assistant]", "[system]")
    }
    assert plain == {
        "true": "S\nCustomer 1: U\nAgent: A<|done|>",
        "false": " S \nCustomer 1:  U \nAgent:  A <|done|>",
        "[user, assistant]": " S \nCustomer 1: U\nAgent: A<|done|>",
        "[system]": "S\nCustomer 1:  U \nAgent:  A <|done|>",
    }
    for trim, text in plain.items():
        family = _load(tmp_path, f"{_OWN}trim: {trim}\n")
        turns = [{"role": message.role, "content": message.content} for message in spaced]
        template = jinja_of(family, {}, marks=False)
        assert ImmutableSandboxedEnvironment().from_string(template).render(messages=turns) == text
        assert read_family("desk", family_entry(family), where="x") == family


_MISTAKES: list[tuple[Mapping[str, Any], str]] = [
    ({"turns": []}, "turns: unknown key. did you mean `turn`?"),
    ({"qqq": []}, "qqq: unknown key."),
    ({"source": 3}, "source: a text is wanted"),
    ({"trim": "often"}, "trim: true, false or a list of system, user, assistant is wanted"),
    ({"trim": ["input"]}, "trim: true, false or a list of system, user, assistant is wanted"),
    ({"trim": [["user"]]}, "trim: true, false or a list of system, user, assistant is wanted"),
    ({"past_reasoning": "hide"}, "past_reasoning: one of keep, drop, cut is wanted"),
    ({"stop": "</s>"}, "stop: a list of texts is wanted"),
    ({"stop": [""]}, "stop: a list of texts is wanted"),
    ({"prefix": "<s>"}, "prefix: a list of pieces is wanted"),
    ({"prefix": None}, "prefix: a list of pieces is wanted"),
    ({"prefix": ["a", ""]}, "prefix[1]: an empty text"),
    ({"prefix": [3]}, "prefix[0]: a piece is a text, or a mapping such as {token: NAME}"),
    (
        {"prefix": [{"tokn": "<s>"}]},
        "prefix[0]: a piece is a text, or one of token, id, special, round, content, with `text` beside it for a person to see",
    ),
    (
        {"prefix": [{"token": "<s>", "id": 1}]},
        "prefix[0]: a piece is a text, or one of token, id, special, round, content, with `text` beside it for a person to see",
    ),
    ({"prefix": [{"id": "1"}]}, "prefix[0]: id: a number is wanted"),
    ({"prefix": [{"id": True}]}, "prefix[0]: id: a number is wanted"),
    ({"prefix": [{"id": -1}]}, "prefix[0]: id: a token has a number from 0 on, below 2 to the power of 32"),
    ({"prefix": [{"id": 10**20}]}, "prefix[0]: id: a token has a number from 0 on, below 2 to the power of 32"),
    ({"prefix": ["\ud83d"]}, "prefix[0]: half of a pair of surrogates is no text"),
    ({"prefix": [{"token": "\ud83d"}]}, "prefix[0]: token: a text is wanted"),
    ({"prefix": [{"token": "<s>", "text": "\ud83d"}]}, "prefix[0]: text: a text is wanted"),
    ({"notes": "\ud83d"}, "notes: a text is wanted"),
    ({"stop": ["\ud83d"]}, "stop: a list of texts is wanted"),
    ({"\ud83d": 1}, "?: unknown key."),
    ({"prefix": [{"token": ""}]}, "prefix[0]: token: a text is wanted"),
    ({"prefix": [{"special": "pad"}]}, "prefix[0]: special: one of bos, eos, added_bos is wanted"),
    ({"prefix": [{"token": "<s>", "text": 3}]}, "prefix[0]: text: a text is wanted"),
    ({"turn": [{"content": "question"}]}, "turn[0]: content: one of system, user, assistant, instruction, input is wanted"),
    ({"turn": ["Q: "]}, "turn: {content: user} is missing"),
    ({"turn": [{"content": "user"}, {"content": "user"}]}, "turn: {content: user} stands twice"),
    ({"prefix": [{"content": "system"}]}, "prefix: the system text has no place here"),
    ({"answer": []}, "answer: {content: assistant} is missing"),
    ({"with_input": [{"content": "input"}]}, "with_input: {content: instruction} is missing"),
    ({"end": ["\n", {"round": 1}]}, "end: the number of a round has no place here"),
    ({"system": []}, "default_system: it has no place without one of system, first, last"),
    ({"last": [{"content": "system"}, {"content": "user"}]}, "last: the system text stands in `system` already"),
]


@pytest.mark.parametrize(("change", "problem"), _MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_named(change: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        read_family("desk", yaml.safe_load(_OWN) | change, where="desk.yaml")
    first, *problems = caught.value.what.split("\n  ")
    assert first == "this is no prompt family"
    assert problem in problems
    assert caught.value.where == "desk.yaml"


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(TemplateError) as caught:
        read_family("desk", {"trim": 1, "enf": []}, where="desk.yaml")
    assert caught.value.what.split("\n  ")[1:] == [
        "enf: unknown key. did you mean `end`?",
        "source: missing",
        "turn: missing",
        "end: missing",
        "trim: true, false or a list of system, user, assistant is wanted",
    ]


@pytest.mark.parametrize(
    ("change", "what", "hint"),
    [
        ({}, "the tokenizer has no token `<|done|>`", "take a family of this tokenizer, or `template: auto`"),
        ({"end": [{"id": 99999}]}, "the tokenizer has no token with the id 99999", ""),
        ({"end": []}, "`desk` has no end token under this tokenizer", "such a model never stops"),
    ],
)
def test_a_family_that_does_not_go_with_the_tokenizer_is_refused(change: Mapping[str, Any], what: str, hint: str) -> None:
    family = read_family("desk", yaml.safe_load(_OWN) | change, where="desk.yaml")
    with pytest.raises(TemplateError) as caught:
        FamilyFormat(family, tokenizer_of("byte level"), where="some/model")
    assert (caught.value.what, caught.value.where, caught.value.hint) == (what, "some/model", hint)


def test_a_missing_token_is_refused_wherever_it_stands() -> None:
    """Not only at the end of an answer: before anything is trained, whatever conversations come."""
    family = read_family("desk", yaml.safe_load(_OWN) | {"system": [{"token": "<|sys|>"}, {"content": "system"}]}, where="x")
    with pytest.raises(TemplateError, match=r"the tokenizer has no token `<\|sys\|>`"):
        FamilyFormat(family, tokenizer_of("byte level", ("<|done|>",)))
