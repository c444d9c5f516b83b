"""The dial: after training, how much of its change to keep, by domain score and retention at several values."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedModel

from tunewell import __version__
from tunewell.errors import DataError, RecipeError, UserError
from tunewell.evaluate import ModelName, Questions, ask_model, domain_asks
from tunewell.gate import Claim, judge_results
from tunewell.memory import release_memory
from tunewell.model.attention import enable_packed_attention
from tunewell.model.generate import Decoding
from tunewell.model.lineage import ADAPTER, MODEL, Trained, open_trained
from tunewell.model.load import load_base, load_tokenizer, number_format
from tunewell.model.locate import locate
from tunewell.model.scale import load_scaled, save_scaled
from tunewell.pipeline import only_one_process, stage_folder
from tunewell.recipe import Recipe, load_recipe
from tunewell.records import Example, Result
from tunewell.retention import languages_of, retention_items
from tunewell.store import (
    Manifest,
    atomic_folder,
    atomic_write,
    digest,
    folder_digest,
    friendly_disk_errors,
    read_examples,
    write_json,
)
from tunewell.template import PromptFormat, open_contract

VALUES = 6
"""Values of alpha, at even distances from 0 to 1, where nothing else is said."""
_FRESH = ("paraphrase", "unseen")
_TABLE = "dial.json"
_SHOWN = ("n", "base", "tuned", "difference", "low", "high", "verdict")


class _Asked(NamedTuple):
    """What every model is asked, under which prompt format, and how it answers."""

    chat: PromptFormat
    questions: Questions
    decoding: Decoding


def turn_dial(
    run_dir: Path, *, values: int = VALUES, save: bool = False, measured: Callable[[float], None] = lambda alpha: None
) -> Mapping[str, Any]:
    """Measure a finished training at `values` shares alpha of its change, and offer the best that keeps enough of the base.

    The best is that with the highest domain score among those whose retention claim passes the recipe's gate. `RUN/dial` gets
    `dial.json`, whose content is returned, and `dial.md`; with `save` also the model at the best alpha, as `adapter/` or `model/`.
    Answers are kept as they come: a dial that was cut off goes on. `measured` is called when a value is done.

    Raises `UserError` where the folder is no run, `ModelError` where nothing is trained in it, `DataError` where it has no test
    items, `RecipeError` where its recipe turns the retention suite off.
    """
    if not (run_dir / "recipe.yaml").exists():
        hint = "give the folder of a run, such as runs/demo-en, after `tunewell train` or `tunewell run`"
        raise UserError("this is no run", where=str(run_dir), hint=hint)
    recipe = load_recipe(run_dir / "recipe.yaml")
    training = stage_folder(run_dir, "train")
    base = locate(recipe.model)
    trained = open_trained(training, base)
    chat = open_contract(trained.folder, load_tokenizer(base))
    questions = _questions(recipe, stage_folder(run_dir, "mix") / "test")
    folder = run_dir / "dial"
    with friendly_disk_errors(folder), only_one_process(folder):
        weights = [folder_digest(base), *map(folder_digest, trained.parts)]
        key = digest([__version__, weights, values, repr(recipe.evaluate), repr(recipe.gate), chat.hash, repr(questions)])
        table = _made(folder / _TABLE, key)
        if table is None:
            asked = _Asked(chat, questions, Decoding(recipe.evaluate.batch, chat.stop_ids, recipe.evaluate.max_new_tokens))
            alphas = [place / (values - 1) for place in range(values)]
            reference, turned = _measure(trained, base, alphas, asked, journals=folder / "journal", measured=measured)
            rows = [_row(alpha, judge_results([*reference, *turned[alpha]], recipe.gate, where=str(folder))) for alpha in alphas]
            best = best_alpha(rows)
            of = Manifest.read(training)
            table = {
                "key": key,
                "training": of and of.outputs,
                "best": best,
                "advice": _advice(rows, best),
                "confidence": recipe.gate.confidence,
                "rows": rows,
            }
            with atomic_write(folder / "dial.md") as temporary:
                temporary.write_text(_markdown(table), encoding="utf-8")
            write_json(folder / _TABLE, table)
        saved = _save(trained, base, table["best"], folder) if save and table["best"] is not None else None
        return {**table, "saved": saved and str(saved)}


def _questions(recipe: Recipe, tests: Path) -> Questions:
    items: list[Example] = [example for example in read_examples(tests) if example.task in _FRESH]
    if not items:
        hint = "give `data.test`, or set `data.holdout` above 0 and more domain rows"
        raise DataError("there is no test item that was not trained on", where=str(tests), hint=hint)
    if not recipe.evaluate.retention:
        raise RecipeError(["evaluate.retention: 0 turns off what the dial is for"], where="recipe")
    asks = domain_asks(items, per_slice=recipe.evaluate.items)
    return Questions(asks, retention_items(languages_of(items), count=recipe.evaluate.retention))


def _measure(
    trained: Trained, base: Path, alphas: Sequence[float], asked: _Asked, *, journals: Path, measured: Callable[[float], None]
) -> tuple[list[Result], dict[float, list[Result]]]:
    """The results of the recipe's model, and those at each alpha."""
    dtype = number_format().dtype

    def results_of(name: ModelName, load: Callable[[], PreTrainedModel], weights: Sequence[Any]) -> list[Result]:
        model = load()
        enable_packed_attention(model)
        identity = digest([weights, str(dtype), asked.chat.hash, asked.decoding.batch, asked.decoding.max_new_tokens])
        results = ask_model(name, model, asked.chat, asked.questions, asked.decoding, journal=journals / identity)
        del model
        release_memory()
        return results

    reference = results_of("base", lambda: load_base(base, dtype), [folder_digest(base)])
    turned = {}
    for alpha in alphas:
        weights = [*map(folder_digest, [base, *trained.parts]), alpha]
        turned[alpha] = results_of("tuned", partial(load_scaled, trained, base, alpha, dtype), weights)
        measured(alpha)
    return reference, turned


def _row(alpha: float, claims: Sequence[Claim]) -> dict[str, Any]:
    """The two claims that the dial weighs against each other, at one alpha."""
    by_name = {claim.name: claim for claim in claims}
    return {"alpha": alpha} | {
        short: {name: getattr(by_name[long], name) for name in _SHOWN}
        for short, long in (("domain", "domain_gain"), ("retention", "retention"))
    }


def best_alpha(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The alpha of the highest domain score among those whose retention passes, the smaller of equals; None where none passes."""
    passing = [row for row in rows if row["retention"]["verdict"] == "pass"]
    return max(passing, key=lambda row: (row["domain"]["tuned"], -row["alpha"]))["alpha"] if passing else None


def _advice(rows: Sequence[Mapping[str, Any]], best: float | None) -> str:
    whole = rows[-1]
    if best is None:
        return "No value passes the gate's retention margin: ask more retention items (evaluate.retention)."
    if best == 0:
        return "Only the base itself keeps enough: train again with more open rows, fewer epochs or a lower learning rate."
    if best == whole["alpha"]:
        return "Keep the whole change: it passes the gate's retention margin and scores best on the domain."
    return f"Keep {best:g} of the change: of the values that pass the gate's retention margin it scores best on the domain."


def _markdown(table: Mapping[str, Any]) -> str:
    """The page: what to take, and both scores at every alpha."""
    lines = [
        f"# The dial: how much of the training to keep\n\n**{table['advice']}**\n",
        "| α | domain | against the base | retention | against the base | retention claim |",
        "|---:|---:|---:|---:|---:|---|",
    ]
    for row in table["rows"]:
        cells = [f"{row['alpha']:g}"]
        for part in ("domain", "retention"):
            cells += [f"{row[part]['tuned']:.3f}", _difference(row[part])]
        lines.append(f"| {' | '.join(cells)} | {row['retention']['verdict']} |")
    n = {part: table["rows"][0][part]["n"] for part in ("domain", "retention")}
    lines.append(
        f"\nDomain: ROUGE-L F1 of {n['domain']} answers to questions that were not trained. Retention: probability of the right "
        f"choice, {n['retention']} items. Intervals at {table['confidence']:.0%}."
    )
    return "\n".join(lines) + "\n"


def _difference(part: Mapping[str, Any]) -> str:
    interval = "–" if part["low"] is None else f"{part['low']:+.3f} to {part['high']:+.3f}"
    return f"{part['difference']:+.3f} ({interval})"


def _made(path: Path, key: str) -> dict[str, Any] | None:
    """The table that lies there, if it is of this very training and recipe. It is written last."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return table if isinstance(table, dict) and table.get("key") == key else None


def _save(trained: Trained, base: Path, alpha: float, folder: Path) -> Path:
    with atomic_folder(folder / "saved") as temporary:
        kind = save_scaled(trained, base, alpha, temporary)
    for name in (ADAPTER, MODEL):
        shutil.rmtree(folder / name, ignore_errors=True)
    return (folder / "saved").rename(folder / kind)
