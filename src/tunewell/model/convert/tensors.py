"""Old tensors into new ones: renamed, cut by rows, and checked against what the new class wants."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch.nn import functional

from tunewell.errors import ModelError
from tunewell.model.convert.checkpoint import NamedTensor, read_tensors
from tunewell.model.convert.layout import Layout

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of every tensor that the new class wants, by name."""


def new_tensors(path: Path, layout: Layout, wanted: Shapes) -> Iterator[NamedTensor]:
    """The new tensors that one old file gives. Raises `ModelError` where a tensor is unknown or of an odd shape or type."""
    for name, value in read_tensors(path):
        if layout.is_recomputed(name):
            continue
        targets = layout.targets(name)
        if not targets or not set(targets) <= set(wanted):
            hint = f"is this {layout.name} as it was published, without adapters or quantisation, and is config.json its own?"
            raise ModelError(f"the tensor `{name}` has no place in {layout.name}", where=str(path), hint=hint)
        shapes = [wanted[target] for target in targets]
        _check(name, value, shapes, where=str(path))
        if name in layout.unit_rows:
            value = functional.normalize(value.float(), dim=1).to(value.dtype)
        for target, part in zip(targets, value.split([shape[0] for shape in shapes]), strict=True):
            # A copy, because a part of a tensor keeps the whole alive and cannot be saved by itself.
            yield NamedTensor(target, part.clone(memory_format=torch.contiguous_format))


def _check(name: str, value: torch.Tensor, shapes: list[tuple[int, ...]], *, where: str) -> None:
    if not value.is_floating_point():
        hint = "take the checkpoint that is not quantised"
        raise ModelError(f"the tensor `{name}` holds {value.dtype}, not floating-point numbers", where=where, hint=hint)
    wanted = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    if tuple(value.shape) != wanted:
        hint = "weights and config.json do not belong together; fetch both from one place"
        raise ModelError(f"the tensor `{name}` has the shape {tuple(value.shape)}, not {wanted}", where=where, hint=hint)
