"""The manifest of a stage folder: what went in, what came out, and the key by which it is known to be current."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunewell.store.files import write_json

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record a stage leaves when it is done.

    `key` is the hash of the stage's settings, its inputs and the product's version: a stage whose key is unchanged is
    skipped. `outputs` is the hash of everything the stage wrote, and part of the key of every later stage.
    """

    stage: str
    key: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: str
    counts: Mapping[str, int]
    seconds: float
    versions: Mapping[str, str]
    seed: int
    peak_rss_bytes: int
    details: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into the stage's folder, atomically: from then on the stage counts as done."""
        write_json(folder / MANIFEST, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """The manifest of a finished stage, or None where there is none that can be read."""
        try:
            return cls(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
