"""How a run is made fast: which layers take on a faster form, which stay as they are, and whether activations are kept."""

from typing import cast

import torch
from transformers import PreTrainedModel
from transformers.integrations.liger import apply_liger_kernel
from transformers.utils.import_utils import is_liger_kernel_available

from tunewell.memory import available_memory
from tunewell.model.attention import attention_kernel
from tunewell.model.fast.lora import speed_up_lora
from tunewell.model.fast.norm import speed_up_norm
from tunewell.model.load import Choice
from tunewell.template import Encoded
from tunewell.train.batches import pack
from tunewell.train.loss import choose_loss, output_head, supervised_loss

_GIB = 2**30
_SHARE = 0.5
"""Share of the available memory that activations may take before they are computed anew in the backward pass instead."""


def speed_up(model: torch.nn.Module, example: Encoded, *, largest: int, dtype: torch.dtype) -> list[Choice]:
    """Give a model that is about to be trained the fastest forms of its layers, in place, and say what was chosen and why.

    Its packed attention is on already, and an adapter is attached. `example` is what it is tried on, `largest` the tokens of
    the largest step, `dtype` the numbers that products are computed in. Parameters keep their names and values.
    """
    device = next(model.parameters()).device
    return [
        attention_kernel(device),
        *_choose_layers(model, device),
        choose_loss(model, pack([example])),
        _choose_activations(model, example, largest, dtype),
    ]


def _choose_layers(model: torch.nn.Module, device: torch.device) -> list[Choice]:
    layers = list(model.modules())
    adapters = sum(map(speed_up_lora, layers))
    choices = [Choice("fused adapters", f"{adapters} layers add their LoRA update within the product")] if adapters else []
    if device.type == "cuda" and is_liger_kernel_available():
        # Not covered by the tests: it needs a GPU. The loss is our own.
        apply_liger_kernel(model, {"cross_entropy": False, "fused_linear_cross_entropy": False})
        return [*choices, Choice("Liger kernels", "the package liger-kernel is installed")]
    norms = sum(map(speed_up_norm, layers))
    if norms:
        choices.append(Choice("fused norms", f"{norms} root-mean-square norms have a backward pass of their own"))
    return choices or [Choice("layers as transformers has them", "none is of a form that is known here")]


def _choose_activations(model: torch.nn.Module, example: Encoded, largest: int, dtype: torch.dtype) -> Choice:
    """Activation checkpointing (Chen et al. 2016, arXiv 1604.06174), where activations would take too much of the memory."""
    with torch.autocast(next(model.parameters()).device.type, dtype=dtype, enabled=dtype != torch.float32):
        # what does not grow with the row, such as weights cast to another format, is no activation
        growth = _kept_bytes(model, [example, example]) - _kept_bytes(model, [example])
    needed = growth * largest / len(example.ids)
    free = _free_bytes(next(model.parameters()).device)
    figures = f"{needed / _GIB:.2f} GiB for a step of {largest} tokens, {free / _GIB:.1f} GiB are free"
    if needed <= _SHARE * free:
        return Choice("activations kept", figures)
    cast("PreTrainedModel", model).activation_checkpointing_enable({"use_reentrant": False})
    return Choice("activations computed anew", f"they would take {figures}")


def _kept_bytes(model: torch.nn.Module, examples: list[Encoded]) -> int:
    """Bytes that a forward pass keeps for its backward pass."""
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = supervised_loss(model, output_head(model), pack(examples))
    del loss  # until here all that is kept is alive, so that no address counts twice
    return sum(kept.values())


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
