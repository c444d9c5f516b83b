"""Which formats stand side by side on a tokenizer, and why the others do not."""

from pathlib import Path

import pytest

from tunewell.errors import TemplateError
from tunewell.evaluate import Ask
from tunewell.model.load import load_tokenizer
from tunewell.records import Message
from tunewell.sweep.formats import OTHERS, Candidate, Field, candidates, open_field
from tunewell.template import Loss

_PLAIN = """
source: a test
turn: ["Q: ", {content: user}, "\\nA:"]
end: [{special: eos}]
"""


def _ask(question: str, *, system: str = "") -> Ask:
    front = (Message("system", system),) if system else ()
    return Ask("domain", "unseen", question, question, "en", (*front, Message("user", question)), "Five days.")


_ASKS = [_ask("How long does a refund take?"), _ask("Where do I see my payouts?")]


def _field(tiny_model: Path, *templates: str, asks: list[Ask] | None = None) -> Field:
    found = [Candidate(name, "own" if name == "auto" else "team") for name in templates]
    return open_field(found, load_tokenizer(tiny_model), asks or _ASKS, Loss())


def _reasons(field: Field) -> dict[str, str]:
    return {entry.candidate.template: entry.reason for entry in field.not_scored}


def _names(field: Field) -> list[str]:
    return [entrant.candidate.template for entrant in field.entrants]


def test_the_bases_own_the_recipes_and_five_others() -> None:
    assert candidates("auto", []) == [Candidate("auto", "own"), *(Candidate(name, "other") for name in OTHERS[:5])]
    assert [(found.template, found.role) for found in candidates("alpaca", ["auto", "zephyr", "alpaca"])] == [
        ("auto", "own"),
        ("alpaca", "team"),
        ("zephyr", "team"),
        *((name, "other") for name in OTHERS[1:6]),
    ]


def test_a_family_that_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(TemplateError, match="there is no prompt family `alpacca`") as caught:
        candidates("auto", ["alpacca"])
    assert "alpaca" in caught.value.hint


def test_every_family_that_stands_beside_goes_with_any_tokenizer_that_has_an_end_token(tiny_model: Path) -> None:
    assert _names(_field(tiny_model, *OTHERS)) == list(OTHERS)


def test_what_a_tokenizer_cannot_carry_is_listed_with_its_reason(tiny_model: Path) -> None:
    field = _field(tiny_model, "auto", "phoenix", "baichuan2", "vicuna-1.1")
    assert _names(field) == ["auto", "vicuna-1.1"]
    reasons = _reasons(field)
    assert reasons["phoenix"].startswith("the tokenizer has no token `")
    own_token = load_tokenizer(tiny_model).convert_ids_to_tokens(195)
    assert reasons["baichuan2"] == f"the token with the id 195 is `{own_token}` here, not `<reserved_106>`"


def test_a_base_without_a_template_has_no_format_of_its_own(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = None
    field = open_field([Candidate("auto", "own"), Candidate("bloomz", "other")], tokenizer, _ASKS, Loss())
    assert _reasons(field) == {"auto": "the tokenizer has no chat template"}
    assert _names(field) == ["bloomz"]


def test_a_format_that_refuses_an_item_is_not_scored(tiny_model: Path) -> None:
    field = _field(tiny_model, "auto", "bloomz", "vicuna-1.1", asks=[*_ASKS, _ask("Is it open?", system="Be brief.")])
    assert _names(field) == ["auto", "vicuna-1.1"]
    assert _reasons(field) == {"bloomz": "`bloomz` has no place for a system text (1 of 3 items)"}
    assert len(field.asks) == 3
    assert field.left_out == {}


def test_items_that_the_own_format_refuses_are_left_out_for_all(tiny_model: Path) -> None:
    field = _field(tiny_model, "auto", "bloomz", asks=[_ask("What does <|im_end|> mean?"), *_ASKS])
    assert field.asks == _ASKS
    assert field.left_out == {"the user turn holds the control token <|im_end|>": 1}
    assert _names(field) == ["auto", "bloomz"]


def test_an_own_format_that_refuses_every_item_leaves_none_out(tiny_model: Path) -> None:
    asks = [_ask("What does <|im_end|> mean?")]
    field = _field(tiny_model, "auto", "bloomz", asks=asks)
    assert (field.asks, field.left_out) == (asks, {})
    assert _reasons(field) == {"auto": "the user turn holds the control token <|im_end|> (1 of 1 items)"}
    assert _names(field) == ["bloomz"]


def test_a_format_that_writes_the_tokens_of_another_is_scored_once(tiny_model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bare.yaml"
    copy.write_text("source: a test\nturn: [{content: user}]\nend: [{special: eos}]\n", encoding="utf-8")
    other = tmp_path / "plain.yaml"
    other.write_text(_PLAIN, encoding="utf-8")
    field = _field(tiny_model, "bloomz", str(copy), str(other))
    assert _names(field) == ["bloomz", str(other)]
    assert _reasons(field) == {str(copy): "the same tokens as `bloomz` on every item"}
    assert [entrant.candidate.label for entrant in field.entrants] == ["bloomz", "plain.yaml"]
