"""`kill -9` in the middle of every stage, then the same command: it ends with the adapter of an uninterrupted run, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tunewell.pipeline import stage_folder

_ADAPTER = "adapter/adapter_model.safetensors"
_DEADLINE = 120


def _command(recipe: Path, run: Path) -> list[str]:
    return [sys.executable, "-m", "tunewell", "run", str(recipe), "--run", str(run), "--until", "evaluate"]


def _run(recipe: Path, run: Path) -> None:
    subprocess.run(_command(recipe, run), check=True, capture_output=True, timeout=_DEADLINE)


def _kill_when(recipe: Path, run: Path, reached: Callable[[], bool]) -> None:
    """Start a run and kill it as soon as a condition holds; fail where it ends before."""
    process = subprocess.Popen(_command(recipe, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _DEADLINE
    while not reached():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture
def started(tmp_path: Path) -> dict[str, Callable[[], bool]]:
    """For each stage, what shows that it is under way."""
    run = tmp_path / "killed"

    def exists(stage: str, pattern: str) -> Callable[[], bool]:
        return lambda: any(stage_folder(run, stage).glob(pattern))

    return {
        "collect": exists("collect", ".key"),
        "generate": exists("generate", ".key"),
        "clean": exists("clean", ".key"),
        "mix": exists("mix", ".key"),
        "train, before a checkpoint": lambda: _lines(stage_folder(run, "train") / "log.jsonl") >= 1,
        "train, after a checkpoint": lambda: _lines(stage_folder(run, "train") / "log.jsonl") >= 5,
        "train, while a checkpoint is written": exists("train", "checkpoints/checkpoint-6"),
        "evaluate": exists("evaluate", "journal/*/replies.jsonl"),
    }


def test_killed_in_every_stage_the_run_ends_as_if_nothing_had_happened(
    recipe_path: Path, tmp_path: Path, started: dict[str, Callable[[], bool]]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _run(recipe_path, whole)
    for reached in started.values():
        _kill_when(recipe_path, killed, reached)
    _run(recipe_path, killed)
    expected = stage_folder(whole, "train") / _ADAPTER
    assert (stage_folder(killed, "train") / _ADAPTER).read_bytes() == expected.read_bytes()
    results = [stage_folder(run, "evaluate") / "results" / "part-00000.parquet" for run in (whole, killed)]
    assert results[0].read_bytes() == results[1].read_bytes()
