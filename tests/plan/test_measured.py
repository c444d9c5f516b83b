"""Predicted against measured peaks of this machine's processes: as recorded, and two anew."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from tunewell.model.load import number_format
from tunewell.model.locate import EMBEDDED, at_hand
from tunewell.plan import Band, read_shapes
from tunewell.plan.job import Numbers
from tunewell.plan.memory import Memory, memory
from tunewell.plan.source import job_of
from tunewell.recipe import Method, Train
from tunewell.train import loss

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_MIB = 2**20


class Measured(NamedTuple):
    """A run of SmolLM2-135M on 2 cores: its heaviest step in tokens, the share of them that is supervised, and the peak in MiB.

    `method` is one of the recipe's, or `dora` for LoRA of that variant.
    """

    method: Any
    rank: int
    tokens: int
    share: float
    peak_mib: int


RUNS = [
    Measured("lora", 8, 308, 999 / 1332, 1270),
    Measured("lora", 16, 887, 4249 / 4847, 1857),
    Measured("lora", 16, 1850, 7453 / 8507, 2537),
    Measured("qlora", 16, 621, 3715 / 4237, 1647),
    Measured("qlora", 16, 1850, 7453 / 8507, 2764),
    Measured("full", 16, 308, 999 / 1332, 3220),
    Measured("full", 16, 1850, 7453 / 8507, 4826),
]


def _planned(run: Measured, numbers: Numbers = "mixed") -> Memory:
    folder = at_hand(EMBEDDED)
    if folder is None:
        pytest.skip("the embedded model is not unpacked on this machine")
    row = run.tokens + -run.tokens % 32
    method: Method = "lora" if run.method == "dora" else run.method
    settings = {"method": method, "rank": run.rank, "variant": "dora" if run.method == "dora" else "lora"}
    job = job_of(Train.model_validate(settings))
    share = Band(run.share, run.share)
    job = dataclasses.replace(job, context=1, batch_tokens=row, projected=share, numbers=numbers)
    return memory(read_shapes(folder, job), job, "cpu")


def line(run: Measured) -> str:
    """The row of docs/plan.md for one run."""
    total = _planned(run).total
    rank = "–" if run.method == "full" else str(run.rank)
    ours = f"{total.low / _MIB:,.0f} – {total.high / _MIB:,.0f}"
    return f"| {run.method} | {rank} | {run.tokens:,} | {run.peak_mib:,} | {ours} | {total.middle / _MIB / run.peak_mib - 1:+.0%} |"


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.method} {run.rank} {run.tokens}")
def test_recorded_peaks_are_predicted_within_15_percent(run: Measured) -> None:
    assert _planned(run).total.middle == pytest.approx(run.peak_mib * _MIB, rel=0.15)
    for page in ("plan.md", "plan.zh.md"):
        assert line(run) in (_DOCS / page).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_peak_of_a_real_run_is_predicted_within_15_percent(method: str, tmp_path: Path) -> None:
    if at_hand(EMBEDDED) is None:
        pytest.skip("the embedded model is not unpacked on this machine")
    command = [sys.executable, "-m", "tests.plan.train_once", method, "256", str(tmp_path)]
    # with one thread no thread waits for another that other processes keep from its core
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280, cwd=_ROOT, env=alone)
    found = json.loads(done.stdout.splitlines()[-1])
    run = Measured(method, 8, found["tokens"], found["share"], round(found["peak"] / _MIB))
    numbers: Numbers = "fp32" if number_format().dtype == torch.float32 else "mixed"
    assert _planned(run, numbers).total.middle == pytest.approx(found["peak"], rel=0.15)


def test_the_chunks_of_the_loss_are_those_of_the_plan() -> None:
    chunks = [job_of(Train(method=method)).chunk for method in ("lora", "qlora", "full")]
    assert chunks == [loss.CHUNK, loss.CHUNK, loss.CHUNK_OF_A_TRAINED_HEAD]
