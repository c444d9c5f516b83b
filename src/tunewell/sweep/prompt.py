"""How sensitive a base model is to its prompt: the same test items before tuning, under one prompt format after another."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa

from tunewell import __version__
from tunewell.errors import DataError, TemplateError
from tunewell.evaluate import Ask, ask_base, domain_asks
from tunewell.model.attention import enable_packed_attention
from tunewell.model.generate import Decoding
from tunewell.model.load import load_base, load_tokenizer, number_format
from tunewell.model.locate import locate
from tunewell.pipeline import Caller, only_one_process, run_recipe, stage_folder
from tunewell.recipe import Recipe
from tunewell.records import RESULT_SCHEMA, Example, Result, result_to_row
from tunewell.store import atomic_write, digest, folder_digest, friendly_disk_errors, read_examples, write_json, write_rows
from tunewell.sweep.formats import Candidate, Field, candidates, open_field
from tunewell.sweep.markdown import render
from tunewell.sweep.table import Plan, make_table
from tunewell.template import Loss

ITEMS = 100
"""Test items that are asked under each format, where nothing else is said."""
TABLE = "table.json"
_SCHEMA = pa.schema([("format", pa.string()), *RESULT_SCHEMA])


def sweep_prompt(
    recipe: Recipe,
    run_dir: Path,
    *,
    formats: Sequence[str] = (),
    items: int = ITEMS,
    caller: Caller = Caller(),  # noqa: B008  a NamedTuple does not change
    scored: Callable[[str], None] = lambda label: None,
) -> Mapping[str, Any]:
    """Score the base model before tuning under its own prompt format, the recipe's, those named in `formats`, and five others.

    The run is brought up to date as far as `mix`, and at most `items` of its test items are asked. `RUN/sweeps/prompt` gets
    `results/` (every answer under every format), `table.json`, whose content is returned, and `table.md`. Answers are kept as they
    come: a sweep that was cut off goes on, and one that has been made is not made again. `scored` is called when a format is done.

    Raises `TemplateError` where there is no such family, or no format fits; `DataError` where the run has no test items.
    """
    found = candidates(recipe.template, formats)
    run_recipe(recipe, run_dir, until="mix", caller=caller)
    folder = run_dir / "sweeps" / "prompt"
    with friendly_disk_errors(folder), only_one_process(folder):
        base = locate(recipe.model)
        tokenizer = load_tokenizer(base)
        asks = choose_items(_tests(stage_folder(run_dir, "mix") / "test"), items)
        field = open_field(found, tokenizer, asks, Loss(recipe.train.answers, recipe.train.reasoning))
        if not field.entrants:
            reasons = [f"`{entry.candidate.label}`: {entry.reason}" for entry in field.not_scored]
            raise TemplateError("\n  ".join(["no format fits this base", *reasons]), where=recipe.model)
        plan = Plan(recipe.evaluate.batch, recipe.evaluate.max_new_tokens, recipe.gate.confidence, recipe.seed)
        weights = folder_digest(base)
        key = digest([__version__, weights, repr(plan), recipe.model, recipe.template, recipe.report.language, _identity(field)])
        if (made := _made(folder, key)) is not None:
            return made
        answers = _ask(field, base, weights, plan, folder / "journal", scored=scored)
        (folder / TABLE).unlink(missing_ok=True)
        write_rows(folder / "results", _SCHEMA, _result_rows(answers))
        table = {"key": key, "model": recipe.model} | make_table(field, answers, plan, tokenizer, template=recipe.template)
        with atomic_write(folder / "table.md") as temporary:
            temporary.write_text(render(table, recipe.report.language), encoding="utf-8")
        write_json(folder / TABLE, table)
        return table


def choose_items(tests: Sequence[Example], count: int) -> list[Ask]:
    """At most `count` test items: one of every family before a second of any, the slices in turn.

    Where there are more families than items, families at even distances are taken, so that every topic is met.
    """
    by_family: dict[str, list[Ask]] = {}
    for ask in domain_asks(tests, per_slice=len(tests)):
        by_family.setdefault(ask.family, []).append(ask)
    every = list(by_family.values())
    families = [every[place * len(every) // count] for place in range(count)] if count < len(every) else every
    turned = [family[place % len(family) :] + family[: place % len(family)] for place, family in enumerate(families)]
    return [ask for round_ in zip_longest(*turned) for ask in round_ if ask is not None][:count]


def _tests(folder: Path) -> list[Example]:
    tests = list(read_examples(folder))
    if not tests:
        hint = "give `data.test`, or set `data.holdout` above 0 and more domain rows"
        raise DataError("there is no test item", where=str(folder), hint=hint)
    return tests


def _identity(field: Field) -> str:
    """A hash of the formats, those that are not scored among them, and of the items."""
    return digest(
        [
            [[*entrant.candidate, entrant.chat.hash] for entrant in field.entrants],
            [[*entry.candidate, entry.reason] for entry in field.not_scored],
            _items_digest(field.asks),
            field.left_out,
        ]
    )


def _items_digest(asks: Sequence[Ask]) -> str:
    return digest([[ask.item, ask.family, repr(ask.messages), ask.reference] for ask in asks])


def _made(folder: Path, key: str) -> Mapping[str, Any] | None:
    """The table that lies in the folder, if it is of this very sweep. It goes before its results do, and comes after them."""
    try:
        table = json.loads((folder / TABLE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return table if isinstance(table, dict) and table.get("key") == key else None


def _ask(
    field: Field, base: Path, weights: str, plan: Plan, journals: Path, *, scored: Callable[[str], None]
) -> dict[Candidate, list[Result]]:
    """The answers under every format. Which prompts are decoded together hangs on the items, so the journals do as well."""
    dtype = number_format().dtype
    model = load_base(base, dtype)
    enable_packed_attention(model)
    answers = {}
    for candidate, chat in field.entrants:
        decoding = Decoding(plan.batch, chat.stop_ids, plan.max_new_tokens)
        identity = digest([weights, str(dtype), chat.hash, plan.batch, plan.max_new_tokens, _items_digest(field.asks)])
        answers[candidate] = ask_base(model, chat, field.asks, decoding, journal=journals / identity)
        scored(candidate.label)
    return answers


def _result_rows(answers: Mapping[Candidate, Sequence[Result]]) -> list[dict[str, Any]]:
    return [{"format": candidate.template} | result_to_row(result) for candidate in answers for result in answers[candidate]]
