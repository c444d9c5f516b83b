"""A run in a process of its own: its stages are heard of, its mistakes come as words, its death ends nothing else."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from tunewell.pipeline import Caller, stage_folder
from tunewell.recipe import load_recipe
from tunewell.store import Manifest
from tunewell.sweep import apart
from tunewell.sweep.apart import Job, run_apart, run_here

_ONE_FILE = ["data.open=[]"]


def test_a_process_of_its_own_does_the_run_and_says_so(recipe_path: Path, tmp_path: Path) -> None:
    started: list[str] = []
    ended: list[str] = []
    caller = Caller("made by a test", started.append, lambda outcome: ended.append(outcome.stage))
    assert run_apart(Job(load_recipe(recipe_path, _ONE_FILE), tmp_path / "run", "collect"), caller) == ""
    assert started == ended == ["collect"]
    assert Manifest.read(stage_folder(tmp_path / "run", "collect"))
    assert "made by a test" in (tmp_path / "run" / "run.json").read_text(encoding="utf-8")


def test_a_process_that_is_killed_ends_nothing_but_its_run(recipe_path: Path, tmp_path: Path) -> None:
    def kill(_: str) -> None:
        [process] = multiprocessing.active_children()
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)

    reason = run_apart(Job(load_recipe(recipe_path, _ONE_FILE), tmp_path / "run", "train"), Caller(started=kill))
    assert reason == "its process was ended by SIGKILL (so the system does where memory runs out)"
    assert multiprocessing.active_children() == []


def test_mistakes_come_as_words_and_a_bug_leaves_its_traceback(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(load_recipe(recipe_path, ["data.domain=[nowhere.jsonl]"]), tmp_path / "run", "collect")
    assert "nowhere.jsonl" in run_here(job, Caller())
    assert capsys.readouterr().err == ""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(apart, "run_recipe", broken)
    assert run_here(job, Caller()) == "ZeroDivisionError: by nothing"
    assert "Traceback" in capsys.readouterr().err
