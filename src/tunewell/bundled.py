"""The data files inside the package: bundled domain, open data, probes, retention items, texts."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(str(files("tunewell"))) / "assets"


def asset(*parts: str) -> Path:
    """The path of a data file."""
    return FOLDER.joinpath(*parts)


@cache
def read_yaml(*parts: str) -> Any:
    """The content of a YAML data file."""
    return yaml.safe_load(asset(*parts).read_text(encoding="utf-8"))


@cache
def read_jsonl(*parts: str) -> tuple[Any, ...]:
    """The rows of a JSON Lines data file."""
    return tuple(json.loads(line) for line in asset(*parts).read_text(encoding="utf-8").splitlines() if line.strip())
