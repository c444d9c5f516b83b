"""A probe trains on rows from all over the mixture, and says how far off the plan was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.plan.configs import TINY, write_config
from tunewell.cli.plan import _sentences
from tunewell.plan import Band, Job, Place, Plan, Rows, find_card, forecast, probe
from tunewell.recipe import Recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Summary, example_to_row
from tunewell.store import read_examples, write_rows

_RECIPE = Recipe.model_validate({"train": {"context": 64, "batch_tokens": 100, "epochs": 3, "save_every": 5}})
_CORES = Place("cores", "cpu", 2**34, 4e11, bf16=True)


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    rows = [Example((Message("user", f"q {n}"), Message("assistant", "a")), "domain", Origin("rows", n)) for n in range(1000)]
    write_rows(tmp_path / "mix" / "train", EXAMPLE_SCHEMA, map(example_to_row, rows))
    return tmp_path / "mix"


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    rows = Rows(1000, 0, 20_000, 5_000, 40, 0, Band(0.25, 0.5), "counted")
    return forecast(write_config(tmp_path / "model", TINY["llama"]), Job(batch_tokens=100), _CORES, rows=rows, epochs=3)


class _Stage:
    """A stage that takes 3 seconds for its first step and 1 for each later one, and so many bytes."""

    def __init__(self, peak: float) -> None:
        self._peak = peak
        self.rows: list[str] = []
        self.recipe = _RECIPE

    def __call__(self, recipe: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
        self.recipe = recipe
        self.rows = [example.question for example in read_examples(inputs["mix"] / "train")]
        lines = [{"step": step, "tokens": 100, "seconds": 3 if step == 1 else 1} for step in range(1, 11)]
        (out_dir / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return Summary({}, {"peak_rss_bytes": self._peak})


def _probed(planned: Plan, mix: Path, factor: float) -> tuple[Any, Any, _Stage]:
    stage = _Stage(round(planned.memory.total.middle * factor))
    return *probe(planned, _RECIPE, stage, mix=mix, model=mix), stage


def test_ten_steps_of_rows_from_all_over_the_mixture_are_trained_once(planned: Plan, mix: Path) -> None:
    _, _, stage = _probed(planned, mix, 1)
    # 10 steps of 100 tokens are 50 rows of 20
    assert stage.rows == [f"q {n}" for n in range(0, 1000, 20)]
    assert stage.recipe.train.epochs == 1
    assert stage.recipe.train.batch_tokens == 100
    assert stage.recipe.train.save_every > 10


def test_time_follows_the_steady_steps(planned: Plan, mix: Path) -> None:
    mended, shown, _ = _probed(planned, mix, 1)
    assert shown.tokens_per_second == 100
    assert mended.hours == pytest.approx((0.95 * 60_000 / 100 / 3600, 1.05 * 60_000 / 100 / 3600))
    assert planned.hours is not None
    assert shown.time_error == pytest.approx(planned.hours.middle / (60_000 / 100 / 3600) - 1)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.5])
def test_memory_becomes_what_was_measured_and_the_error_is_told(planned: Plan, mix: Path, factor: float) -> None:
    mended, shown, _ = _probed(planned, mix, factor)
    assert shown.memory_error == pytest.approx(1 / factor - 1, abs=1e-6)
    assert mended.memory.total.middle == pytest.approx(shown.peak_bytes, rel=1e-6)
    # what is counted stays as it was
    assert mended.memory.parts["optimiser"] == planned.memory.parts["optimiser"]
    assert list(mended.memory.parts) == list(planned.memory.parts)


def test_the_page_says_how_far_off_the_plan_was(planned: Plan, mix: Path) -> None:
    mended, shown, _ = _probed(planned, mix, 0.8)
    lines = list(_sentences(mended, shown))
    assert "time: 10 min (measured)" in lines
    assert f"probe: 10 steps, 100 tokens/s, peak {shown.peak_bytes / 2**30:.2f} GiB" in lines
    assert "the plan before the probe was off by: memory +25%, time -100%" in lines


def test_a_gpu_whose_memory_was_not_measured_keeps_its_plan(planned: Plan, mix: Path) -> None:
    mended, shown = probe(planned._replace(place=find_card("L4")), _RECIPE, _Stage(1), mix=mix, model=mix)
    assert mended.memory == planned.memory
    assert (shown.peak_bytes, shown.memory_error) == (None, None)
    assert shown.as_json()["peak_gib"] is None
