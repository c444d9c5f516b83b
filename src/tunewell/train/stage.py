"""The stage `train`: encode the rows, plan the steps, train by the recipe's method, and leave what a reader wants to know."""

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tunewell import __version__
from tunewell.errors import DataError, RecipeError
from tunewell.memory import peak_memory
from tunewell.model.attention import enable_packed_attention
from tunewell.model.lineage import MERGED, weights_digest, write_lineage
from tunewell.model.load import Choice, load_tokenizer
from tunewell.recipe import Guard, Recipe, Train
from tunewell.records import Example, Summary
from tunewell.retention import languages_of, retention_items
from tunewell.store import atomic_folder, folder_digest, read_examples, write_json
from tunewell.template import Encoded, Loss, PromptFormat, open_format, spans, write_contract
from tunewell.train.adapter import count_parameters
from tunewell.train.batches import largest_step, plan_steps
from tunewell.train.fit import Watch, Work, fit
from tunewell.train.floor import KEPT_WEIGHTS, QUICK_ITEMS, RetentionFloor, quick_score
from tunewell.train.isolation import check_isolation
from tunewell.train.methods import Tuning, load_for, make_trainable, save_weights
from tunewell.train.reporters import prepare_reporters
from tunewell.train.rows import EncodedRows, LeftOut, encode_rows
from tunewell.train.speed import speed_up
from tunewell.train.start import Start, prepare_start
from tunewell.train.trainer import Notes

_PREVIEW_ROWS = 3
_PACKAGES = ("torch", "transformers", "peft")
_REPLAY = "replay"


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Train on `mix/train` and leave `adapter/` or `model/` with its prompt contract and lineage, and what a reader wants to know.

    That is `training.json`, `log.jsonl`, `preview.json`, `left_out.jsonl` and `shortened.jsonl`. An adapter whose base has another
    one folded in leaves that base in `merged/`. Goes on from the newest whole checkpoint in `checkpoints/`; what is trained is
    then, on one process, bit for bit that of an uninterrupted run. Raises `DataError` where no row can be trained.
    """
    finished = out_dir / "training.json"
    if finished.exists():
        return _summary(json.loads(finished.read_text(encoding="utf-8")))
    plan, guard, seed, data = settings.train, settings.guard, settings.seed, inputs["mix"] / "train"
    prepare_reporters(plan.report_to, out_dir)
    tokenizer = load_tokenizer(inputs["model"])
    chat, loss = open_format(settings.template, tokenizer), Loss(plan.answers, plan.reasoning)
    start = prepare_start(plan.start, inputs["model"], chat, tokenizer, out_dir=out_dir)
    encoded = _encode(data, chat, loss, tokenizer, context=plan.context, out_dir=out_dir)
    work = _work(encoded.rows, plan, guard, seed=seed)

    loaded = load_for(plan.method, start.base)
    choices = [*loaded.choices, _choose_attention(loaded.model, work.examples)]
    watch = _watch(guard, chat, [example for example, _ in encoded.rows], dtype=loaded.dtype, out_dir=out_dir)
    if watch.floor is not None:
        watch.floor.measure_base(loaded.model)
    tuning = make_trainable(loaded, plan, start, seed=seed)
    choices += speed_up(tuning.model, work.examples[0], largest=largest_step(work.examples, work.steps), dtype=tuning.dtype)
    log = fit(tuning, work, watch, plan, out_dir=out_dir, seed=seed)

    lineage = _lineage(start, plan, data=folder_digest(data), template=chat.hash, seed=seed)
    with atomic_folder(out_dir / tuning.kind) as folder:
        tokenizer.chat_template = chat.jinja()
        save_weights(tuning.model, tokenizer, folder, base=inputs["model"])
        write_contract(chat, loss, folder)
        write_lineage(folder, lineage)
    training = _describe(tuning, work, log, plan) | {
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "choices": [choice._asdict() for choice in choices],
        "guard": watch.floor.found if watch.floor else None,
        "template": chat.description,
        "rows": len(encoded.rows),
        "left_out": len(encoded.left_out),
        "shortened": len(encoded.shortened),
    }
    write_json(finished, training)
    _clear(out_dir, tuning)
    return _summary(training)


def _summary(training: Mapping[str, Any]) -> Summary:
    return Summary({name: training[name] for name in ("rows", "steps", "left_out", "shortened")}, training)


def _encode(
    data: Path, chat: PromptFormat, loss: Loss, tokenizer: PreTrainedTokenizerBase, *, context: int, out_dir: Path
) -> EncodedRows:
    encoded = encode_rows(read_examples(data), chat, loss, context=context)
    _write_left_out(encoded.left_out, out_dir / "left_out.jsonl")
    _write_left_out(encoded.shortened, out_dir / "shortened.jsonl")
    if not encoded.rows:
        raise DataError("no row can be trained", where=str(data), hint=f"see {out_dir / 'left_out.jsonl'}")
    _write_preview(encoded.rows, tokenizer, out_dir / "preview.json")
    return encoded


def _work(rows: Sequence[tuple[Example, Encoded]], plan: Train, guard: Guard, *, seed: int) -> Work:
    examples = [encoding for _, encoding in rows]
    is_replay = [example.task == _REPLAY for example, _ in rows]
    if guard.kl and not any(is_replay):
        problem = "guard.kl: the mixture holds no replay rows to hold the model near its base on; set generate.replay, or kl: 0"
        raise RecipeError([problem], where="recipe")
    lengths = [len(encoding.ids) for encoding in examples]
    return Work(examples, is_replay, plan_steps(lengths, epochs=plan.epochs, batch_tokens=plan.batch_tokens, seed=seed))


def _watch(guard: Guard, chat: PromptFormat, rows: Sequence[Example], *, dtype: torch.dtype, out_dir: Path) -> Watch:
    notes: Notes = {}
    if not guard.floor:
        return Watch(guard.kl, guard.keep, None, notes)
    items = retention_items(languages_of(rows), count=QUICK_ITEMS)
    score = partial(quick_score, chat=chat, items=items, dtype=dtype)
    floor = RetentionFloor(out_dir, floor=guard.floor, every=guard.every, score=score, notes=notes)
    return Watch(guard.kl, guard.keep, floor, notes)


def _choose_attention(model: PreTrainedModel, examples: Sequence[Encoded]) -> Choice:
    enable_packed_attention(model)
    difference = check_isolation(model, examples[:3])
    return Choice("padding-free rows", f"packed examples do not see each other: losses alone and packed differ by {difference:.1e}")


def _lineage(start: Start, plan: Train, *, data: str, template: str, seed: int) -> dict[str, Any]:
    packages = (*_PACKAGES, "bitsandbytes") if plan.method == "qlora" else _PACKAGES
    return {
        "base": weights_digest(start.base),
        "data": data,
        "template": template,
        "seed": seed,
        "method": plan.method,
        "start": start.how,
        "parents": start.parents,
        "versions": {"tunewell": __version__} | {name: version(name) for name in packages},
    }


def _describe(tuning: Tuning, work: Work, log: Sequence[Mapping[str, Any]], plan: Train) -> dict[str, Any]:
    base, trainable = count_parameters(tuning.model)
    done = [work.examples[index] for step in work.steps[: len(log)] for index in step.examples]
    trained = sum(len(example.ids) for example in done)
    seconds = sum(line["seconds"] for line in log)
    last = log[-max(1, len(log) // 10) :]
    return {
        "method": plan.method,
        "start": plan.start if isinstance(plan.start, str) else next(iter(plan.start)),
        **(tuning.shape._asdict() if tuning.shape else {}),
        "learning_rate": plan.learning_rate,
        "parameters": base,
        "trainable_parameters": trainable,
        "trained_tokens": trained,
        "supervised_tokens": sum(label >= 0 for example in done for label in example.labels),
        "steps": len(log),
        "epochs": plan.epochs,
        "seconds": round(seconds, 2),
        "tokens_per_second": round(trained / seconds, 1),
        "loss": round(sum(line["loss"] for line in last) / len(last), 4),
        "peak_rss_bytes": peak_memory(),
    }


def _clear(out_dir: Path, tuning: Tuning) -> None:
    """Take away what only training needed: a whole model needs no base."""
    shutil.rmtree(out_dir / "checkpoints", ignore_errors=True)
    (out_dir / KEPT_WEIGHTS).unlink(missing_ok=True)
    if tuning.kind == "model":
        shutil.rmtree(out_dir / MERGED, ignore_errors=True)


def _write_left_out(left_out: Sequence[LeftOut], path: Path) -> None:
    lines = [json.dumps({"id": row.id, "origin": row.origin, "reason": row.reason}, ensure_ascii=False) for row in left_out]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _write_preview(encoded: Sequence[tuple[Example, Encoded]], tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    rows = [{"id": example.id, "tokens": spans(encoding, tokenizer)} for example, encoding in encoded[:_PREVIEW_ROWS]]
    write_json(path, rows)
