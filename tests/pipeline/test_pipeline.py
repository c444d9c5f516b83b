"""The whole way on a tiny model: what runs, what is skipped, what stops it."""

import errno
import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from tunewell import pipeline
from tunewell.errors import DataError, MachineError
from tunewell.pipeline import NAMES, STAGES, Caller, Outcome, run_recipe, stage_folder
from tunewell.recipe import Recipe, load_recipe
from tunewell.store import Manifest


def _skipped(outcomes: list[Outcome]) -> list[str]:
    return [outcome.stage for outcome in outcomes if outcome.skipped]


def test_a_run_fills_every_stage_and_publishes_verdict_and_report(recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    outcomes = run_recipe(load_recipe(recipe_path), run, caller=Caller("tunewell run recipe.yaml"))
    assert [outcome.stage for outcome in outcomes] == list(NAMES)
    assert _skipped(outcomes) == []
    for name in NAMES:
        manifest = Manifest.read(stage_folder(run, name))
        assert manifest is not None
        assert manifest.seconds >= 0
        assert manifest.peak_rss_bytes > 1 << 20
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["verdict"] in {"pass", "fail", "inconclusive"}
    expected = {"name", "definition", "n", "base", "tuned", "difference", "low", "high", "verdict"}
    assert all(expected <= set(claim) for claim in metrics["claims"])
    assert {claim["name"] for claim in metrics["claims"]} >= {"domain_gain", "retention", "brittleness", "constraints", "leakage"}
    assert (run / "report.html").stat().st_size > 10_000
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["command"] == "tunewell run recipe.yaml"

    again = run_recipe(load_recipe(recipe_path), run)
    assert _skipped(again) == list(NAMES), "nothing has changed"

    gate_only = run_recipe(load_recipe(recipe_path, ["gate.retention=0.2"]), run)
    assert set(NAMES) - set(_skipped(gate_only)) == {"evaluate", "gate", "report"}

    trained = run_recipe(load_recipe(recipe_path, ["train.epochs=1"]), run)
    assert _skipped(trained) == ["collect", "generate", "clean", "mix"]

    forced = run_recipe(load_recipe(recipe_path, ["train.epochs=1"]), run, start="gate")
    assert set(NAMES) - set(_skipped(forced)) == {"gate", "report"}


def test_changed_data_is_noticed(recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = load_recipe(recipe_path)
    run_recipe(recipe, run, until="mix")
    data = recipe_path.parent / "domain.jsonl"
    data.write_text(data.read_text() + '{"question": "a wholly new question?", "answer": "yes indeed"}\n')
    outcomes = run_recipe(recipe, run, until="mix")
    assert _skipped(outcomes) == ["generate"] or _skipped(outcomes) == []
    assert outcomes[0].manifest.counts["rows"] == len(data.read_text().splitlines()) + 14


def test_a_stage_can_read_only_its_own_part_of_the_recipe() -> None:
    part = Recipe().part("train", "seed")
    assert part.train.rank == 16
    with pytest.raises(AttributeError):
        _ = part.gate


def test_every_stage_reads_only_earlier_ones() -> None:
    for place, stage in enumerate(STAGES):
        assert set(stage.reads) <= {*NAMES[:place], "model", "review", "run", "dial"}
        assert set(stage.uses) <= set(Recipe.model_fields)


def test_a_broken_row_stops_the_run_before_training_unless_it_may_be_dropped(recipe_path: Path, tmp_path: Path) -> None:
    data = recipe_path.parent / "domain.jsonl"
    lines = data.read_text().splitlines()
    data.write_text("\n".join([*lines[:3], '{"question": "cut of', *lines[3:]]) + "\n")
    with pytest.raises(DataError, match=r"domain\.jsonl:4: ") as caught:
        run_recipe(load_recipe(recipe_path), tmp_path / "run")
    assert "collect.on_error: drop" in caught.value.hint
    outcomes = run_recipe(load_recipe(recipe_path, ["collect.on_error=drop"]), tmp_path / "run", until="mix")
    assert outcomes[0].manifest.counts["dropped"] == 1


def test_two_processes_cannot_work_in_one_run(recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(MachineError, match="another tunewell process"):
            run_recipe(load_recipe(recipe_path), run)


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the file system is read-only"), (errno.EACCES, "permission denied")],
)
def test_trouble_with_the_disk_is_one_clear_line(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def failing(name: str) -> Any:
        def run(*_: Any, **__: Any) -> None:
            raise OSError(code, "trouble", "some/file")

        return run

    monkeypatch.setattr(pipeline, "_room", failing)
    with pytest.raises(MachineError, match=words) as caught:
        run_recipe(load_recipe(recipe_path), tmp_path / "run")
    assert caught.value.where == "some/file"
    assert caught.value.hint


def test_a_run_folder_that_is_a_file_is_refused(recipe_path: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(MachineError, match="cannot be made: File exists"):
        run_recipe(load_recipe(recipe_path), tmp_path / "run")
