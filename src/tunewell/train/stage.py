"""The stage `train`: encode the rows, plan the steps, fit the adapter, and leave everything a reader wants to know."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from tunewell.errors import DataError
from tunewell.memory import peak_memory
from tunewell.model.attention import enable_packed_attention
from tunewell.model.load import Choice, load_base, load_tokenizer, number_format
from tunewell.progress import progress_bar
from tunewell.recipe import Recipe, Train
from tunewell.records import Example, Summary
from tunewell.store import atomic_folder, folder_digest, read_examples, write_json
from tunewell.template import Encoded, Loss, open_format, spans, write_contract
from tunewell.train.adapter import add_lora, count_parameters, save_adapter
from tunewell.train.batches import PackedSteps, Step, plan_steps
from tunewell.train.checkpoints import newest_whole
from tunewell.train.isolation import check_isolation
from tunewell.train.rows import LeftOut, encode_rows
from tunewell.train.trainer import PackedTrainer, RunLog, read_log

_PREVIEW_ROWS = 3


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Train on `mix/train` and leave `adapter/` with its prompt contract, and what a reader wants to know.

    That is `training.json`, `log.jsonl`, `preview.json`, `left_out.jsonl` and `shortened.jsonl`. Goes on from the newest whole checkpoint in `checkpoints/`; the adapter is then, on one process, bit for bit that of an
    uninterrupted run. Raises `DataError` where no row can be trained.
    """
    finished = out_dir / "training.json"
    if finished.exists():
        return _summary(json.loads(finished.read_text(encoding="utf-8")))
    plan, seed = settings.train, settings.seed
    base = inputs["model"]
    tokenizer = load_tokenizer(base)
    chat, loss = open_format(settings.template, tokenizer), Loss(plan.answers, plan.reasoning)
    encoded, left_out, shortened = encode_rows(read_examples(inputs["mix"] / "train"), chat, loss, context=plan.context)
    _write_left_out(left_out, out_dir / "left_out.jsonl")
    _write_left_out(shortened, out_dir / "shortened.jsonl")
    if not encoded:
        raise DataError("no row can be trained", where=str(inputs["mix"] / "train"), hint=f"see {out_dir / 'left_out.jsonl'}")
    _write_preview(encoded, tokenizer, out_dir / "preview.json")
    examples = [encoding for _, encoding in encoded]
    lengths = [len(encoding.ids) for encoding in examples]
    steps = plan_steps(lengths, epochs=plan.epochs, batch_tokens=plan.batch_tokens, seed=seed)

    number = number_format()
    model = load_base(base, number.dtype)
    choices = [number.choice, _choose_attention(model, examples)]
    fitted = _fit(model, examples, steps, plan=plan, seed=seed, out_dir=out_dir)
    lineage = {
        "base": folder_digest(base),
        "data": folder_digest(inputs["mix"] / "train"),
        "template": chat.hash,
        "seed": seed,
        "method": plan.method,
    }
    with atomic_folder(out_dir / "adapter") as folder:
        tokenizer.chat_template = chat.jinja()
        save_adapter(fitted.model, tokenizer, folder)
        write_contract(chat, loss, folder)
        write_json(folder / "lineage.json", lineage)
    training = _describe(fitted, examples, steps, plan=plan) | {
        "dtype": str(number.dtype).removeprefix("torch."),
        "choices": [choice._asdict() for choice in choices],
        "template": chat.description,
        "rows": len(examples),
        "left_out": len(left_out),
        "shortened": len(shortened),
    }
    write_json(finished, training)
    shutil.rmtree(out_dir / "checkpoints", ignore_errors=True)
    return _summary(training)


def _summary(training: Mapping[str, Any]) -> Summary:
    return Summary({name: training[name] for name in ("rows", "steps", "left_out", "shortened")}, training)


class _Fitted(NamedTuple):
    model: PeftModel
    seconds: float
    log: list[dict[str, Any]]


def _fit(
    model: PreTrainedModel, examples: Sequence[Encoded], steps: Sequence[Step], *, plan: Train, seed: int, out_dir: Path
) -> _Fitted:
    tuned = add_lora(model, rank=plan.rank, alpha=plan.alpha, targets=plan.targets, seed=seed)
    checkpoints = out_dir / "checkpoints"
    tokens = [sum(len(examples[index].ids) for index in step.examples) for step in steps]
    with progress_bar("train", total=len(steps)) as (progress, bar):
        log = RunLog(out_dir / "log.jsonl", steps, tokens, progress, bar)
        trainer = PackedTrainer(
            model=tuned,
            args=_arguments(plan, steps=len(steps), seed=seed, folder=checkpoints),
            train_dataset=PackedSteps(examples, steps),
            autocast=model.dtype if model.dtype != torch.float32 else None,
            callbacks=[log],
        )
        _silence(trainer)
        resume = newest_whole(checkpoints)
        started = time.perf_counter()
        with disable_input_dtype_casting(tuned):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return _Fitted(tuned, time.perf_counter() - started, read_log(out_dir / "log.jsonl"))


def _arguments(plan: Train, *, steps: int, seed: int, folder: Path) -> TrainingArguments:
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
        save_total_limit=2,
        seed=seed,
        data_seed=seed,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
    )


def _silence(trainer: PackedTrainer) -> None:
    """Take out the callback that prints every log line: the progress bar shows it."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _choose_attention(model: PreTrainedModel, examples: Sequence[Encoded]) -> Choice:
    enable_packed_attention(model)
    difference = check_isolation(model, examples[:3])
    return Choice("padding-free rows", f"packed examples do not see each other: losses alone and packed differ by {difference:.1e}")


def _describe(fitted: _Fitted, examples: Sequence[Encoded], steps: Sequence[Step], *, plan: Train) -> dict[str, Any]:
    total, trainable = count_parameters(fitted.model)
    trained = sum(len(examples[index].ids) for step in steps for index in step.examples)
    supervised = sum(label >= 0 for step in steps for index in step.examples for label in examples[index].labels)
    seconds = sum(line["seconds"] for line in fitted.log)
    last = fitted.log[-max(1, len(fitted.log) // 10) :]
    return {
        "method": plan.method,
        "rank": plan.rank,
        "alpha": plan.alpha,
        "learning_rate": plan.learning_rate,
        "parameters": total - trainable,
        "trainable_parameters": trainable,
        "trained_tokens": trained,
        "supervised_tokens": supervised,
        "steps": len(steps),
        "epochs": plan.epochs,
        "seconds": round(seconds, 2),
        "tokens_per_second": round(trained / seconds, 1),
        "loss": round(sum(line["loss"] for line in last) / len(last), 4),
        "peak_rss_bytes": peak_memory(),
    }


def _write_left_out(left_out: Sequence[LeftOut], path: Path) -> None:
    lines = [json.dumps({"id": row.id, "origin": row.origin, "reason": row.reason}, ensure_ascii=False) for row in left_out]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _write_preview(encoded: Sequence[tuple[Example, Encoded]], tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    rows = [{"id": example.id, "tokens": spans(encoding, tokenizer)} for example, encoding in encoded[:_PREVIEW_ROWS]]
    write_json(path, rows)
