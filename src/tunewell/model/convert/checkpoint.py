"""Reading the tensors of a checkpoint, shard by shard, and writing them into new shards."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tunewell.errors import ModelError
from tunewell.store import write_json


class NamedTensor(NamedTuple):
    """A tensor and its name in the checkpoint."""

    name: str
    value: torch.Tensor


class Stored(NamedTuple):
    """What was written of one tensor."""

    dtype: torch.dtype
    elements: int
    size: int


class _Form(NamedTuple):
    list_of_shards: str
    one_file: str


_FORMS = (
    _Form("model.safetensors.index.json", "model.safetensors"),
    _Form("pytorch_model.bin.index.json", "pytorch_model.bin"),
)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a checkpoint's weights, safetensors before pickles. Raises `ModelError` where one is missing."""
    for form in _FORMS:
        if (folder / form.list_of_shards).exists():
            return _indexed_files(folder / form.list_of_shards)
        if (folder / form.one_file).exists():
            return [folder / form.one_file]
    names = ", ".join(name for form in _FORMS for name in form)
    raise ModelError("this folder holds no weights", where=str(folder), hint=f"looked for {names}; was the download cut off?")


def read_tensors(path: Path) -> Iterator[NamedTensor]:
    """The tensors of one file in the order of their names; no code in a pickle is run. Raises `ModelError` if it is broken."""
    read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
    try:
        yield from read(path)
    except Exception as error:  # a broken file makes its reader stumble in many ways
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        hint = "fetch this file again; a file that needs code to be read is refused"
        raise ModelError(f"the weights cannot be read: {reason}", where=str(path), hint=hint) from error


def write_shards(tensors: Iterable[NamedTensor], folder: Path, *, shard_bytes: int) -> dict[str, Stored]:
    """Write tensors into safetensors of at most `shard_bytes`, with an index if there are several; a larger tensor has its own."""
    shards: list[dict[str, Stored]] = []
    held: dict[str, torch.Tensor] = {}
    for name, value in tensors:
        if held and sum(map(_size, held.values())) + _size(value) > shard_bytes:
            shards.append(_write_shard(held, _numbered(folder, len(shards))))
            held = {}
        held[name] = value
    shards.append(_write_shard(held, _numbered(folder, len(shards))))
    _name_shards(folder, shards)
    return {name: stored for shard in shards for name, stored in shard.items()}


def _indexed_files(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("this index of shards cannot be read", where=str(index), hint="fetch this file again") from error
    missing = [name for name in names if not (index.parent / name).exists()]
    if missing:
        hint = "fetch the missing files, then run the same command again"
        raise ModelError(f"{len(missing)} of {len(names)} shards are missing: {', '.join(missing)}", where=str(index), hint=hint)
    return [index.parent / name for name in names]


def _read_safetensors(path: Path) -> Iterator[NamedTensor]:
    with safe_open(path, framework="pt") as file:
        for name in sorted(file.keys()):
            yield NamedTensor(name, file.get_tensor(name))


def _read_pickle(path: Path) -> Iterator[NamedTensor]:
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    for name in sorted(tensors):
        yield NamedTensor(name, tensors.pop(name))


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _numbered(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.safetensors"


def _write_shard(tensors: dict[str, torch.Tensor], path: Path) -> dict[str, Stored]:
    save_file(tensors, path, metadata={"format": "pt"})
    return {name: Stored(tensor.dtype, tensor.numel(), _size(tensor)) for name, tensor in tensors.items()}


def _name_shards(folder: Path, shards: list[dict[str, Stored]]) -> None:
    if len(shards) == 1:
        _numbered(folder, 0).rename(folder / "model.safetensors")
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards):
        name = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        _numbered(folder, number).rename(folder / name)
        weight_map |= dict.fromkeys(shard, name)
    total = sum(stored.size for shard in shards for stored in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / "model.safetensors.index.json", index)
