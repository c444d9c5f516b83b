"""Which examples are trained in which step: rows of whole examples laid end to end, in a new order every epoch."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import Dataset

from tunewell.model.attention import Row, lay_end_to_end
from tunewell.template import Encoded

ROW_MULTIPLE = 32
"""Rows are filled up to a multiple of so many tokens."""


class Step(NamedTuple):
    """One optimiser step: the epoch it belongs to, and the indexes of its examples."""

    epoch: int
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One row of examples. `keep` are the positions that predict a trained token, `targets` those tokens."""

    row: Row
    keep: torch.Tensor
    targets: torch.Tensor


def plan_steps(lengths: Sequence[int], *, epochs: float, batch_tokens: int, seed: int) -> list[Step]:
    """Every step of a training run. Depends on nothing but its arguments, so that a resumed run goes the same way.

    Examples are taken in a fresh random order each epoch and fill a step until the next one would exceed `batch_tokens`;
    a fraction of an epoch takes that fraction of the examples.
    """
    steps = []
    for epoch in range(math.ceil(epochs)):
        order = list(range(len(lengths)))
        random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311  not for secrets
        share = min(1.0, epochs - epoch)
        step: list[int] = []
        size = 0
        for index in order[: max(1, round(share * len(order)))]:
            if step and size + lengths[index] > batch_tokens:
                steps.append(Step(epoch, tuple(step)))
                step, size = [], 0
            step.append(index)
            size += lengths[index]
        steps.append(Step(epoch, tuple(step)))
    return steps


def padding(tokens: int) -> float:
    """The share of a row of so many tokens that fills it up."""
    filler = -tokens % ROW_MULTIPLE
    return filler / (tokens + filler)


def largest_step(examples: Sequence[Encoded], steps: Sequence[Step]) -> int:
    """Tokens of the step that has most of them."""
    return max(sum(len(examples[index].ids) for index in step.examples) for step in steps)


def pack(encoded: Sequence[Encoded], *, multiple_of: int = 1) -> PackedRow:
    """Lay examples end to end; each token is predicted at the position before it, never across two examples."""
    row = lay_end_to_end([example.ids for example in encoded], multiple_of=multiple_of)
    keep: list[int] = []
    targets: list[int] = []
    start = 0
    for example in encoded:
        for place, label in enumerate(example.labels[1:]):
            if label >= 0:
                keep.append(start + place)
                targets.append(label)
        start += len(example.ids)
    return PackedRow(row, torch.tensor(keep), torch.tensor(targets))


class PackedSteps(Dataset[PackedRow]):
    """The steps of a run as a dataset whose items are ready for the model."""

    def __init__(self, examples: Sequence[Encoded], steps: Sequence[Step]) -> None:
        self._examples = examples
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> PackedRow:
        return pack([self._examples[place] for place in self._steps[index].examples], multiple_of=ROW_MULTIPLE)
