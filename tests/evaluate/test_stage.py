"""The stage on a tiny model: what it writes, what it keeps for the next run, and what it does when something is wrong."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from tunewell.errors import DataError
from tunewell.evaluate import stage
from tunewell.model.load import load_tokenizer
from tunewell.recipe import Evaluate, Recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Summary, example_to_row
from tunewell.store import read_results, write_rows
from tunewell.template import EVERY_ANSWER, open_format, write_contract

Spoil = Callable[[PreTrainedModel], None]
_PLAN = {"items": 9, "max_new_tokens": 6, "brittleness": 2, "constraints": 3, "leakage": 6, "retention": 16, "drift": 4}


def _example(number: int, task: str) -> Example:
    question = f"Question {number} ({'seen' if task == 'qa' else task})?"
    messages = (Message("user", question), Message("assistant", f"It takes {number + 2} days."))
    return Example(messages, "domain", Origin("t", number), task=task, language="en", family=f"f{number}")


class Bench:
    """The folders that the stage reads, and the stage on them."""

    def __init__(self, folder: Path, model: Path) -> None:
        self._folder = folder
        self._model = model
        self.rows = [_example(number, "qa") for number in range(9)]
        self.tests = [_example(number, task) for number in range(3) for task in ("seen", "paraphrase", "unseen")]

    def run(self, name: str, spoil: Spoil, **plan: Any) -> tuple[Summary, Path]:
        """Evaluate a whole model, as full training leaves it: the base with its weights spoilt."""
        folder = self._folder / name
        model = AutoModelForCausalLM.from_pretrained(self._model)
        with torch.no_grad():
            spoil(model)
        shutil.copytree(self._model, folder / "train" / "model")
        model.save_pretrained(folder / "train" / "model")
        chat = open_format("auto", load_tokenizer(self._model))
        write_contract(chat, EVERY_ANSWER, folder / "train" / "model")
        for part, examples in (("train", self.rows), ("test", self.tests)):
            write_rows(folder / "mix" / part, EXAMPLE_SCHEMA, map(example_to_row, examples))
        inputs = {"mix": folder / "mix", "train": folder / "train", "model": self._model}
        out = folder / "evaluate"
        out.mkdir()
        return stage.run(Recipe(evaluate=Evaluate(**{**_PLAN, **plan})), inputs, out), out


@pytest.fixture
def bench(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Bench(tmp_path, tiny_model)


def _untouched(model: PreTrainedModel) -> None:
    pass


def _moved(model: PreTrainedModel) -> None:
    torch.manual_seed(1)
    for weight in model.parameters():
        weight.add_(0.1 * torch.randn_like(weight))


def _not_a_number(model: PreTrainedModel) -> None:
    model.get_parameter("model.embed_tokens.weight").fill_(math.nan)


def _constant(model: PreTrainedModel) -> None:
    """Every token is as probable as any, so that the first of them, which no one sees, is said without end."""
    model.get_parameter("model.norm.weight").zero_()


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _probes(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(entry["name"], entry["slice"]): entry for entry in _read(folder, "probes.json")["metrics"]}


def test_an_untouched_copy_does_not_drift_and_the_next_run_decodes_only_its_own_model(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, folder = bench.run("first", _untouched)
    assert first.counts["base_answers_reused"] == 0
    probes = _probes(folder)
    for slice_name in ("domain", "general"):
        drift = probes["kl_base_tuned", slice_name]
        assert (drift["n"], drift["base"]) == (2, 0.0)
        assert drift["tuned"] == pytest.approx(0, abs=1e-6)
    assert {name for name, _ in probes} == {
        *("kl_base_tuned", "spread", "drop_held_out", "drop_system", "consistency"),
        *("leak", "overlap", "scene_auroc", "cut", "empty"),
    }
    assert all(entry["difference"] == pytest.approx(0, abs=1e-6) for entry in probes.values())
    assert _read(folder, "slices.json") != []

    def refuse(*_: object) -> PreTrainedModel:
        raise AssertionError("the base model is not loaded")

    monkeypatch.setattr(stage, "load_base", refuse)
    second, moved = bench.run("second", _moved)
    assert second.counts["base_answers_reused"] == second.counts["items"]
    assert all(_probes(moved)["kl_base_tuned", slice_name]["tuned"] > 0.001 for slice_name in ("domain", "general"))
    base = [[result for result in read_results(run / "results") if result.model == "base"] for run in (folder, moved)]
    assert base[0] == base[1]

    with pytest.raises(AssertionError, match="not loaded"):
        bench.run("other items", _moved, leakage=9)
    with pytest.raises(AssertionError, match="not loaded"):
        bench.run("other decoding", _moved, max_new_tokens=5)


def test_a_model_whose_numbers_are_nan_is_counted_and_scores_nothing(bench: Bench) -> None:
    summary, folder = bench.run("nan", _not_a_number)
    assert summary.counts["not_a_number"] == 9 + 16, "the answer losses and the retention items"
    tuned = [result for result in read_results(folder / "results") if result.model == "tuned"]
    assert {result.measures["correct"] for result in tuned if result.probe == "retention"} == {0.0}
    losses = [entry for entry in _read(folder, "metrics.json") if entry["name"] == "answer_loss"]
    assert all(entry["tuned"] is None and entry["low"] is None and entry["base"] > 0 for entry in losses)
    drift = _probes(folder)["kl_base_tuned", "domain"]
    assert (drift["tuned"], drift["low"]) == (None, None)


def test_answers_without_end_and_without_words_are_counted_and_shown(bench: Bench) -> None:
    summary, folder = bench.run("constant", _constant)
    tuned = [result for result in read_results(folder / "results") if result.model == "tuned" and result.probe != "retention"]
    assert {result.prediction for result in tuned} == {""}
    assert {(result.measures["cut"], result.measures["empty"]) for result in tuned} == {(1.0, 1.0)}
    assert summary.counts["empty"] >= 9
    assert summary.counts["cut"] >= 9
    entries = [entry for entry in _read(folder, "probes.json")["metrics"] if entry["name"] in ("cut", "empty")]
    assert len(entries) == 8
    assert all(entry["tuned"] == 1 for entry in entries)
    assert all(entry["tuned"] == 0 for entry in _read(folder, "metrics.json") if entry["name"] in ("rouge_l", "bleu"))


def test_a_test_item_that_stands_in_training_is_refused_unless_the_recipe_says_otherwise(bench: Bench) -> None:
    trained = next(test for test in bench.tests if test.task == "unseen")
    bench.rows.append(Example((Message("user", trained.question.upper()), Message("assistant", "x")), "domain", Origin("t", 9)))
    with pytest.raises(DataError) as caught:
        bench.run("refused", _untouched)
    assert "1 test items that are meant to be new also stand in training, the first: 'Question 0 (unseen)?'" in str(caught.value)
    assert "evaluate.trained_tests" in caught.value.hint
    for policy, asked in (("leave_out", 8), ("keep", 9)):
        summary, folder = bench.run(policy, _untouched, trained_tests=policy, brittleness=0, constraints=0, leakage=0, retention=0)
        assert summary.counts["trained_tests"] == 1
        assert summary.counts["items"] == asked
        assert {entry["slice"] for entry in _probes(folder).values() if entry["name"] == "kl_base_tuned"} == {"domain"}
