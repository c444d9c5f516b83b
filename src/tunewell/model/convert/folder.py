"""A checkpoint's folder in an old layout into a plain transformers folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from tunewell.errors import ModelError
from tunewell.model.convert.checkpoint import NamedTensor, Stored, weight_files, write_shards
from tunewell.model.convert.detect import detect, new_config
from tunewell.model.convert.layout import Layout, OldConfig
from tunewell.model.convert.tensors import Shapes, new_tensors
from tunewell.model.convert.tokenizer import convert_tokenizer
from tunewell.progress import progress_bar
from tunewell.store import atomic_folder, friendly_disk_errors, write_json

_SHARD_BYTES = 5_000_000_000
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


class Converted(NamedTuple):
    """A folder that was written, the class that loads it, and what the user should know about it."""

    model: Path
    architecture: str
    parameters: int
    tensors: int
    note: str


class _Target(NamedTuple):
    config: PretrainedConfig
    architecture: str
    shapes: Shapes


def convert_checkpoint(source: Path, out: Path, *, shard_bytes: int = _SHARD_BYTES) -> Converted:
    """Write the checkpoint in `source` as a plain transformers folder `out`, which appears when it is whole.

    Memory holds one old and one new shard. The numbers keep their type. Raises `ModelError` where the layout is unknown or
    cannot be expressed, a file is missing or broken, or a tensor is missing, unknown or of an odd shape.
    """
    _check_room(out)
    where = source / "config.json"
    old = _read_config(where)
    layout = detect(old, where=str(where))
    target = _target(layout, new_config(old, layout, where=str(where)), where=str(where))
    files = weight_files(source)
    with friendly_disk_errors(out), atomic_folder(out) as folder:
        stored = write_shards(_all_tensors(files, layout, target.shapes), folder, shard_bytes=shard_bytes)
        _check_complete(stored, target.shapes, where=str(source))
        _write_configs(source, folder, old, target, stored)
        note = convert_tokenizer(source, folder, layout.tokenizer, vocab_size=target.config.vocab_size)
    return Converted(out, target.architecture, sum(tensor.elements for tensor in stored.values()), len(stored), note)


def _check_room(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError("this is not an empty folder", where=str(out), hint="name another with --out, or remove it first")


def _read_config(path: Path) -> OldConfig:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        hint = "give a folder on this machine that holds config.json and the weights; `hf download NAME --local-dir DIR` makes one"
        raise ModelError("there is no config.json here", where=str(path.parent), hint=hint) from error
    except (ValueError, TypeError) as error:
        raise ModelError("this is no JSON object", where=str(path), hint="fetch this file again") from error


def _target(layout: Layout, values: dict[str, Any], *, where: str) -> _Target:
    try:
        config = AutoConfig.for_model(layout.config_type, **values)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (StrictDataclassError, ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        hint = f"take config.json from the original {layout.name}"
        raise ModelError(f"these sizes make no model: {error}", where=where, hint=hint) from error
    return _Target(config, type(model).__name__, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})


def _all_tensors(files: list[Path], layout: Layout, wanted: Shapes) -> Iterator[NamedTensor]:
    seen: set[str] = set()
    with progress_bar("convert", total=len(files)) as bar:
        for path in files:
            for tensor in new_tensors(path, layout, wanted):
                if tensor.name in seen:
                    hint = "remove what does not belong to the checkpoint, or fetch it again"
                    raise ModelError(f"`{tensor.name}` would be written twice", where=str(path), hint=hint)
                seen.add(tensor.name)
                yield tensor
            bar.progress.advance(bar.task)


def _check_complete(stored: dict[str, Stored], wanted: Shapes, *, where: str) -> None:
    missing = sorted(set(wanted) - set(stored))
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        hint = "is the checkpoint whole, and does config.json belong to it (number of layers)?"
        raise ModelError(f"the weights give no {', '.join(missing[:5])}{more}", where=where, hint=hint)


def _write_configs(source: Path, folder: Path, old: OldConfig, target: _Target, stored: dict[str, Stored]) -> None:
    target.config.architectures = [target.architecture]
    target.config.dtype = stored["model.embed_tokens.weight"].dtype
    target.config.save_pretrained(folder)
    generation = source / "generation_config.json"
    if generation.exists():
        values = {key: value for key, value in _read_config(generation).items() if key != "auto_map"}
    else:
        values = {key: old[key] for key in _TOKEN_IDS if old.get(key) is not None}
    write_json(folder / "generation_config.json", values)
