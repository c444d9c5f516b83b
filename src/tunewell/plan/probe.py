"""Some real training steps on this machine, and how far off the plan was."""

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.plan.forecast import Plan
from tunewell.plan.job import Band
from tunewell.plan.memory import Memory
from tunewell.plan.rows import Rows, every_nth
from tunewell.recipe import Recipe
from tunewell.records import EXAMPLE_SCHEMA, Summary, example_to_row
from tunewell.store import read_examples, write_rows

STEPS = 10
_SPREAD = Band(0.95, 1.05)
"""Between two runs of the same steps."""

Trainer = Callable[[Recipe, Mapping[str, Path], Path], Summary]
"""The stage `train`: a recipe, the folders `mix` and `model`, and the folder to fill."""


class Probe(NamedTuple):
    """What so many steps have shown; errors are (predicted − measured) / measured, None where one of them is not known."""

    steps: int
    peak_bytes: int | None
    tokens_per_second: float
    memory_error: float | None
    time_error: float | None

    def as_json(self) -> dict[str, Any]:
        """The probe as JSON values."""
        return {
            "steps": self.steps,
            "peak_gib": _rounded(self.peak_bytes and self.peak_bytes / 2**30),
            "tokens_per_second": _rounded(self.tokens_per_second),
            "memory_error": _rounded(self.memory_error),
            "time_error": _rounded(self.time_error),
        }


def probe(plan: Plan, recipe: Recipe, train: Trainer, *, mix: Path, model: Path) -> tuple[Plan, Probe]:
    """Train some steps on rows from all over the mixture, and mend the plan's memory and hours for this machine.

    Raises what the stage raises.
    """
    assert plan.rows is not None, "a probe goes with a mixture"
    with tempfile.TemporaryDirectory(prefix="tunewell-probe-") as folder:
        place = Path(folder)
        count = _rows_for(plan.rows, recipe.train.batch_tokens)
        examples = every_nth(read_examples(mix / "train"), plan.rows.domain + plan.rows.open, most=count)
        write_rows(place / "mix" / "train", EXAMPLE_SCHEMA, map(example_to_row, examples))
        (place / "train").mkdir()
        details = train(_shortened(recipe), {"mix": place / "mix", "model": model}, place / "train").details
        lines = (place / "train" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    peak = details.get("peak_gpu_bytes" if plan.place.kind == "gpu" else "peak_rss_bytes")
    return _mended(plan, [json.loads(line) for line in lines], peak)


def _rows_for(rows: Rows, batch_tokens: int) -> int:
    return max(1, round(STEPS * batch_tokens / max(1.0, rows.mean)))


def _shortened(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1.0, "save_every": 1_000_000})})


def _mended(plan: Plan, log: list[dict[str, Any]], peak: int | None) -> tuple[Plan, Probe]:
    """Speed is that of the median step, the first passed over where there are others: it allocates what later ones find."""
    rate = statistics.median(line["tokens"] / max(1e-9, line["seconds"]) for line in log[1:] or log)
    measured = (plan.trained_tokens or 0) / rate / 3600
    shown = Probe(
        steps=len(log),
        peak_bytes=peak,
        tokens_per_second=rate,
        memory_error=plan.memory.total.middle / peak - 1 if peak else None,
        time_error=plan.hours.middle / measured - 1 if plan.hours and measured else None,
    )
    time = Band(measured, measured).times(*_SPREAD) if measured else None
    return plan._replace(memory=_scaled(plan.memory, peak) if peak else plan.memory, hours=time), shown


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _scaled(memory: Memory, peak: int) -> Memory:
    """What is known exactly stays; the parts that are bands share what was measured beside it."""
    exact = {name: part for name, part in memory.parts.items() if part.low == part.high}
    bands = {name: part for name, part in memory.parts.items() if name not in exact}
    left = peak - sum(part.low for part in exact.values())
    share = max(0.0, left / sum(part.middle for part in bands.values()))
    mended = {name: Band(part.middle * share, part.middle * share).times(*_SPREAD) for name, part in bands.items()}
    return Memory({name: exact.get(name) or mended[name] for name in memory.parts})
