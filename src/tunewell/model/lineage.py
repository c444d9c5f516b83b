"""What a training left, and what it descends from: which base an adapter belongs to, and everything before it.

`lineage.json` lies beside the weights. `parents` in it is the chain of adapters that training went on from, oldest first, each with
what its own lineage said.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tunewell.errors import ModelError
from tunewell.store import digest, file_digest, write_json

LINEAGE = "lineage.json"
ADAPTER, MODEL, MERGED = "adapter", "model", "merged"

Kind = Literal["adapter", "model"]


class Trained(NamedTuple):
    """What a training left: an adapter, to be loaded on `base`, or a whole model, which needs no base."""

    kind: Kind
    folder: Path
    base: Path

    @property
    def parts(self) -> list[Path]:
        """The folders whose weights are loaded."""
        return [self.base, self.folder] if self.kind == "adapter" else [self.folder]


def open_trained(folder: Path, base: Path) -> Trained:
    """What lies in the folder of the stage `train`; `base` is the recipe's model.

    An adapter that was trained on a base with another folded in lies beside that base. Raises `ModelError` where nothing is
    trained, or an adapter was trained on other weights than those of its base.
    """
    kind = trained_kind(folder)
    if kind == "model":
        return Trained("model", folder / MODEL, folder / MODEL)
    merged = folder / MERGED
    trained = Trained("adapter", folder / ADAPTER, merged if merged.is_dir() else base)
    check_lineage(trained.folder, trained.base)
    return trained


def trained_kind(folder: Path) -> Kind:
    """Whether the stage `train` left an adapter or a model in its folder. Raises `ModelError` where it left neither."""
    if (folder / MODEL / "config.json").exists():
        return "model"
    if not (folder / ADAPTER / "adapter_config.json").exists():
        raise ModelError("there is no trained model here", where=str(folder), hint="train first: `tunewell train RECIPE`")
    return "adapter"


def find_adapter(path: Path) -> Path:
    """The adapter that a path means: a folder that is one, or the one that a run has trained.

    Raises `ModelError` where there is none.
    """
    found = [folder for folder in (path, path / ADAPTER, *sorted(path.glob(f"*-train/{ADAPTER}"))) if _is_adapter(folder)]
    if found:
        return found[0]
    hint = "give the folder of an adapter (with adapter_config.json), or of a run that trained one"
    if (path / MODEL).is_dir() or any(path.glob(f"*-train/{MODEL}")):
        hint = "full training leaves a whole model: name its folder under `model` to train it on"
    raise ModelError("there is no adapter here", where=str(path), hint=hint)


def weights_digest(folder: Path) -> str:
    """32 hex digits of the hash of a model's or adapter's weights, and of an adapter's configuration, which holds its scale.

    What else lies in the folder (a tokenizer, a model card) does not count: the prompt contract looks after the tokenizer.
    """
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("adapter_config.json")])
    return digest([[path.name, file_digest(path)] for path in files])


def read_lineage(folder: Path) -> dict[str, Any] | None:
    """The lineage beside an adapter or a model, or None where there is none. Raises `ModelError` where it cannot be read."""
    path = folder / LINEAGE
    try:
        lineage = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"the lineage cannot be read: {error}", where=str(path)) from error
    if not isinstance(lineage, dict) or "base" not in lineage:
        raise ModelError("this is no lineage", where=str(path))
    return lineage


def write_lineage(folder: Path, lineage: Mapping[str, Any]) -> None:
    """Write `lineage.json` into the folder of an adapter or a model."""
    write_json(folder / LINEAGE, dict(lineage))


def check_lineage(folder: Path, base: Path) -> None:
    """Refuse an adapter on a base with other weights than those it was trained on.

    Raises `ModelError` that gives both hashes, or says that the adapter has no lineage.
    """
    lineage = read_lineage(folder)
    if lineage is None:
        hint = "train again: `tunewell train` writes it beside the adapter"
        raise ModelError(f"no {LINEAGE} lies beside the adapter", where=str(folder), hint=hint)
    given = weights_digest(base)
    if given != lineage["base"]:
        what = f"the adapter was trained on a base with the hash {lineage['base']}; that of {base} is {given}"
        raise ModelError(what, where=str(folder / LINEAGE), hint=_base_hint(lineage))


def ancestors(adapter: Path, how: str) -> list[dict[str, Any]]:
    """The chain of parents of what is trained from an adapter, oldest first. `how` it was taken: `continue` or `merge`."""
    lineage = read_lineage(adapter) or {"base": None}
    own = {name: value for name, value in lineage.items() if name != "parents"}
    return [*lineage.get("parents", []), {"how": how, "weights": weights_digest(adapter), **own}]


def adapter_files(path: Path) -> list[Path]:
    """The files that what is trained from an adapter depends on; none where there is no adapter."""
    try:
        adapter = find_adapter(path)
    except ModelError:
        return []
    return [adapter / name for name in ("adapter_config.json", "adapter_model.safetensors", LINEAGE)]


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").exists()


def _base_hint(lineage: Mapping[str, Any]) -> str:
    if lineage.get("start") == "merge":
        return f"it was trained on its base with another adapter folded in: give the folder `{MERGED}` beside it"
    return "give the base that it was trained on, or train again on this one"
