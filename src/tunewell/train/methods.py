"""The methods of training: which weights change, and in which numbers they are kept."""

from pathlib import Path
from typing import NamedTuple, cast

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tunewell.model.lineage import Kind
from tunewell.model.load import Choice, base_dtype, load_base, load_quantised, number_format, round_weights
from tunewell.recipe import Method, Train
from tunewell.train.adapter import Shape, adapter_shape, add_lora, continue_lora
from tunewell.train.start import Start

_FULL = Choice("weights in float32", "every weight is trained, and small steps would be lost in fewer digits")
_FOUR_BITS = Choice("base in 4 bits", "train.method: qlora (NF4, double quantisation); the adapter is in float32")


class Loaded(NamedTuple):
    """A base model as a method needs it, the numbers that products are computed in, and what was chosen."""

    model: PreTrainedModel
    dtype: torch.dtype
    choices: list[Choice]


def load_for(method: Method, base: Path) -> Loaded:
    """Load the base for a method, in the numbers that suit it."""
    number = number_format()
    if method == "full":
        return Loaded(load_base(base, torch.float32), number.dtype, [number.choice, _FULL])
    if method == "lora":
        return Loaded(load_base(base, number.dtype), number.dtype, [number.choice])
    return Loaded(load_quantised(base, number.dtype), number.dtype, [number.choice, _FOUR_BITS])


class Tuning(NamedTuple):
    """A model whose parameters to train are chosen, the numbers it computes in, what it is saved as, and its adapter's shape."""

    model: torch.nn.Module
    dtype: torch.dtype
    kind: Kind
    shape: Shape | None


def make_trainable(loaded: Loaded, plan: Train, start: Start, *, seed: int) -> Tuning:
    """Choose what the recipe's method trains: every weight, or the parameters of an adapter, fresh or trained on."""
    base, dtype = loaded.model, loaded.dtype
    if plan.method == "full":
        base.requires_grad_(requires_grad=True)
        return Tuning(base, dtype, "model", None)
    if start.adapter is not None:
        return Tuning(continue_lora(base, start.adapter, plan.said), dtype, "adapter", adapter_shape(start.adapter))
    shape = Shape(plan.rank, plan.alpha, plan.targets, plan.variant)
    return Tuning(add_lora(base, shape, seed=seed), dtype, "adapter", shape)


def save_weights(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path, *, base: Path) -> None:
    """Write what was trained so that plain transformers and peft load it: an adapter, or the model in the base's own numbers."""
    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder))
    else:
        round_weights(cast("PreTrainedModel", model), base_dtype(base)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
