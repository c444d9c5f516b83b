"""Cleaning: every row is kept, or dropped with a reason that stays on disk.

Two passes over the shards. The first applies the rules that look at one row alone, and takes down what the others must know of each
row. Between the passes these decide, over columns of all rows. The second pass sorts the rows into two folders.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tunewell.clean import decide
from tunewell.clean.contacts import own_contacts
from tunewell.clean.contamination import contaminated
from tunewell.clean.decide import Decision, Flags, Found
from tunewell.clean.examine import Columns, Examined, Examiner, HeldOut, Places, Preparation, Shard, joined, signatures_in
from tunewell.clean.funnel import KEPT, Source, funnel
from tunewell.clean.keys import text_keys
from tunewell.clean.near_duplicates import near_duplicates
from tunewell.clean.novelty import Encoded, novel_rows
from tunewell.clean.reviewed import Reviews, read_reviews
from tunewell.clean.rules import RULES, Known, own_rules
from tunewell.clean.sort import Judged, Sorter
from tunewell.clean.superseded import read_rewritten, settle
from tunewell.engine import LOCAL, Engine
from tunewell.recipe import Clean, Recipe, RuleName
from tunewell.records import DROPPED_SCHEMA, EXAMPLE_SCHEMA, POOLS, Summary
from tunewell.store import clear_shards, finish_shards, folder_digest, shards, write_json

_SCHEMAS = {"examples": EXAMPLE_SCHEMA, "dropped": DROPPED_SCHEMA}


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path, *, engine: Engine = LOCAL) -> Summary:
    """Apply the rules to all collected and generated rows, one rule after the other.

    Args:
        settings: The part `clean` of a recipe.
        inputs: `collect`, a folder with `examples/` and perhaps `test/`; perhaps `generate`, a folder with `examples/`; perhaps
            `review`, the folder of what reviewers decided, which may be absent.
        out_dir: Receives `examples/` (kept), `dropped/` (with reason and detail) and `funnel.json`.
        engine: Where the shards are read; in processes of this machine unless given.

    Returns:
        Counts of rows `kept`, `dropped`, and `dropped_<reason>` for each rule.

    Raises:
        DataError: `collect` holds no shards, or a decision cannot be read.
    """
    clean = settings.clean
    work = _shards(inputs)
    reviews = read_reviews(inputs.get("review"))
    contacts = own_contacts(work, clean.contacts, reviews.mended, engine) if _applies("personal", clean) else []
    prepare = _preparation(clean, reviews, contacts)
    with _scratch(out_dir) as scratch:
        examiner = Examiner(
            rules=own_rules(clean, contacts, Known(reviews.rejected)),
            prepare=prepare,
            compares_questions=_applies("novelty", clean),
            test=_test_items(inputs) if _applies("contamination", clean) else None,
            signatures=scratch if _applies("near_duplicate", clean) else None,
        )
        examined = list(engine.map(examiner, work, name="clean 1/2"))
        tainted = contaminated(hits for part in examined for hits in part.hits)
        rows = joined([part.columns for part in examined])
        comparing = _comparing_rules(clean, rows, examined, tainted, scratch)
        checks = [rule.check for rule in comparing]
        rewritten = read_rewritten(inputs.get("generate")) if _applies("superseded", clean) else []
        settled = settle(rows.alive, rows.identity, rows.is_rewriting, rewritten, lambda alive: decide.decide(alive, checks))
    rules = own_rules(clean, contacts, Known(reviews.rejected, settled.details))
    sorter = Sorter(rules, prepare, [rule.name for rule in comparing], tainted, out_dir)
    return _sort(sorter, _judged(work, examined, rows, settled.decision), contacts, engine)


class _Comparing(NamedTuple):
    name: RuleName
    check: Callable[[Flags], Found]


def _shards(inputs: Mapping[str, Path]) -> list[Shard]:
    folders = [inputs[name] / "examples" for name in ("collect", "generate") if name in inputs]
    paths = [path for folder in folders for path in shards(folder)]
    return [Shard(f"part-{number:05d}", path) for number, path in enumerate(paths)]


def _test_items(inputs: Mapping[str, Path]) -> HeldOut | None:
    folder = inputs["collect"] / "test"
    return HeldOut(folder, folder_digest(folder)) if folder.is_dir() else None


@contextmanager
def _scratch(out_dir: Path) -> Iterator[Path]:
    """An empty folder for the time between the passes."""
    folder = out_dir / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def _applies(name: RuleName, clean: Clean) -> bool:
    is_off: Mapping[RuleName, bool] = {"novelty": clean.novelty >= 1, "near_duplicate": clean.near_duplicates >= 1}
    return name not in clean.skip and not is_off.get(name, False)


def _preparation(clean: Clean, reviews: Reviews, contacts: Sequence[str]) -> Preparation:
    return Preparation(reviews.mended, contacts if clean.personal == "mask" and _applies("personal", clean) else None)


def _comparing_rules(
    clean: Clean, rows: Columns, examined: Sequence[Examined], tainted: Mapping[str, str], scratch: Path
) -> list[_Comparing]:
    """The rules that hold rows against each other, in their order, less those that are turned off."""
    questions = [part.questions for part in examined if part.questions is not None]
    rules = (
        _Comparing("contamination", partial(decide.contamination, rows.family, text_keys(list(tainted)))),
        _Comparing("duplicate", partial(decide.duplicate, rows.keys.conversation)),
        _Comparing("contradiction", partial(decide.contradiction, rows.keys, rows.is_multi_turn)),
        _Comparing("near_duplicate", partial(_near_duplicate, scratch, clean.near_duplicates)),
        _Comparing("novelty", partial(_novelty, questions, rows, clean.novelty)),
    )
    return [rule for rule in rules if _applies(rule.name, clean)]


def _near_duplicate(scratch: Path, threshold: float, alive: Flags) -> Found:
    return decide.near(near_duplicates(signatures_in(scratch), alive, threshold))


def _novelty(questions: Sequence[Encoded], rows: Columns, threshold: float, alive: Flags) -> Found:
    """Each pool for itself, so that an open row never stands in the way of a domain row; borrowed questions take no part."""
    rivals = np.full(len(alive), -1, np.int64)
    for number, _ in enumerate(POOLS):
        mine = alive & (rows.pool == number) & ~rows.is_borrowed
        rivals[mine] = novel_rows(questions, threshold, mine)[mine]
    return decide.near(rivals)


def _judged(work: Sequence[Shard], examined: Sequence[Examined], rows: Columns, decision: Decision) -> list[Judged]:
    """The decision, shard by shard."""
    ends = np.cumsum([len(part.columns.alive) for part in examined])
    rules, rivals = np.split(decision.rule, ends[:-1]), np.split(decision.rival, ends[:-1])
    places = rows.places
    return [
        Judged(shard, rule, Places(places.paths, places.path[rival], places.row[rival]))
        for shard, rule, rival in zip(work, rules, rivals, strict=True)
    ]


def _sort(sorter: Sorter, judged: Sequence[Judged], contacts: Sequence[str], engine: Engine) -> Summary:
    out_dir = sorter.out_dir
    for name in _SCHEMAS:
        clear_shards(out_dir / name)
    tallies: dict[Source, Counter[str]] = {}
    masked: Counter[str] = Counter()
    mended = 0
    for result in engine.map(sorter, judged, name="clean 2/2"):
        masked.update(result.masked)
        mended += result.mended
        for source, counts in result.tallies.items():
            tallies.setdefault(source, Counter()).update(counts)
    for name, schema in _SCHEMAS.items():
        finish_shards(out_dir / name, schema)
    account = {**funnel(tallies, RULES, masked, mended), "contacts": list(contacts)}
    write_json(out_dir / "funnel.json", account)
    dropped = {f"dropped_{rule['rule']}": rule["dropped"] for rule in account["rules"]}
    return Summary({KEPT: account["kept"], "dropped": sum(dropped.values()), **dropped})
