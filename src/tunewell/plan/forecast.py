"""A plan put together: parameters, memory, cards, hours and advice for one job."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.plan.advice import advise
from tunewell.plan.cards import Fit, fit_word, fits
from tunewell.plan.hours import flops_per_token, hours
from tunewell.plan.job import Band, Job
from tunewell.plan.memory import Memory, memory
from tunewell.plan.place import Place, this_machine
from tunewell.plan.rows import Rows
from tunewell.plan.shapes import Shapes, read_shapes


class Plan(NamedTuple):
    """What a job needs at one place, which cards hold it, and what the data volumes advise.

    `hours` is None where tokens or speed are not known.
    """

    shapes: Shapes
    job: Job
    place: Place
    memory: Memory
    hours: Band | None
    trained_tokens: int | None
    rows: Rows | None
    fits: list[Fit]
    advice: list[str]

    def as_json(self) -> dict[str, Any]:
        """The plan as one JSON object; memory in GiB, `hours` the middle of its band."""
        total = self.memory.total
        return {
            "parameters": self.shapes.parameters,
            "trainable_parameters": self.shapes.trained,
            "memory_gib": {**total.in_gib(), "parts": {name: part.in_gib() for name, part in self.memory.parts.items()}},
            "hours": round(self.hours.middle, 6) if self.hours else None,
            "fits": [fit.as_json() for fit in self.fits],
            "advice": self.advice,
            "hours_band": {"low": round(self.hours.low, 6), "high": round(self.hours.high, 6)} if self.hours else None,
            "place": self.place.name,
            "fits_here": fit_word(total, self.place.memory_bytes),
            "architecture": self.shapes.architecture,
            "job": dataclasses.asdict(self.job),
            "trained_tokens": self.trained_tokens,
            "tokens_from": self.rows.source if self.rows else None,
        }


def forecast(
    folder: Path, job: Job, place: Place | None = None, *, rows: Rows | None = None, epochs: float = 1, tokens: int | None = None
) -> Plan:
    """Plan a job on the model whose config.json lies in `folder`. Nothing is loaded.

    Args:
        folder: A folder with a config.json.
        job: How it is to be trained.
        place: Where; unset, this machine.
        rows: What is trained, where it is known; its figures replace the job's own guesses.
        epochs: Passes over the rows.
        tokens: Trained tokens where there are no rows.

    Raises:
        ModelError: The config cannot be read, or no layer has the name of a target.
    """
    shapes, place = read_shapes(folder, job), place or this_machine()
    if rows:
        job = dataclasses.replace(job, projected=rows.share, longest=rows.longest)
        tokens = round(rows.tokens * epochs)
    operations = tokens * flops_per_token(shapes, job, rows.mean if rows else job.context / 2) if tokens else None
    here = place.job(job)
    return Plan(
        shapes=shapes,
        job=here,
        place=place,
        memory=memory(shapes, here, place.kind),
        hours=hours(operations, here, place),
        trained_tokens=tokens,
        rows=rows,
        fits=fits(shapes, job, operations),
        advice=advise(job.method, _figures(shapes, job, rows)),
    )


def _figures(shapes: Shapes, job: Job, rows: Rows | None) -> Mapping[str, float]:
    figures: dict[str, float] = {"parameters": shapes.parameters}
    if shapes.positions:
        figures["context_share"] = job.context / shapes.positions
    if rows:
        every = rows.domain + rows.open
        shares = {"open_share": rows.open / every, "left_out_share": rows.left_out / every} if every else {}
        figures |= {"domain_rows": rows.domain, "open_rows": rows.open, **shares}
    return figures
