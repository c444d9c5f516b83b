"""The guard `guard.floor`: as training goes on, the quick retention suite says when too much is being lost."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tunewell.errors import TunewellError
from tunewell.retention import RetentionItem, retention_score
from tunewell.store import atomic_write, write_json
from tunewell.template import PromptFormat
from tunewell.train.trainer import Notes

QUICK_ITEMS = 64
_STATE = "guard.json"
KEPT_WEIGHTS = "kept.safetensors"
_log = logging.getLogger(__name__)


class RetentionFloor(TrainerCallback):
    """Scores the model every so many steps, and stops where it has lost more than a share `floor` of the base's score.

    The trained weights of the last look within the floor are kept on disk. What was found is in `guard.json` of the stage's
    folder, from which an interrupted run goes on; each score is written to `notes` under its step's number.
    """

    def __init__(
        self,
        folder: Path,
        *,
        floor: float,
        every: int,
        score: Callable[[torch.nn.Module], float],
        notes: Notes,
    ) -> None:
        self._folder = folder
        self._floor = floor
        self._every = every
        self._score = score
        self._notes = notes
        self._found: dict[str, Any] = {"floor": floor, "items": QUICK_ITEMS, "base": None, "kept": None, "stopped": None}
        if (folder / _STATE).exists():
            self._found = json.loads((folder / _STATE).read_text(encoding="utf-8"))

    @property
    def stopped(self) -> bool:
        """Whether retention has fallen below the floor."""
        return self._found["stopped"] is not None

    @property
    def found(self) -> dict[str, Any]:
        """The score of the base, of the weights that are kept and of those at which training stopped, with their steps."""
        return dict(self._found)

    def measure_base(self, model: torch.nn.Module) -> None:
        """Score the base before anything is trained, unless that was done before."""
        if self._found["base"] is None:
            self._record(base=self._score(model))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any) -> None:
        """Look at every so many steps and at the last one."""
        step, model = state.global_step, options["model"]
        if step % self._every and step != state.max_steps:
            return
        score = self._score(model)
        self._notes.setdefault(step, {})["retention"] = round(score, 4)
        if score < (1 - self._floor) * self._found["base"]:
            self._record(stopped={"step": step, "retention": score})
            control.should_training_stop = True
            return
        with atomic_write(self._folder / KEPT_WEIGHTS) as temporary:
            save_file(_trained_weights(model), temporary)
        self._record(kept={"step": step, "retention": score})

    def take_back(self, model: torch.nn.Module) -> None:
        """Where training was stopped, give the model the weights that were kept, and say so.

        Raises `TunewellError` where the very first look was below the floor.
        """
        base, kept, stopped = (self._found[name] for name in ("base", "kept", "stopped"))
        if stopped is not None:
            fall = f"retention fell from {base:.3f} to {stopped['retention']:.3f} at step {stopped['step']}"
            if kept is None:
                hint = "lower train.learning_rate, add open or replay rows, look sooner (guard.every), or raise guard.floor"
                raise TunewellError(f"{fall}, below guard.floor, and no earlier weights were within it", where="train", hint=hint)
            _log.warning(
                "%s, below guard.floor: stopped; kept the weights of step %d (%.3f)", fall, kept["step"], kept["retention"]
            )
            weights = load_file(self._folder / KEPT_WEIGHTS)
            with torch.no_grad():
                for name, parameter in _trained_weights(model).items():
                    parameter.copy_(weights[name])

    def _record(self, **found: Any) -> None:
        self._found |= found
        write_json(self._folder / _STATE, self._found)


def quick_score(model: torch.nn.Module, *, chat: PromptFormat, items: Sequence[RetentionItem], dtype: torch.dtype) -> float:
    """The mean probability of the right choice, computed in the numbers that training computes in."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device.type
    with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
        score = retention_score(cast("PreTrainedModel", model), chat, items)
    model.train(was_training)
    return score


def _trained_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
