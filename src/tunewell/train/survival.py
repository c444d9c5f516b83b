"""What a training run does when it is asked to end, and when memory runs out."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tunewell.errors import MachineError, Preempted


class Preemption(TrainerCallback):
    """Once it `is_asked` to, it ends training after the step that is being done, with a checkpoint."""

    is_asked = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Save and stop, where that was asked for and there is more to do."""
        if self._ends(state):
            control.should_save = control.should_training_stop = True

    def check(self, state: TrainerState) -> None:
        """Raise `Preempted` where training was stopped before its end."""
        if self._ends(state):
            done = f"{state.global_step} of {state.max_steps} steps"
            raise Preempted(f"stopped by SIGTERM after {done}; the same command goes on from there")

    def _ends(self, state: TrainerState) -> bool:
        return self.is_asked and state.global_step < state.max_steps


@contextmanager
def heeding_sigterm() -> Iterator[Preemption]:
    """While this is open, SIGTERM, which schedulers send before they take a machine away, asks for the end of training."""
    preemption = Preemption()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may ask for signals
        yield preemption
        return

    def ask(*_: Any) -> None:
        preemption.is_asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield preemption
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def saying_what_fits(trainer: Trainer, tokens: Sequence[int]) -> Iterator[None]:
    """Turn running out of memory into a `MachineError` with a batch that fits. `tokens` are those of each step."""
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        step = trainer.state.global_step
        problem = f"memory ran out at step {step + 1}, which has {tokens[step]:,} tokens"
        hint = f"{_what_fits(tokens, step)}; `tunewell plan RECIPE` says what takes how much"
        raise MachineError(problem, where="train", hint=hint) from error


def _what_fits(tokens: Sequence[int], step: int) -> str:
    smaller = [done for done in tokens[:step] if done < tokens[step]]
    if smaller:
        return f"set train.batch_tokens: {max(smaller)}, which went through, and a train.context that is no longer"
    return f"no step went through yet: try train.batch_tokens: {tokens[step] // 2}, and a train.context that is no longer"


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
