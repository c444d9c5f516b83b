"""What a recipe says of a training, and the rows that it trains on."""

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tunewell.errors import ModelError
from tunewell.model.lineage import find_adapter
from tunewell.plan.job import Job
from tunewell.plan.rows import SAMPLE, Rows, every_nth, measure, mixed_counts, rows_from
from tunewell.recipe import Recipe, Train
from tunewell.records import POOLS, Example, Pool
from tunewell.store import count_rows, read_examples
from tunewell.template import Loss, open_format

_CHUNK, _CHUNK_OF_A_TRAINED_HEAD = 128, 512
"""Positions that `tunewell.train.loss` projects onto the vocabulary at once; a test holds the figures equal."""


def job_of(train: Train) -> Job:
    """The job that a recipe's section describes; an adapter that is trained on keeps its own shape. Raises `ModelError`."""
    chunk = _CHUNK_OF_A_TRAINED_HEAD if train.method == "full" else _CHUNK
    common: dict[str, Any] = {
        "method": train.method,
        "context": train.context,
        "batch_tokens": train.batch_tokens,
        "chunk": chunk,
    }
    if isinstance(train.start, dict) and "continue" in train.start:
        return Job(**common, **_shape(find_adapter(Path(train.start["continue"]))))
    return Job(**common, rank=train.rank, targets=train.targets, dora=train.variant == "dora")


def mixture_rows(recipe: Recipe, mix: Path, tokenizer: Path) -> Rows:
    """The rows of a run's mixture, counted as they are trained; of more than some thousand only those, evenly spread."""
    audit = json.loads((mix / "mixture.json").read_text(encoding="utf-8"))
    rows = {pool["pool"]: pool["rows"] for pool in audit["pools"]}
    counts: dict[Pool, int] = {pool: rows.get(pool, 0) for pool in POOLS}
    every = count_rows(mix / "train")
    examples = every_nth(read_examples(mix / "train"), every)
    source = f"counted in {mix}" if every <= SAMPLE else f"estimated from {SAMPLE:,} of {every:,} rows in {mix}"
    return _measured(recipe, examples, counts, tokenizer, source)


def estimated_rows(recipe: Recipe, pools: Mapping[Pool, Iterable[Example]], tokenizer: Path) -> Rows:
    """The rows that a mixture would have, by the rows of the files before any of them is generated or cleaned."""
    samples: dict[Pool, list[Example]] = {"domain": [], "open": []}
    found: dict[Pool, int] = {"domain": 0, "open": 0}
    for pool, examples in pools.items():
        for example in examples:
            found[pool] += 1
            if len(samples[pool]) < SAMPLE:
                samples[pool].append(example)
    ratio: dict[Pool, float] = {"domain": recipe.data.ratio.domain, "open": recipe.data.ratio.open}
    counts = mixed_counts(found, ratio, held_out=0 if recipe.data.test else recipe.data.holdout)
    drawn = chain.from_iterable(_in_proportion(samples, counts))
    source = f"estimated from the files ({sum(found.values()):,} rows, before generation and cleaning)"
    return _measured(recipe, drawn, counts, tokenizer, source)


def _in_proportion(samples: Mapping[Pool, list[Example]], counts: Mapping[Pool, int]) -> list[list[Example]]:
    """As large a sample as there is in which the pools stand as in the mixture."""
    scale = min((len(samples[pool]) / counts[pool] for pool in samples if counts[pool]), default=0.0)
    return [samples[pool][: max(1, round(counts[pool] * min(1.0, scale)))] for pool in samples if counts[pool]]


def _measured(recipe: Recipe, examples: Iterable[Example], counts: Mapping[Pool, int], tokenizer: Path, source: str) -> Rows:
    from tunewell.model.load import load_tokenizer

    train = recipe.train
    chat = open_format(recipe.template, load_tokenizer(tokenizer))
    measured = measure(examples, chat, Loss(train.answers, train.reasoning), context=train.context)
    return rows_from(measured, counts, batch_tokens=train.batch_tokens, source=source)


def _shape(adapter: Path) -> dict[str, Any]:
    path = adapter / "adapter_config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {"rank": int(values["r"]), "targets": values["target_modules"], "dora": bool(values.get("use_dora"))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the adapter's shape cannot be read: {error}", where=str(path)) from error
