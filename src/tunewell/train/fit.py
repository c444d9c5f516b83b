"""The training loop: a model whose parameters are chosen, the steps of the plan, and the guards that watch it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback

from tunewell.progress import progress_bar
from tunewell.recipe import Train
from tunewell.template import Encoded
from tunewell.train.batches import PackedSteps, Step
from tunewell.train.checkpoints import newest_whole
from tunewell.train.divergence import GuardedTrainer, replay_row
from tunewell.train.floor import RetentionFloor
from tunewell.train.methods import Tuning
from tunewell.train.survival import heeding_sigterm, saying_what_fits
from tunewell.train.trainer import Notes, PackedTrainer, RunLog, read_log


class Work(NamedTuple):
    """What is trained on: the examples, which of them are replay rows, and the steps that they are taken in."""

    examples: Sequence[Encoded]
    is_replay: Sequence[bool]
    steps: Sequence[Step]


class Watch(NamedTuple):
    """The guards of a run: the weight of the divergence, the checkpoints kept, the floor, if any, and what they note in the log."""

    kl: float
    keep: int
    floor: RetentionFloor | None
    notes: Notes


def fit(tuning: Tuning, work: Work, watch: Watch, plan: Train, *, out_dir: Path, seed: int) -> list[dict[str, Any]]:
    """Train the model in place, going on from the newest whole checkpoint, and leave the weights in it that are to be kept.

    Returns the log of its steps.
    """
    checkpoints = out_dir / "checkpoints"
    tokens = [sum(len(work.examples[index].ids) for index in step.examples) for step in work.steps]
    with progress_bar("train", total=len(work.steps)) as (progress, bar):
        log = RunLog(out_dir / "log.jsonl", work.steps, tokens, watch.notes, progress, bar)
        trainer = _trainer(
            work,
            watch,
            model=tuning.model,
            args=_arguments(plan, steps=len(work.steps), seed=seed, folder=checkpoints, keep=watch.keep),
            train_dataset=PackedSteps(work.examples, work.steps),
            autocast=None if tuning.dtype == torch.float32 else tuning.dtype,
            callbacks=[*([watch.floor] if watch.floor else []), log],
        )
        trainer.remove_callback(PrinterCallback)  # it prints every log line: the progress bar shows it
        resume = newest_whole(checkpoints)
        if watch.floor is None or not watch.floor.stopped:
            with heeding_sigterm() as preemption, saying_what_fits(trainer, tokens), _no_needless_casts(tuning.model):
                trainer.add_callback(preemption)
                trainer.train(resume_from_checkpoint=str(resume) if resume else None)
            preemption.check(trainer.state)
    if watch.floor is not None:
        watch.floor.take_back(tuning.model)
    return read_log(out_dir / "log.jsonl")


def _trainer(work: Work, watch: Watch, **arguments: Any) -> PackedTrainer:
    if not watch.kl:
        return PackedTrainer(**arguments)
    replay = partial(replay_row, work.examples, work.is_replay, work.steps)
    return GuardedTrainer(weight=watch.kl, replay=replay, notes=watch.notes, **arguments)


def _no_needless_casts(model: torch.nn.Module) -> AbstractContextManager[None]:
    """Under autocast the inputs of an adapter need no cast of their own."""
    if not isinstance(model, PeftModel):
        return nullcontext()
    casting: AbstractContextManager[None] = disable_input_dtype_casting(model)
    return casting


def _arguments(plan: Train, *, steps: int, seed: int, folder: Path, keep: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(plan.warmup * steps),
        weight_decay=plan.weight_decay,
        optim="adamw_torch",
        logging_strategy="steps",
        logging_steps=1,
        save_strategy="steps",
        save_steps=plan.save_every,
        save_total_limit=keep,
        seed=seed,
        data_seed=seed,
        report_to=list(plan.report_to) or "none",
        run_name=folder.parent.parent.name,
        project="tunewell",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
    )
