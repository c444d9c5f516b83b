"""`transformers.Trainer` with our rows and our loss, and the log of its steps."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from rich.progress import Progress, TaskID
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tunewell.errors import TunewellError
from tunewell.memory import freed_memory_kept, peak_memory
from tunewell.train.batches import PackedRow, PackedSteps, Step, padding
from tunewell.train.checkpoints import seal
from tunewell.train.loss import output_head, supervised_loss

Notes = dict[int, dict[str, float]]
"""What guards found, by the number of the step."""


class PackedTrainer(Trainer):
    """A Trainer whose every batch is one packed row, taken in the order of the plan."""

    def __init__(self, *, autocast: torch.dtype | None, **arguments: Any) -> None:
        super().__init__(data_collator=_take_only_row, **arguments)
        self._autocast = autocast

    def compute_loss(  # type: ignore[override]  # the Trainer's own signature is wider than what it calls
        self, model: torch.nn.Module, inputs: Mapping[str, PackedRow], **_: Any
    ) -> torch.Tensor:
        """Mean cross-entropy (nats) over the supervised tokens of the row."""
        enabled = self._autocast is not None
        with torch.autocast(self.args.device.type, dtype=self._autocast or torch.float32, enabled=enabled):
            loss = supervised_loss(model, output_head(cast("torch.nn.Module", self.model)), inputs["packed"])
        if not torch.isfinite(loss):
            hint = "lower train.learning_rate; `tunewell data check` finds odd rows"
            raise TunewellError(f"the loss is {loss.item()} at step {self.state.global_step + 1}", where="train", hint=hint)
        return loss

    def train(self, *arguments: Any, **options: Any) -> Any:
        """The Trainer's own, with memory that a step lets go kept for the next one."""
        with freed_memory_kept():
            return super().train(*arguments, **options)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        """The plan's own order."""
        return SequentialSampler(cast("PackedSteps", train_dataset or self.train_dataset))


class RunLog(TrainerCallback):
    """Writes `log.jsonl`, one line a step, moves the progress bar, and seals each checkpoint.

    `notes` hold what guards add to the line of a step, by its number.
    """

    def __init__(
        self, path: Path, steps: Sequence[Step], tokens: Sequence[int], notes: Notes, progress: Progress, bar: TaskID
    ) -> None:
        self._path = path
        self._notes = notes
        self._steps = steps
        self._tokens = tokens
        self._progress = progress
        self._bar = bar
        self._last = time.perf_counter()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keep the lines of the steps that are not done again."""
        kept = [line for line in _lines(self._path) if json.loads(line)["step"] <= state.global_step]
        self._path.write_text("".join(kept), encoding="utf-8")
        self._progress.update(self._bar, completed=state.global_step)
        self._last = time.perf_counter()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write one step."""
        logs = kwargs["logs"]
        if "loss" not in logs:
            return
        now = time.perf_counter()
        index = state.global_step - 1
        line = {
            "step": state.global_step,
            "epoch": self._steps[index].epoch + 1,
            "loss": logs["loss"],
            "learning_rate": logs["learning_rate"],
            "gradient_norm": float(logs["grad_norm"]),
            "tokens": self._tokens[index],
            "padding": round(padding(self._tokens[index]), 4),
            "seconds": round(now - self._last, 3),
            **self._notes.get(state.global_step, {}),
        }
        self._last = now
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")
        rate = self._tokens[index] / max(line["seconds"], 1e-9)
        figures = f"loss {logs['loss']:.3f}, {rate:,.0f} tokens/s, padding {line['padding']:.1%}, {peak_memory() / 2**30:.1f} GiB"
        self._progress.update(self._bar, completed=state.global_step, note=figures)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Seal the checkpoint: until then it does not count."""
        seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`."""
    return [json.loads(line) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in whole if line.endswith("\n")]


def _take_only_row(rows: Sequence[PackedRow]) -> dict[str, PackedRow]:
    assert len(rows) == 1, f"a batch is one packed row, got {len(rows)}"
    return {"packed": rows[0]}
