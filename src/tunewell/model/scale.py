"""A share of what training changed: weights on the line between base and tuned model, without training anew.

WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): θ = base + α (tuned − base). For an adapter without a part that is not a
product of two matrices this is the adapter scaled by α.
"""

import shutil
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from tunewell.model.lineage import LINEAGE, Kind, Trained, ancestors, read_lineage, write_lineage
from tunewell.model.load import base_dtype, load_base, load_trained, round_weights

_WEIGHTS = "adapter_model.safetensors"
_NOT_COPIED = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "README.md", LINEAGE)


def load_scaled(trained: Trained, base: Path, alpha: float, dtype: torch.dtype) -> PreTrainedModel:
    """The model of which `alpha`, 0 to 1, of the training's change to the base is kept, computed in float32, then in `dtype`.

    `base` is the recipe's model. An adapter on a base with another one folded in changes that base.
    """
    model = load_trained(trained, torch.float32)
    if alpha < 1:
        start = dict(load_base(_start(trained, base), torch.float32).named_parameters())
        with torch.no_grad():
            for name, weights in model.named_parameters():
                weights.lerp_(start[name], 1 - alpha)
    return cast("PreTrainedModel", round_weights(model, dtype).eval())


def save_scaled(trained: Trained, base: Path, alpha: float, folder: Path) -> Kind:
    """Write what `load_scaled` gives into a folder, with tokenizer, prompt contract and lineage; returns what it is.

    An adapter stays one where it is all products of two matrices and its base is the recipe's own; else it becomes a model.
    """
    scalable = trained.kind == "adapter" and trained.base == base and _is_product(trained.folder)
    if scalable:
        shutil.copytree(trained.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_WEIGHTS, "README.md"))
        weights = load_file(trained.folder / _WEIGHTS)
        save_file(
            {name: alpha * one if _is_second(name) else one for name, one in weights.items()}, folder / _WEIGHTS, {"format": "pt"}
        )
    else:
        shutil.copytree(trained.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        load_scaled(trained, base, alpha, base_dtype(base)).save_pretrained(folder)
    lineage = read_lineage(trained.folder) or {}
    write_lineage(folder, {**lineage, "start": "scale", "alpha": alpha, "parents": ancestors(trained.folder, "scale")})
    return "adapter" if scalable else "model"


def _start(trained: Trained, base: Path) -> Path:
    return trained.base if trained.kind == "adapter" else base


def _is_product(adapter: Path) -> bool:
    return all("lora_A." in name or _is_second(name) for name in load_file(adapter / _WEIGHTS))


def _is_second(name: str) -> bool:
    """Whether these are weights of the second matrix, which is zero at the start: a part of it is that part of the change."""
    return "lora_B." in name
