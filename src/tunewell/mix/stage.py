"""Mixing: the training rows in the ratio that was asked, the test items, and an audit of both."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from tunewell.mix.audit import pool_table, turns_table
from tunewell.mix.draw import Copy, Row, draw, in_order, shuffled
from tunewell.mix.shares import Bucket, Shares, Turn, WhenShort, row_counts, shares_from
from tunewell.mix.split import answerable, hold_out, unseen_families, without_families
from tunewell.recipe import Recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Summary, example_to_row
from tunewell.store import count_rows, read_examples, write_json, write_rows

_READ_AT_ONCE = 50_000
_TEST_TASKS = ("seen", "paraphrase", "unseen")


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Draw the training rows by ratio, and settle the test items.

    Test items that were collected are the test, but for `seen` and `paraphrase` items whose training row was not drawn.
    Without any, a share of the domain families becomes `unseen` items, and as many of the rows trained on are copied as `seen`
    items.

    Args:
        settings: The parts `data` and `seed` of a recipe.
        inputs: `clean`, a folder with `examples/`; `collect`, a folder with `test/`, which may be missing or empty.
        out_dir: Receives `train/` in the order of training, `test/`, and the audit `mixture.json`.

    Returns:
        Counts of rows: `train`, `test`, `repeats`, and `left_out` (neither trained on nor held out).

    Raises:
        DataError: A pool that is asked for rows has none, or too few under `when_short: fail`.
    """
    data, seed = settings.data, settings.seed
    turns: dict[Turn, float] | None = {"single": data.turns.single, "multi": data.turns.multi} if data.turns else None
    shares = shares_from({"domain": data.ratio.domain, "open": data.ratio.open}, turns)
    source, collected = inputs["clean"] / "examples", inputs["collect"] / "test"
    given = count_rows(collected) if collected.is_dir() else 0

    rows = [Row(number, row.id, row.family, row.pool, row.turns) for number, row in enumerate(read_examples(source))]
    taboo = unseen_families(read_examples(collected)) if given else set()
    split = without_families(rows, taboo) if given else hold_out(rows, data.holdout, seed=seed)
    copies = in_order(_drawn(split.trainable, shares, data.when_short, seed=seed), seed=seed)
    write_rows(out_dir / "train", EXAMPLE_SCHEMA, map(example_to_row, _in_sequence(source, [copy.row for copy in copies])))
    test_items = _standing(collected, copies) if given else _made_up(source, copies, split.held_out, seed=seed)
    tasks = _write_test(out_dir / "test", test_items)

    pools = pool_table(rows, split.held_out, copies, shares)
    mixture = {
        "pools": pools,
        "turns": turns_table(copies, shares),
        "train_rows": len(copies),
        "test_rows": {task: tasks[task] for task in _TEST_TASKS},
        "test_left_out": given - tasks.total() if given else 0,
        "held_out_families": split.families,
        "seed": seed,
    }
    write_json(out_dir / "mixture.json", mixture)
    repeats, left_out = (sum(pool[key] for pool in pools) for key in ("repeats", "left_out"))
    return Summary({"train": len(copies), "test": tasks.total(), "repeats": repeats, "left_out": left_out})


def _drawn(rows: Iterable[Row], shares: Shares, when_short: WhenShort, *, seed: int) -> Iterator[Copy]:
    buckets: defaultdict[Bucket, list[Row]] = defaultdict(list)
    for row in rows:
        buckets[shares.bucket(row.pool, row.turns)].append(row)
    counts = row_counts({bucket: len(members) for bucket, members in buckets.items()}, shares, when_short)
    return chain.from_iterable(draw(buckets[bucket], count, seed=seed) for bucket, count in counts.items())


def _standing(collected: Path, copies: Iterable[Copy]) -> Iterator[Example]:
    trained = {name for copy in copies for name in (copy.row.family, copy.row.id)}
    return (item for item in read_examples(collected) if answerable(item, trained))


def _made_up(source: Path, copies: Iterable[Copy], held_out: Sequence[Row], *, seed: int) -> Iterator[Example]:
    """The held-out rows as `unseen` items, and as many domain rows that are trained on as `seen` items."""
    trained = [copy.row for copy in copies if copy.number == 0 and copy.row.pool == "domain"]
    for task, rows in (("unseen", held_out), ("seen", shuffled(trained, "seen", seed=seed)[: len(held_out)])):
        for example in _in_sequence(source, shuffled(rows, "test", seed=seed)):
            yield replace(example, task=task)


def _in_sequence(source: Path, rows: Sequence[Row]) -> Iterator[Example]:
    """The examples of these rows, in this order. The file is read once for every 50,000, so that memory holds no more."""
    for start in range(0, len(rows), _READ_AT_ONCE):
        positions = [row.position for row in rows[start : start + _READ_AT_ONCE]]
        wanted = set(positions)
        found = {position: example for position, example in enumerate(read_examples(source)) if position in wanted}
        yield from (found[position] for position in positions)


def _write_test(folder: Path, items: Iterable[Example]) -> Counter[str]:
    tasks: Counter[str] = Counter()

    def counted() -> Iterator[Example]:
        for item in items:
            tasks[item.task] += 1
            yield item

    write_rows(folder, EXAMPLE_SCHEMA, map(example_to_row, counted()))
    return tasks
