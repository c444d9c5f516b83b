"""Mixing: the training rows in the ratio that was asked, the test items, and an audit of both."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import compress
from pathlib import Path

import numpy as np

from tunewell.engine import LOCAL, Engine
from tunewell.mix.arrange import Section, write_sections
from tunewell.mix.audit import audit, counted_tokens, estimated_tokens
from tunewell.mix.choice import Choice, choose, sample_rows, test_rows
from tunewell.mix.columns import pieces_of, read_columns
from tunewell.mix.shares import Turn, shares_from
from tunewell.mix.split import answerable, hold_out, without_unseen
from tunewell.mix.tokens import count_tokens
from tunewell.recipe import Recipe
from tunewell.records import EXAMPLE_SCHEMA, TEST_TASKS, Example, Summary, example_to_row
from tunewell.store import count_rows, read_examples, shards, write_json, write_rows

_SAMPLE = 1_000


def run(
    settings: Recipe,
    inputs: Mapping[str, Path],
    out_dir: Path,
    *,
    engine: Engine = LOCAL,
) -> Summary:
    """Draw the training rows by ratio, and settle the test items.

    Test items that were collected are the test, but for `seen` and `paraphrase` items whose training row was not drawn.
    Without any, a share of the domain families becomes `unseen` items, and as many of the rows trained on are copied as `seen`
    items. Memory holds some numbers a row, never its texts.

    Args:
        settings: The parts `data` and `seed` of a recipe.
        inputs: `clean`, a folder with `examples/`; `collect`, a folder with `test/`, which may be missing or empty; `model`, a
            folder with a tokenizer.
        out_dir: Receives `train/` in the order of training, `test/`, and the audit `mixture.json`.
        engine: Where the rows are read and written; it changes nothing in the files.

    Returns:
        Counts of rows: `train`, `test`, `repeats`, and `left_out` (neither trained on nor held out).

    Raises:
        DataError: A pool that is asked for rows has none, or too few under `when_short: fail`; a cap for no source.
        ModelError: The tokenizer cannot be read.
    """
    data, seed, tokenizer = settings.data, settings.seed, inputs["model"]
    turns: dict[Turn, float] | None = {"single": data.turns.single, "multi": data.turns.multi} if data.turns else None
    shares = shares_from({"domain": data.ratio.domain, "open": data.ratio.open}, turns)
    collected, test, scratch = inputs["collect"] / "test", out_dir / "test", out_dir / "scratch"
    given = count_rows(collected) if collected.is_dir() else 0
    for left_over in (out_dir / "train", test, scratch):
        shutil.rmtree(left_over, ignore_errors=True)

    pieces = pieces_of(shards(inputs["clean"] / "examples"))
    rows = read_columns(pieces, tokenizer=tokenizer if data.by == "tokens" else None, engine=engine)
    split = without_unseen(rows, read_examples(collected)) if given else hold_out(rows, data.holdout, seed=seed)
    choice = choose(rows, split, shares, when_short=data.when_short, caps=data.caps, seed=seed)
    made = {} if given else test_rows(choice, seed=seed)
    samples = {} if data.by == "tokens" else sample_rows(choice, _SAMPLE)
    sections = [Section(out_dir / "train", choice.copies.rows)]
    sections += [Section(test, rows, task) for task, rows in made.items()]
    sections += [Section(scratch / pool, rows) for pool, rows in samples.items()]
    write_sections(pieces, sections, scratch, engine=engine)
    tasks = _write_standing(collected, choice, test) if given else Counter({task: len(rows) for task, rows in made.items()})
    counts = {pool: count_tokens(scratch / pool / "part-00000.parquet", tokenizer) for pool in samples}
    shutil.rmtree(scratch)

    mixture = {
        "by": data.by,
        **audit(choice, shares, estimated_tokens(choice, counts) if samples else counted_tokens(choice)),
        "test_rows": {task: tasks[task] for task in TEST_TASKS},
        "test_left_out": given - tasks.total() if given else 0,
        "held_out_families": split.families,
        "seed": seed,
    }
    write_json(out_dir / "mixture.json", mixture)
    repeats, left_out = (sum(pool[key] for pool in mixture["pools"]) for key in ("repeats", "left_out"))
    return Summary({"train": mixture["train_rows"], "test": tasks.total(), "repeats": repeats, "left_out": left_out})


def _write_standing(collected: Path, choice: Choice, folder: Path) -> Counter[str]:
    """Write the collected test items that still stand, and count them by task."""
    used = choice.trained
    stands = answerable(read_examples(collected), np.concatenate([choice.rows.families[used], choice.rows.ids[used]]))
    tasks: Counter[str] = Counter()

    def counted() -> Iterator[Example]:
        for item in compress(read_examples(collected), stands):
            tasks[item.task] += 1
            yield item

    write_rows(folder, EXAMPLE_SCHEMA, map(example_to_row, counted()))
    return tasks
