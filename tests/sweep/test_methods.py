"""`tunewell sweep method` on a tiny random model, whole: three trainings, three evaluations, one table."""

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path

import pytest

import tunewell.sweep
from tunewell.cli import main
from tunewell.pipeline import stage_folder
from tunewell.sweep.apart import run_here

_QUICK = {
    "data.holdout": "0.5",
    "generate.replay": "0",
    "train.epochs": "1",
    "evaluate.items": "4",
    "evaluate.max_new_tokens": "2",
    "evaluate.brittleness": "0",
    "evaluate.constraints": "0",
    "evaluate.leakage": "0",
    "evaluate.retention": "8",
}


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    changes = [part for key, value in _QUICK.items() for part in ("--set", f"{key}={value}")]
    monkeypatch.setattr(sys, "argv", ["tunewell", "sweep", *map(str, arguments), *changes])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_three_methods_are_trained_compared_and_not_done_twice(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tunewell.sweep, "sweep_trials", partial(tunewell.sweep.sweep_trials, work=run_here))
    run = tmp_path / "run"
    assert _call(monkeypatch, "method", recipe_path, "--run", run) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["trial", "time", "memory", "ROUGE-L", "BLEU", "verdict"]
    assert sorted(line.split()[0] for line in lines[1:4]) == ["full", "lora", "qlora"]
    assert lines[-1] == f"table: {run / 'sweeps' / 'method' / 'table.md'}"
    assert "fewer than 10, nothing is told apart" in lines[-2]
    assert "full (seed 0)  train.method=full train.learning_rate=0.001  shared: collect, generate, clean, mix" in printed.err
    assert printed.err.count("✓ train") == 3
    assert printed.err.count("✓ clean") == 1, "what is the same is done once"
    for name in ("full", "lora", "qlora"):
        trial = run / "sweeps" / "method" / name
        assert (trial / "report.html").is_file()
        assert json.loads((stage_folder(trial, "train") / "training.json").read_text(encoding="utf-8"))["method"] == name

    assert _call(monkeypatch, "method", recipe_path, "--run", run, "--json") == 0
    printed = capsys.readouterr()
    assert "✓ train" not in printed.err
    table = json.loads(printed.out.splitlines()[-1])
    assert table["run"] == str(run)
    assert table["conclusion"]["text"] == lines[-2]
    assert {row["trial"]: row["own"] for row in table["rows"]} == {"full": False, "lora": True, "qlora": False}
    assert all(row["rouge_l"]["n"] == table["n"] > 0 for row in table["rows"])
    assert all(row["retention"]["n"] == 8 for row in table["rows"])
