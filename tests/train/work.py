"""Rows to train on, and the stage run on them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tunewell import train
from tunewell.recipe import recipe_from_values
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
from tunewell.store import write_rows

SETTINGS: Mapping[str, Any] = {"rank": 4, "epochs": 4, "learning_rate": 1e-2, "context": 96, "batch_tokens": 128, "save_every": 3}
IDS = torch.tensor([[5, 6, 7, 40, 41, 90, 12]])


def example(question: str, answer: str, row: int, *, task: str = "") -> Example:
    return Example((Message("user", question), Message("assistant", answer)), "domain", Origin("rows.jsonl", row), task=task)


def write_mix(folder: Path, examples: Sequence[Example]) -> Path:
    write_rows(folder / "train", EXAMPLE_SCHEMA, map(example_to_row, examples))
    return folder


def refunds() -> list[Example]:
    return [example(f"How long does refund {n} take?", f"It takes {n} business days.", n) for n in range(20)]


def run_stage(
    model: Path,
    mix: Path,
    out: Path,
    *,
    guard: Mapping[str, Any] | None = None,
    template: str = "auto",
    plain: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """Train as a run does: the recipe is read, and the stage sees its own part of it. `plain` leaves the adapter's shape unsaid."""
    settings = {name: value for name, value in SETTINGS.items() if not plain or name != "rank"} | changes
    values = {"template": template, "train": settings, "guard": dict(guard or {})}
    recipe = recipe_from_values(values, where="recipe", folder=out.parent)
    out.mkdir(parents=True, exist_ok=True)
    return dict(train.run(recipe.part("train", "guard", "template", "seed"), {"mix": mix, "model": model}, out).details)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
