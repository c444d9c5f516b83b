"""A model's shapes from its config.json: the architecture is built without storage, nothing is loaded.

Counts are therefore those of the very class that training uses, for every architecture that transformers knows.
"""

import dataclasses
import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.errors import ModelError
from tunewell.model.locate import EMBEDDED, at_hand, locate
from tunewell.plan.job import Job

_LAYER = re.compile(r"^(.*?\.\d+)\.")


@dataclass(frozen=True, slots=True)
class Shapes:
    """What memory and time of a model hang on. All but the widths are counts of parameters.

    `adapter` is the adapter of the job that the shapes were read for, 0 of full training. `linear` are the linear layers without
    the head, which QLoRA quantises, `active` the layers that one token passes through, without the head (of experts only the
    chosen ones), `largest` the largest layer. `queries` and `keys` are the widths of attention, `feed_forward` the inner width of
    a layer (of all experts chosen), `streams` the matrices that lead there: 2 where it is gated, else 1. `positions` is the
    longest context that the model was made for, 0 where its config does not say.
    """

    architecture: str
    parameters: int
    adapter: int
    linear: int
    active: int
    largest: int
    layers: int
    hidden: int
    queries: int
    keys: int
    feed_forward: int
    streams: int
    vocabulary: int
    positions: int

    @property
    def trained(self) -> int:
        """Parameters that are trained: the adapter, or all where there is none."""
        return self.adapter or self.parameters


def find_config(model: str) -> Path:
    """The folder that holds a model's config.json, or a hub id of which only that file is fetched. Raises `ModelError`."""
    path = Path(model)
    if path.name == "config.json" and path.is_file():
        return path.parent
    folder = at_hand(model)
    if folder is None and model == EMBEDDED:
        return locate(model)
    if folder is not None:
        return folder
    if path.is_dir():
        hint = (
            "this is an adapter: plan its base model"
            if (path / "adapter_config.json").exists()
            else "give the folder of a base model"
        )
        raise ModelError("this folder holds no config.json", where=model, hint=hint)
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        hint = f"give a recipe (.yaml), a model folder, its config.json, a hub id `owner/name`, or `{EMBEDDED}`"
        raise ModelError("there is no such recipe or model", where=model, hint=hint)
    return _fetch_config(model)


def _fetch_config(model: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(model, "config.json")).parent
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        hint = "check the spelling and the network, or give a folder with its config.json"
        raise ModelError(f"its config.json cannot be had: {reason}", where=model, hint=hint) from error


def read_shapes(folder: Path, job: Job) -> Shapes:
    """The shapes of the model whose config.json lies in this folder, and the size of the adapter that the job puts on it.

    Raises `ModelError` where the file is no JSON, the architecture is unknown or no language model, a value makes no sense, or no
    layer has the name of a target.
    """
    where = str(folder / "config.json")
    model, config = _build(folder, where)
    try:
        measured = _measure(model, config)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError) as error:
        hint = "only decoders that generate text, layer upon layer, can be planned"
        raise ModelError(f"this architecture has no shapes that can be planned: {error}", where=where, hint=hint) from error
    return measured if job.method == "full" else dataclasses.replace(measured, adapter=_adapter_parameters(model, job))


def _adapter_parameters(model: Any, job: Job) -> int:
    """What peft puts on the model: no formula knows its rules for experts and fused layers."""
    from peft import LoraConfig, get_peft_model

    targets = job.targets if isinstance(job.targets, str) else list(job.targets)
    names = sorted({layer.name.rsplit(".", 1)[-1] for layer in _linear_layers(model)})
    config = LoraConfig(r=job.rank, target_modules=targets, use_dora=job.dora, task_type="CAUSAL_LM")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tuned = get_peft_model(model, config, low_cpu_mem_usage=True)
    except ValueError as error:
        reason = " ".join(str(error).split())
        hint = f"allowed: all-linear, or some of {', '.join(names)}"
        raise ModelError(f"{targets!r} takes no adapter on this model: {reason}", where="train.targets", hint=hint) from error
    return sum(parameter.numel() for parameter in tuned.parameters() if parameter.requires_grad)


def _build(folder: Path, where: str) -> tuple[Any, Any]:
    from accelerate import init_empty_weights
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM

    from tunewell.model.load import quiet_transformers

    quiet_transformers()
    kind = _model_type(folder, where)
    if kind not in CONFIG_MAPPING:
        hint = "`tunewell model convert` writes old Baichuan and ChatGLM folders anew; code inside a model folder is never run"
        raise ModelError(f"transformers knows no architecture `{kind}`", where=where, hint=hint)
    if CONFIG_MAPPING[kind] not in AutoModelForCausalLM._model_mapping:
        hint = "give the config of a language model"
        raise ModelError(f"`{kind}` is not an architecture that writes text from left to right", where=where, hint=hint)
    try:
        config = AutoConfig.from_pretrained(folder)
        with init_empty_weights(include_buffers=True):
            return AutoModelForCausalLM.from_config(config), config
    except Exception as error:  # every architecture refuses odd values in its own way
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "compare with the config.json that the model was published with"
        raise ModelError(f"a model cannot be built from these values: {reason}", where=where, hint=hint) from error


def _model_type(folder: Path, where: str) -> str:
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot be read: {error}", where=where, hint="copy it anew from where the model came from") from error
    kind = values.get("model_type") if isinstance(values, dict) else None
    if not isinstance(kind, str):
        raise ModelError("names no architecture (`model_type`)", where=where, hint="copy it anew from where the model came from")
    return kind


class _Layer(NamedTuple):
    """A linear layer that is not the head."""

    name: str
    inputs: int
    outputs: int

    @property
    def size(self) -> int:
        return self.inputs * self.outputs


def _measure(model: Any, config: Any) -> Shapes:
    text = config.get_text_config()
    layers = _linear_layers(model)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    count, hidden = text.num_hidden_layers, text.hidden_size
    width = getattr(text, "head_dim", None) or hidden // text.num_attention_heads
    queries = width * text.num_attention_heads
    keys = width * (getattr(text, "num_key_value_heads", None) or text.num_attention_heads)
    chosen = _chosen_experts(text, sizes)
    active = round(sum(layer.size for layer in layers if ".experts." not in layer.name) + chosen)
    inner = max((layer.inputs for layer in layers if layer.outputs == hidden), default=hidden)
    rest = active / count - 2 * hidden * (queries + keys)
    streams = 2 if chosen or rest > 2.5 * hidden * inner else 1
    return Shapes(
        architecture=type(model).__name__,
        parameters=sum(sizes.values()),
        adapter=0,
        linear=sum(layer.size for layer in layers),
        active=active,
        largest=_largest_layer(sizes),
        layers=count,
        hidden=hidden,
        queries=queries,
        keys=keys,
        feed_forward=round(rest / (hidden * (streams + 1))) if chosen else inner,
        streams=streams,
        vocabulary=text.vocab_size,
        positions=getattr(text, "max_position_embeddings", None) or 0,
    )


def _linear_layers(model: Any) -> list[_Layer]:
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    named = [(name, module) for name, module in model.named_modules() if module is not head]
    found = [_Layer(name, module.in_features, module.out_features) for name, module in named if isinstance(module, Linear)]
    return found + [_Layer(name, module.nx, module.nf) for name, module in named if isinstance(module, Conv1D)]


def _chosen_experts(text: Any, sizes: Mapping[str, int]) -> float:
    """Parameters of those experts that work on one token."""
    chosen = getattr(text, "num_experts_per_tok", None)
    counts = (getattr(text, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts"))
    every = next((count for count in counts if count), None)
    if not chosen or not every:
        return 0.0
    return float(chosen / every * sum(size for name, size in sizes.items() if ".experts." in name))


def _largest_layer(sizes: Mapping[str, int]) -> int:
    layers: Counter[str] = Counter()
    for name, size in sizes.items():
        found = _LAYER.match(name)
        layers[found[1] if found else name] += size
    return max(layers.values())
