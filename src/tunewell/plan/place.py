"""Where training is to run: a card of the table, this machine's GPU, or its cores."""

import dataclasses
import os
from typing import Literal, NamedTuple

from tunewell.bundled import read_yaml
from tunewell.errors import UserError
from tunewell.plan.job import Band, Job

GIB = 2**30


class Card(NamedTuple):
    """A card of the table: memory in GiB, bandwidth in GB/s, dense products in TFLOP/s, and where the figures are from."""

    name: str
    memory_gib: float
    bandwidth: float
    tflops: float
    source: str
    bf16: bool = True


class Place(NamedTuple):
    """Where training is to run: its name and kind, its memory in bytes, and its peak in FLOP/s (None: not known)."""

    name: str
    kind: Literal["gpu", "cpu"]
    memory_bytes: float
    peak: float | None
    bf16: bool

    def job(self, job: Job) -> Job:
        """The job as it is done here: in fp32 where there is no bf16."""
        return job if self.bf16 else dataclasses.replace(job, numbers="fp32")

    def share(self, job: Job) -> Band:
        """The share of the peak that training by this method reaches."""
        figures = read_yaml("plan", "cards.yaml")
        return Band(*(figures if self.kind == "gpu" else figures["cpu"])["shares"][job.method])


def cards() -> tuple[Card, ...]:
    """The bundled table of cards."""
    return tuple(Card(**row) for row in read_yaml("plan", "cards.yaml")["cards"])


def find_card(name: str) -> Place:
    """A card by its name, in any case. Raises `UserError`."""
    found = {card.name.lower(): card for card in cards()}
    if name.lower() not in found:
        hint = f"allowed: {', '.join(card.name for card in cards())}"
        raise UserError(f"there is no card `{name}` in the table", where="--card", hint=hint)
    return on_card(found[name.lower()])


def on_card(card: Card) -> Place:
    """A card as the place to train."""
    return Place(card.name, "gpu", card.memory_gib * GIB, card.tflops * 1e12, card.bf16)


def this_machine() -> Place:
    """The first GPU of this machine, as fast as the table says, or its cores, as fast as one core was measured."""
    import torch

    from tunewell.model.load import number_format

    bf16 = number_format().dtype == torch.bfloat16
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        card = _like(properties.name, properties.total_memory / GIB)
        return Place(properties.name, "gpu", properties.total_memory, card and card.tflops * 1e12, bf16)
    cores = torch.get_num_threads()
    peak = read_yaml("plan", "cards.yaml")["cpu"]["gflops_per_core"]["bf16" if bf16 else "fp32"] * 1e9 * cores
    name = f"this machine ({cores} {'core' if cores == 1 else 'cores'})"
    return Place(name, "cpu", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), peak, bf16)


def _like(name: str, memory_gib: float) -> Card | None:
    """The card of the table that a driver's name means, such as `NVIDIA A100-SXM4-40GB`: of like names the nearest in memory."""
    alike = [card for card in cards() if card.name.split("-")[0] in name]
    return min(alike, key=lambda card: abs(card.memory_gib - memory_gib), default=None)
