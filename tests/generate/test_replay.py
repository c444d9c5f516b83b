"""Replay: the base model's own answers, never cut, in the languages of the domain."""

from pathlib import Path

import pytest

from tunewell import generate
from tunewell.bundled import asset
from tunewell.errors import DataError
from tunewell.generate.replay import replay_prompts
from tunewell.model.generate import Answer
from tunewell.recipe import Recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Summary, example_to_row
from tunewell.store import read_examples, write_rows
from tunewell.text import language


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    row = Example((Message("user", "退款多久到账？"), Message("assistant", "五天。")), "domain", Origin("f", 1), language="zh")
    write_rows(tmp_path / "collect" / "examples", EXAMPLE_SCHEMA, [example_to_row(row)])
    return tmp_path / "collect"


def _run(collected: Path, model: Path, out: Path, **settings: object) -> Summary:
    recipe = Recipe.model_validate({"generate": settings})
    return generate.run(
        recipe.part("generate", "teacher", "clean", "template", "seed"), {"collect": collected, "model": model}, out
    )


def test_without_replay_no_model_is_loaded_and_nothing_written(collected: Path, tmp_path: Path) -> None:
    summary = _run(collected, tmp_path / "no-model", tmp_path / "out")
    assert summary.counts == {"replay": 0, "left_out": 0}
    assert list(read_examples(tmp_path / "out" / "examples")) == []


def test_answers_become_open_rows_and_cut_ones_are_left_out(
    collected: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewell.model import generate as decoding

    def answer_all(model: object, prompts: dict[str, list[int]], *_: object, **__: object) -> dict[str, Answer]:
        return {key: Answer([40 + place, 41], cut=place == 1) for place, key in enumerate(prompts)}

    monkeypatch.setattr(decoding, "answer_all", answer_all)
    summary = _run(collected, tiny_model, tmp_path / "out", replay=4)
    rows = list(read_examples(tmp_path / "out" / "examples"))
    assert summary.counts == {"replay": 3, "left_out": 1}
    assert [row.origin.row for row in rows] == [1, 3, 4]
    assert all((row.pool, row.task) == ("open", "replay") for row in rows)
    assert all(language(row.question) == "zh" for row in rows), "the domain is Chinese, so are the prompts"


def test_a_real_model_answers_and_what_it_cannot_end_is_counted(collected: Path, tiny_model: Path, tmp_path: Path) -> None:
    summary = _run(collected, tiny_model, tmp_path / "out", replay=5, max_new_tokens=3)
    assert summary.counts["replay"] + summary.counts["left_out"] == 5
    assert list((tmp_path / "out" / "journal").glob("replay-*.jsonl"))


def test_own_prompts_take_the_place_of_the_bundled_ones(collected: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\ufeffName a colour.\n\nName a river.\nName a colour.\n", encoding="utf-8")
    plan = Recipe.model_validate({"generate": {"replay": 2, "replay_prompts": [str(prompts)]}}).generate
    assert [message.content for message in replay_prompts(plan, collected)] == ["Name a colour.", "Name a river."]


def test_too_few_prompts_are_an_error_with_the_number_that_is_there(collected: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo\n")
    with pytest.raises(DataError, match="3 replay prompts are asked for, 2 are there") as caught:
        _run(collected, tmp_path, tmp_path / "out", replay=3, replay_prompts=[str(prompts)])
    assert "generate.replay to 2" in caught.value.hint


def test_a_prompt_file_that_is_missing_is_named(collected: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read") as caught:
        _run(collected, tmp_path, tmp_path / "out", replay=3, replay_prompts=[str(tmp_path / "nothing.txt")])
    assert caught.value.where == str(tmp_path / "nothing.txt")


@pytest.mark.parametrize(("code", "least"), [("en", 200), ("zh", 80)])
def test_bundled_prompts_are_many_and_unique(code: str, least: int) -> None:
    lines = asset("replay", f"{code}.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) >= least
