"""Checkpoints that are known to be whole: each carries the hash of its files, written last."""

import json
import logging
import shutil
from pathlib import Path

from tunewell.store import folder_digest, write_json

_SEAL = ".complete.json"
_log = logging.getLogger(__name__)


def seal(checkpoint: Path) -> None:
    """Mark a checkpoint as whole, with the hash of its files."""
    write_json(checkpoint / _SEAL, {"digest": folder_digest(checkpoint)})


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint whose files match its seal, or None; broken ones are removed, and that is said."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        if _is_whole(checkpoint):
            return checkpoint
        _log.warning("%s is incomplete: it was cut off while it was written; going back to the one before", checkpoint.name)
        shutil.rmtree(checkpoint)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


def _is_whole(checkpoint: Path) -> bool:
    try:
        sealed = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(sealed == folder_digest(checkpoint))
