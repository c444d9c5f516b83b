"""LoRA adapters on a frozen base model: fresh ones, and trained ones that are trained on."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tunewell.errors import ModelError, RecipeError
from tunewell.recipe import Variant

ALL_LINEAR = "all-linear"


class Shape(NamedTuple):
    """What an adapter looks like: rank, scale, the layers it sits on, and its form.

    `lora` is that of Hu et al. 2021 (arXiv 2106.09685), `rslora` scales by alpha / √rank (Kalajdzievski 2023, arXiv 2312.03732),
    `dora` trains the length of the weights apart from their direction (Liu et al. 2024, arXiv 2402.09353).
    """

    rank: int
    alpha: int
    targets: str | list[str]
    variant: Variant


def add_lora(model: PreTrainedModel, shape: Shape, *, seed: int) -> PeftModel:
    """The model with a fresh adapter in float32. Raises `RecipeError` where the model has no such layers."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=shape.targets,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
        use_rslora=shape.variant == "rslora",
        use_dora=shape.variant == "dora",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        linear = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in _linear_layers(model)}))
        problem = f"train.targets: {shape.targets!r} are no layers of this model; allowed: {ALL_LINEAR}, or some of {linear}"
        raise RecipeError([problem], where="recipe") from error


def continue_lora(model: PreTrainedModel, adapter: Path, said: Mapping[str, Any]) -> PeftModel:
    """The model with a trained adapter whose own parameters are trained on. `said` is what the recipe says of its shape.

    Raises `ModelError` where it is no LoRA adapter or does not fit the model, `RecipeError` where the recipe says otherwise than
    the adapter.
    """
    shape = adapter_shape(adapter)
    problems = [
        f"train.{name}: {value!r}, but the adapter that is trained on has {getattr(shape, name)!r}"
        for name, value in said.items()
        if not _agrees(name, value, shape, model)
    ]
    if problems:
        hint = f"leave these keys out, or take `start: {{merge: {adapter}}}` and a new adapter"
        raise RecipeError(problems, where="recipe", hint=hint)
    try:
        return PeftModel.from_pretrained(model, adapter, is_trainable=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the adapter does not fit the base model: {error}", where=str(adapter)) from error


def adapter_shape(adapter: Path) -> Shape:
    """The shape of a trained adapter. Raises `ModelError` where it is no LoRA adapter."""
    config = LoraConfig.from_pretrained(str(adapter))
    if str(getattr(config.peft_type, "value", config.peft_type)) != "LORA":
        raise ModelError(f"this is no LoRA adapter but {config.peft_type}", where=str(adapter))
    targets = config.target_modules
    variant: Variant = "dora" if config.use_dora else "rslora" if config.use_rslora else "lora"
    return Shape(config.r, config.lora_alpha, targets if isinstance(targets, str) else sorted(targets), variant)


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Parameters of the model without those of an adapter, and those that are trained. A weight of 4 bits counts as one."""
    base = trained = 0
    for name, parameter in model.named_parameters():
        count = _true_size(parameter)
        trained += count if parameter.requires_grad else 0
        base += 0 if "lora_" in name else count
    return base, trained


def _true_size(parameter: torch.nn.Parameter) -> int:
    state = getattr(parameter, "quant_state", None)
    return int(parameter.numel() if state is None else state.shape.numel())


def _agrees(name: str, value: Any, shape: Shape, model: PreTrainedModel) -> bool:
    if name == "targets":
        return _layers(model, value) == _layers(model, shape.targets)
    return bool(value == getattr(shape, name))


def _layers(model: PreTrainedModel, targets: str | list[str]) -> set[str]:
    """The names of the layers that targets mean: all linear ones, a pattern, or the ends of names."""
    if targets == ALL_LINEAR:
        return _linear_layers(model)
    names = [name for name, _ in model.named_modules()]
    if isinstance(targets, str):
        return {name for name in names if re.fullmatch(targets, name)}
    return {name for name in names if any(name == target or name.endswith(f".{target}") for target in targets)}


def _linear_layers(model: PreTrainedModel) -> set[str]:
    """Every linear layer but the output head."""
    head = model.get_output_embeddings()
    return {name for name, layer in model.named_modules() if isinstance(layer, (torch.nn.Linear, Conv1D)) and layer is not head}
