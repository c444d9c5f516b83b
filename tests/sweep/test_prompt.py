"""The sweep on a tiny random model: what it writes, that it goes on where it was cut off, and that it does nothing twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tunewell.errors import DataError, MachineError, TemplateError
from tunewell.pipeline import only_one_process, stage_folder
from tunewell.recipe import load_recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
from tunewell.store import read_examples, write_rows
from tunewell.sweep import prompt, sweep_prompt
from tunewell.sweep.formats import Candidate
from tunewell.sweep.prompt import choose_items

_ITEMS = 6
_DEADLINE = 120


def _sweep(recipe_path: Path, run: Path, **options: Any) -> Any:
    return sweep_prompt(load_recipe(recipe_path, ["generate.replay=0"]), run, items=_ITEMS, **options)


def _files(run: Path) -> dict[str, bytes]:
    folder = run / "sweeps" / "prompt"
    return {name: (folder / name).read_bytes() for name in ("table.json", "table.md", "results/part-00000.parquet")}


def test_a_sweep_scores_the_own_the_teams_and_five_other_formats_once(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    scored: list[str] = []
    table = _sweep(recipe_path, run, formats=["chatml-qwen2.5", "belle-2023-03"], scored=scored.append)
    assert sorted(scored) == sorted(row["format"] for row in table["rows"])
    assert {row["format"] for row in table["rows"]} >= {"auto", "alpaca", "vicuna-1.1", "belle-2023-06", "bloomz", "belle-2023-03"}
    assert Counter(row["role"] for row in table["rows"])["other"] == 5
    assert [row["bleu"] for row in table["rows"]] == sorted((row["bleu"] for row in table["rows"]), reverse=True)
    for row in table["rows"]:
        assert row["n"] == table["n"] == _ITEMS
        assert row["low"] <= row["bleu"] <= row["high"]
        assert row["answer_loss"] > 0
        assert 0 <= row["cut"] <= 1
        assert row["stop"]
    assert "Say" not in json.dumps(table["rows"]), "open rows are no test items"
    assert table["signatures"]["en"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    assert json.loads((run / "sweeps" / "prompt" / "table.json").read_text(encoding="utf-8")) == table
    assert not stage_folder(run, "train").exists()

    rows = pq.read_table(run / "sweeps" / "prompt" / "results").to_pylist()
    tests = {f"{test.task}/{test.id}" for test in read_examples(stage_folder(run, "mix") / "test")}
    assert {row["item"] for row in rows} <= tests
    assert Counter(row["format"] for row in rows) == {row["format"]: _ITEMS for row in table["rows"]}

    page = (run / "sweeps" / "prompt" / "table.md").read_text(encoding="utf-8")
    assert table["advice"]["text"] in page
    assert all(f"| `{row['format']}` |" in page for row in table["rows"])
    assert "    Human: " in page, "the page shows what the model was given"

    before = _files(run)
    monkeypatch.setattr(prompt, "load_base", lambda *_: pytest.fail("a finished sweep loads no model"))
    assert _sweep(recipe_path, run, formats=["chatml-qwen2.5", "belle-2023-03"]) == table
    assert _files(run) == before
    monkeypatch.undo()

    shorter = sweep_prompt(load_recipe(recipe_path, ["generate.replay=0", "evaluate.max_new_tokens=2"]), run, items=_ITEMS)
    assert (table["max_new_tokens"], shorter["max_new_tokens"]) == (4, 2), "other settings make another table"


def test_killed_in_the_middle_it_goes_on_as_if_nothing_had_happened(recipe_path: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    recipe = load_recipe(recipe_path, ["generate.replay=0", "evaluate.batch=2"])
    table = sweep_prompt(recipe, whole, items=_ITEMS)
    shutil.copytree(whole, killed, ignore=shutil.ignore_patterns("sweeps"))
    options = ["--items", str(_ITEMS), "--set", "generate.replay=0", "--set", "evaluate.batch=2"]
    command = [sys.executable, "-m", "tunewell", "sweep", "prompt", str(recipe_path), "--run", str(killed), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _DEADLINE
    journals = killed / "sweeps" / "prompt" / "journal"
    while len(list(journals.glob("*/likelihoods.jsonl"))) < 2:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "sweeps" / "prompt" / "table.json").exists()
    kept = {path: path.read_bytes() for path in journals.glob("*/replies.jsonl")}
    assert kept

    assert sweep_prompt(recipe, killed, items=_ITEMS) == table
    assert _files(killed) == _files(whole)
    assert all(path.read_bytes().startswith(content) for path, content in kept.items()), "what was there is not asked again"


def test_a_family_that_is_not_there_is_named_before_anything_is_done(recipe_path: Path, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="there is no prompt family `vicunna`"):
        _sweep(recipe_path, tmp_path / "run", formats=["vicunna"])
    assert not (tmp_path / "run").exists()


def test_without_test_items_there_is_nothing_to_ask(recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "run_recipe", lambda *_, **__: [])
    write_rows(stage_folder(tmp_path / "run", "mix") / "test", EXAMPLE_SCHEMA, [])
    with pytest.raises(DataError, match="there is no test item") as caught:
        _sweep(recipe_path, tmp_path / "run")
    assert "data.holdout" in caught.value.hint


def test_a_base_that_no_format_fits_is_refused_with_every_reason(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt, "run_recipe", lambda *_, **__: [])
    monkeypatch.setattr(prompt, "candidates", lambda *_: [Candidate("phoenix", "team"), Candidate("gemma", "team")])
    write_rows(stage_folder(tmp_path / "run", "mix") / "test", EXAMPLE_SCHEMA, map(example_to_row, _TRIPLES))
    with pytest.raises(TemplateError, match=r"no format fits this base\n  `phoenix`: .*\n  `gemma`: the tokenizer has no"):
        _sweep(recipe_path, tmp_path / "run")


def test_two_sweeps_of_one_run_do_not_meet(recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "run_recipe", lambda *_, **__: [])
    with (
        only_one_process(tmp_path / "run" / "sweeps" / "prompt"),
        pytest.raises(MachineError, match="another tunewell process works in this run"),
    ):
        _sweep(recipe_path, tmp_path / "run")


def _test_item(family: int, task: str) -> Example:
    return Example(
        (Message("user", f"{task} {family}?"), Message("assistant", "Yes.")), "domain", Origin("test"), task, "en", f"f{family:02d}"
    )


_TRIPLES = [_test_item(family, task) for family in range(12) for task in ("seen", "paraphrase", "unseen")]


@pytest.mark.parametrize(("count", "families"), [(1, 1), (5, 5), (6, 6), (12, 12), (13, 12), (36, 12), (99, 12)])
def test_items_are_spread_over_families_and_slices(count: int, families: int) -> None:
    chosen = choose_items(_TRIPLES, count)
    assert len(chosen) == min(count, 36)
    assert len({ask.item for ask in chosen}) == len(chosen)
    assert len({ask.family for ask in chosen}) == families
    slices = Counter(ask.variant for ask in chosen)
    if count >= 3:
        assert max(slices.values()) - min(slices.values()) <= 1
