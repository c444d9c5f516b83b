"""Loading base models, tokenizers and adapters, in the number format that is fastest here."""

from pathlib import Path
from typing import NamedTuple, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from tunewell.errors import ModelError


class Choice(NamedTuple):
    """Something the product chose by itself, and why."""

    what: str
    why: str


class NumberFormat(NamedTuple):
    """A floating-point format for weights and matrix products, and why it was chosen."""

    dtype: torch.dtype
    choice: Choice


def quiet_transformers() -> None:
    """Leave the terminal to our own progress bars."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def number_format() -> NumberFormat:
    """bfloat16 where the GPU or CPU multiplies it in hardware, else float32."""
    if torch.cuda.is_available():
        if torch.cuda.is_bf16_supported():
            return NumberFormat(torch.bfloat16, Choice("bfloat16", "the GPU multiplies it in hardware"))
        return NumberFormat(torch.float32, Choice("float32", "the GPU has no bfloat16"))
    capabilities = torch.cpu.get_capabilities()
    for name in ("amx_bf16", "avx512_bf16", "bf16"):
        if capabilities.get(name):
            return NumberFormat(torch.bfloat16, Choice("bfloat16", f"this CPU multiplies it in hardware ({name})"))
    return NumberFormat(torch.float32, Choice("float32", "this CPU has no bfloat16 matrix product"))


def device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder. Raises `ModelError` where it cannot be read."""
    quiet_transformers()
    try:
        return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(folder))
    except (OSError, ValueError) as error:
        raise ModelError(f"the tokenizer cannot be read: {error}", where=str(folder)) from error


def load_base(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The base model of a folder, ready to infer: no gradients, no dropout. Raises `ModelError` where it cannot be read."""
    quiet_transformers()
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the model cannot be read: {error}", where=str(folder)) from error
    model.requires_grad_(requires_grad=False)
    model.to(device())  # type: ignore[arg-type]  # torch's own signature is hidden by a decorator
    return cast("PreTrainedModel", model.eval())


def load_tuned(base: Path, adapter: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The base model with an adapter folded into its weights in float32, then rounded to `dtype`: the model as it is shipped."""
    from peft import PeftModel

    model = load_base(base, torch.float32)
    try:
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the adapter does not fit the base model: {error}", where=str(adapter)) from error
    return cast("PreTrainedModel", merged.to(dtype).eval())
