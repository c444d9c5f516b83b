"""Whatever was trained, later stages and the chat load it: an adapter, an adapter on a folded base, a whole model."""

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tunewell.deploy import chat_side_by_side
from tunewell.errors import ModelError
from tunewell.pipeline import run_recipe, stage_folder
from tunewell.recipe import load_recipe

needs_bitsandbytes = pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
_QUICK = ["evaluate.items=4", "evaluate.constraints=0", "evaluate.leakage=0", "evaluate.brittleness=0", "train.epochs=1"]


def _chat(run: Path) -> list[str]:
    answers = io.StringIO()
    chat_side_by_side(run, io.StringIO("How long?\n\n"), answers, system="", max_new_tokens=3)
    return [line.split()[0] for line in answers.getvalue().splitlines()]


@pytest.mark.parametrize("method", ["full", "lora", pytest.param("qlora", marks=needs_bitsandbytes)])
def test_a_method_goes_through_evaluation_and_chat(method: str, recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    outcomes = run_recipe(load_recipe(recipe_path, [*_QUICK, f"train.method={method}"]), run, until="gate")
    assert outcomes[-2].manifest.counts["items"] > 4
    assert _chat(run) == ["base", "tuned"]
    kind = "model" if method == "full" else "adapter"
    command = [sys.executable, "-m", "tunewell", "train", str(recipe_path), "--run", str(run), "--json"]
    for change in (*_QUICK, f"train.method={method}"):
        command += ["--set", change]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    printed = json.loads(done.stdout.splitlines()[-1])
    assert list(printed) == [kind, "trained_tokens", "seconds", "tokens_per_second", "loss", "peak_rss_bytes"]
    assert printed[kind] == str(run / "5-train" / kind)


def test_a_run_starts_from_another_run_and_notices_when_that_has_changed(recipe_path: Path, tmp_path: Path) -> None:
    run_recipe(load_recipe(recipe_path, _QUICK), tmp_path / "first", until="train")
    second = [*_QUICK, f"train.start={{merge: {tmp_path / 'first'}}}"]
    run_recipe(load_recipe(recipe_path, second), tmp_path / "run", until="evaluate")
    assert _chat(tmp_path / "run") == ["base", "tuned"]
    again = run_recipe(load_recipe(recipe_path, second), tmp_path / "run", until="evaluate")
    assert all(outcome.skipped for outcome in again)

    run_recipe(load_recipe(recipe_path, [*_QUICK, "train.learning_rate=0.002"]), tmp_path / "first", until="train")
    changed = run_recipe(load_recipe(recipe_path, second), tmp_path / "run", until="evaluate")
    assert [outcome.stage for outcome in changed if not outcome.skipped] == ["train", "evaluate"]


def test_a_recipe_that_trains_an_adapter_on_reads_as_it_was_given(recipe_path: Path, tmp_path: Path) -> None:
    run_recipe(load_recipe(recipe_path, [*_QUICK, "train.rank=2"]), tmp_path / "first", until="train")
    recipe = json.loads(recipe_path.read_text())
    del recipe["train"]["rank"]
    recipe_path.write_text(json.dumps(recipe))
    second = [*_QUICK, f"train.start={{continue: {tmp_path / 'first'}}}"]
    run_recipe(load_recipe(recipe_path, second), tmp_path / "run", until="train")
    written = run_recipe(load_recipe(tmp_path / "run" / "recipe.yaml"), tmp_path / "run", until="train")
    assert all(outcome.skipped for outcome in written)


def test_a_chat_with_another_base_than_that_of_training_is_refused(recipe_path: Path, tiny_model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_recipe(load_recipe(recipe_path, _QUICK), run, until="train")
    lineage = stage_folder(run, "train") / "adapter" / "lineage.json"
    lineage.write_text(json.dumps({**json.loads(lineage.read_text()), "base": "f" * 32}))
    with pytest.raises(ModelError, match=f"the adapter was trained on a base with the hash {'f' * 32}; that of {tiny_model} is"):
        _chat(run)
