"""LoRA adapters on a frozen base model."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from tunewell.errors import RecipeError


def add_lora(model: PreTrainedModel, *, rank: int, alpha: int, targets: str | list[str], seed: int) -> PeftModel:
    """The model with fresh LoRA matrices in float32 on the named layers (Hu et al. 2021, arXiv 2106.09685).

    Raises `RecipeError` where the model has no such layers.
    """
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, lora_dropout=0.0, task_type="CAUSAL_LM")
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        linear = sorted({name.rsplit(".", 1)[-1] for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)})
        problem = f"train.targets: {targets!r} are no layers of this model; allowed: all-linear, or some of {', '.join(linear)}"
        raise RecipeError([problem], where="recipe") from error


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """All parameters of the model, and those that are trained."""
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def save_adapter(model: PeftModel, tokenizer: Any, folder: Path) -> None:
    """Write the adapter and its tokenizer, so that plain peft and transformers load them."""
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(folder)
