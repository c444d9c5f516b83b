"""Services that follow a training: the Trainer's own integrations, checked before anything is loaded."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tunewell.errors import MachineError
from tunewell.recipe import Reporter

_PACKAGES: Mapping[Reporter, tuple[str, ...]] = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
"""What each needs; any one of several will do."""


def prepare_reporters(names: Sequence[Reporter], folder: Path) -> None:
    """Raise `MachineError` where a package is missing, and tell TensorBoard to write below `folder`."""
    for name in names:
        if not any(importlib.util.find_spec(package) for package in _PACKAGES[name]):
            hint = f"pip install {_PACKAGES[name][0]}, or take it out of train.report_to"
            raise MachineError(f"the package {_PACKAGES[name][0]} is missing", where="train.report_to", hint=hint)
    if "tensorboard" in names:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
