"""The contract beside an adapter: kept by the format it was written with, broken by any other, and the difference is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from tunewell.errors import TemplateError
from tunewell.model.load import load_tokenizer
from tunewell.template import (
    EVERY_ANSWER,
    check_contract,
    golden_conversations,
    load_family,
    open_contract,
    open_format,
    write_contract,
)
from tunewell.template.contract import CONTRACT
from tunewell.template.family import family_entry, family_names, read_family


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_model)


def _contract(template: str, tokenizer: PreTrainedTokenizerBase, folder: Path) -> dict[str, Any]:
    write_contract(open_format(template, tokenizer), EVERY_ANSWER, folder)
    contract: dict[str, Any] = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    return contract


@pytest.mark.parametrize("template", ["auto", "chatml-qwen2.5", "vicuna-1.1"])
def test_a_contract_opens_as_the_format_it_was_written_with(
    template: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    contract = _contract(template, tokenizer, tmp_path)
    opened, written = open_contract(tmp_path, tokenizer), open_format(template, tokenizer)
    assert (opened.name, opened.hash, contract["hash"]) == (template, written.hash, written.hash)
    for golden, entry in zip(golden_conversations(), contract["conversations"], strict=True):
        encoded = opened.encode(golden.messages)
        assert encoded.ids == entry["ids"]
        trained = {place for start, end in entry["trained"] for place in range(start, end)}
        assert trained == {place for place, label in enumerate(encoded.labels) if label != -100}


def test_another_default_system_text_breaks_it_and_the_first_token_is_named(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    _contract("chatml-qwen1.5", tokenizer, tmp_path)
    with pytest.raises(TemplateError) as caught:
        check_contract(tmp_path, open_format("chatml-qwen2.5", tokenizer), tokenizer)
    assert caught.value.what.startswith(
        "trained under `chatml-qwen1.5`, asked for under `chatml-qwen2.5`: in the conversation “one question”, token "
    )
    assert "You are' was ' a helpful" in caught.value.what
    assert "and is ' Qwen" in caught.value.what
    assert caught.value.where == str(tmp_path / CONTRACT)
    assert "train again" in caught.value.hint


def test_a_family_under_another_name_keeps_the_contract_when_its_prompts_are_equal(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    _contract("chatml-qwen1.5", tokenizer, tmp_path)
    own = tmp_path / "own.yaml"
    own.write_text(json.dumps({**family_entry(load_family("chatml-qwen1.5")), "source": "ours", "notes": ""}), encoding="utf-8")
    check_contract(tmp_path, open_format(str(own), tokenizer), tokenizer)


def test_a_tokenizer_that_changed_breaks_it(tiny_model: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    _contract("chatml-qwen1.5", tokenizer, tmp_path)
    changed = load_tokenizer(tiny_model)
    changed.add_tokens(["refund"])
    with pytest.raises(TemplateError, match="in the conversation “one question”"):
        open_contract(tmp_path, changed)


def test_other_training_of_the_same_tokens_breaks_it(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    contract = _contract("chatml-qwen1.5", tokenizer, tmp_path)
    start, end = contract["conversations"][0]["trained"][0]
    contract["conversations"][0]["trained"][0] = [start, end - 1]
    (tmp_path / CONTRACT).write_text(json.dumps(contract), encoding="utf-8")
    with pytest.raises(TemplateError, match="in the conversation “one question”, other tokens are trained"):
        open_contract(tmp_path, tokenizer)


@pytest.mark.parametrize(
    "change",
    [
        {"conversations": []},
        {"conversations": 3},
        {"template": 5},
        {"family": "vicuna"},
        {"stop_ids": [-1]},
        {"stop_ids": 3},
        {"conversations": [{"name": "one question", "ids": ["a"], "trained": []}]},
    ],
)
def test_a_contract_with_odd_values_is_none(change: dict[str, Any], tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    contract = _contract("auto", tokenizer, tmp_path)
    (tmp_path / CONTRACT).write_text(json.dumps({**contract, **change}), encoding="utf-8")
    with pytest.raises(TemplateError, match="this is no prompt contract"):
        open_contract(tmp_path, tokenizer)


def test_other_stops_break_it(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    contract = _contract("chatml-qwen1.5", tokenizer, tmp_path)
    contract["stop_ids"] = [7]
    (tmp_path / CONTRACT).write_text(json.dumps(contract), encoding="utf-8")
    with pytest.raises(TemplateError, match=r"an answer ended at .* \(7\), and ends at .*<\|im_end\|>"):
        open_contract(tmp_path, tokenizer)


def test_a_renamed_or_a_missing_conversation_breaks_it(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    first, second, *others = _contract("auto", tokenizer, tmp_path)["conversations"]
    for entries in ([second, *others], [{**first, "name": "ours"}, second, *others], [first, first, *others]):
        contract = _contract("auto", tokenizer, tmp_path)
        (tmp_path / CONTRACT).write_text(json.dumps({**contract, "conversations": entries}), encoding="utf-8")
        with pytest.raises(TemplateError, match="the twenty that this version of tunewell knows are wanted"):
            open_contract(tmp_path, tokenizer)


@pytest.mark.parametrize("trained", [[[1]], [[1, 10**6]], [[2, 1]], [[0, True]], 3, None])
def test_spans_that_are_none_are_refused(trained: object, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    contract = _contract("auto", tokenizer, tmp_path)
    contract["conversations"][0]["trained"] = trained
    (tmp_path / CONTRACT).write_text(json.dumps(contract), encoding="utf-8")
    with pytest.raises(TemplateError, match="“one question” holds neither ids"):
        open_contract(tmp_path, tokenizer)


@pytest.mark.parametrize("place", [-1, 2**40, "1", None, True])
def test_a_contract_with_an_odd_id_is_none(place: object, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    contract = _contract("auto", tokenizer, tmp_path)
    contract["conversations"][3]["ids"][0] = place
    (tmp_path / CONTRACT).write_text(json.dumps(contract), encoding="utf-8")
    with pytest.raises(TemplateError):
        open_contract(tmp_path, tokenizer)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "[" * 100_000, '["template", "family", "hash", "stop_ids", "conversations"]', "{}", '{"template": "auto"}', "\x00"],
)
def test_a_broken_contract_is_named(content: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    (tmp_path / CONTRACT).write_text(content, encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        open_contract(tmp_path, tokenizer)
    assert caught.value.where == str(tmp_path / CONTRACT)


def test_an_adapter_without_a_contract_is_refused(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no prompt contract lies beside the adapter"):
        open_contract(tmp_path, tokenizer)


@pytest.mark.parametrize("name", family_names())
def test_a_family_survives_its_way_through_a_contract(name: str) -> None:
    family = load_family(name)
    entry = json.loads(json.dumps(family_entry(family)))
    assert read_family(name, entry, where="contract") == family
