"""Which cards a job fits on, alone or as several."""

import dataclasses
from typing import Any, Literal, NamedTuple

from tunewell.plan.hours import hours
from tunewell.plan.job import Band, Job
from tunewell.plan.memory import memory
from tunewell.plan.place import Card, cards, on_card
from tunewell.plan.shapes import Shapes

_COUNTS = (1, 2, 4, 8, 16, 32, 64)


class Fit(NamedTuple):
    """How a job fits on a card: whether one holds it, how many do (None: not even 64), bytes on each of these, and hours.

    Several share all states (ZeRO-3, FSDP). The hours assume that they lose nothing by talking to each other.
    """

    card: Card
    one: Literal["yes", "tight", "no"]
    gpus: int | None
    need: Band
    hours: Band | None

    def as_json(self) -> dict[str, Any]:
        """The fit as JSON values."""
        return {
            "card": self.card.name,
            "memory_gib": self.card.memory_gib,
            "one": self.one,
            "gpus": self.gpus,
            "sharding": "zero3" if self.gpus and self.gpus > 1 else None,
            "need_gib": self.need.in_gib(),
            "hours": round(self.hours.middle, 6) if self.hours else None,
        }


def fits(shapes: Shapes, job: Job, operations: float | None) -> list[Fit]:
    """Every card of the table, and the smallest number of it (a power of 2) whose memory is above the job's high figure."""
    return [_fit(card, shapes, job, operations) for card in cards()]


def fit_word(need: Band, room: float) -> Literal["yes", "tight", "no"]:
    """`yes`, `tight` where only the low figure fits, or `no`."""
    return "yes" if need.high <= room else "tight" if need.low <= room else "no"


def _fit(card: Card, shapes: Shapes, job: Job, operations: float | None) -> Fit:
    place = on_card(card)
    jobs = [dataclasses.replace(place.job(job), gpus=count, sharding="zero3") for count in _COUNTS]
    needs = [memory(shapes, several).total for several in jobs]
    found = next((index for index, need in enumerate(needs) if need.high <= place.memory_bytes), None)
    one = fit_word(needs[0], place.memory_bytes)
    if found is None:
        return Fit(card, one, None, needs[-1], None)
    return Fit(card, one, _COUNTS[found], needs[found], hours(operations, jobs[found], place))
