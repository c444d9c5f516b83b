"""Loading base models, tokenizers and adapters, in the number format that is fastest here."""

import importlib.util
import logging
from pathlib import Path
from typing import NamedTuple, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from tunewell.errors import MachineError, ModelError
from tunewell.model.lineage import Trained


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
    hint = "a folder with tokenizer.json, or with a tokenizer.model that transformers converts, is wanted"
    try:
        tokenizer = cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"the tokenizer cannot be read: {error}", where=str(folder), hint=hint) from error
    if not tokenizer("a", add_special_tokens=False)["input_ids"]:
        raise ModelError("the tokenizer has no vocabulary: it reads nothing in a text", where=str(folder), hint=hint)
    return tokenizer


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


def load_quantised(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The base model with its linear layers in 4 bits: NF4 with double quantisation (Dettmers et al. 2023, arXiv 2305.14314).

    Products are computed in `dtype`; embeddings, norms and the output head stay in it.

    Raises `MachineError` where bitsandbytes is not installed, `ModelError` where the model cannot be read.
    """
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        hint = "pip install 'tunewell[qlora]', or take `train.method: lora`"
        raise MachineError("the package bitsandbytes is missing", where="train.method: qlora", hint=hint)
    # On a CPU it says at every start that a faster kernel could be downloaded.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from bitsandbytes.nn.modules import Linear4bit

    quiet_transformers()
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=config)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the model cannot be read: {error}", where=str(folder)) from error
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            # On a CPU the first pass without training would pack the weights into a form that passes no gradients on.
            layer.support_avx512bf16_for_cpu = False
    model.requires_grad_(requires_grad=False)
    return cast("PreTrainedModel", model.eval())


def load_trained(trained: Trained, dtype: torch.dtype) -> PreTrainedModel:
    """What a training left, as it is shipped: an adapter folded into its base, or the model itself."""
    if trained.kind == "model":
        return load_base(trained.folder, dtype)
    return load_tuned(trained.base, trained.folder, dtype)


def load_tuned(base: Path, adapter: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The base model with an adapter folded into its weights in float32, then rounded to `dtype`: the model as it is shipped."""
    from peft import PeftModel

    model = load_base(base, torch.float32)
    try:
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the adapter does not fit the base model: {error}", where=str(adapter)) from error
    model = round_weights(cast("PreTrainedModel", merged), dtype)
    return cast("PreTrainedModel", model.eval())


def round_weights(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its weights in `dtype`, as if it had been loaded so.

    `model.to(dtype)` would round the frequencies of rotary positions as well, which are no weights and stay in float32.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype
    return model


def save_folded(base: Path, adapter: Path, folder: Path) -> None:
    """Write the base model with an adapter folded in, in float32: fewer digits would lose part of the adapter."""
    load_tuned(base, adapter, torch.float32).save_pretrained(folder)


def base_dtype(folder: Path) -> torch.dtype:
    """The number format that a model folder keeps its weights in; float32 where its configuration does not say."""
    dtype = AutoConfig.from_pretrained(folder).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32
