"""The doctor: everything about the data that will spoil a run, before the run."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tunewell.collect.advice import (
    about_formats,
    about_lengths,
    about_pools,
    about_ratio,
    about_shape,
    about_tests,
    about_turns,
    about_volume,
)
from tunewell.collect.findings import Finding, Notes, in_order
from tunewell.collect.lengths import conversation_counter
from tunewell.collect.parts import Piece, cut
from tunewell.collect.repeats import Overlap
from tunewell.collect.sources import Source, Use, look_up
from tunewell.collect.survey import Survey, Surveyor, read_piece, unreadable
from tunewell.engine import LOCAL
from tunewell.errors import DataError, ModelError
from tunewell.model.locate import at_hand
from tunewell.recipe import Recipe
from tunewell.records import Example, Pool

__all__ = ["Finding", "check"]

# Of each pool rows of about so many bytes are looked at closely: their tokens are counted, their questions compared.
_CLOSELY = 8 << 20


def check(settings: Recipe) -> list[Finding]:
    """Read all data of the recipe and report what is wrong or weak, by level, then by place. It raises nothing of its own.

    Errors: a path without files, a broken row, a training question that is an unseen test question. Warnings: repeated
    questions, contradictions, pools too small for the ratio, few test items, monotonous questions, rows that the context cuts
    off. Infos: encodings, and what volumes, ratio and lengths promise. Of the rows of a file at most 20 of one kind are named.
    Memory: some 30 bytes a row.

    Args:
        settings: `recipe.part("data", "model", "train")`.
    """
    data, model, method, context = settings.data, settings.model, settings.train.method, settings.train.context
    domain, open_, test = _found(data.domain, "domain"), _found(data.open, "open"), _found(data.test, "test")
    tests = _read_tests(test.sources)
    tokenizer = _find_tokenizer(model)
    closely = {"domain": _one_in(domain.sources), "open": _one_in(open_.sources)}
    survey = Survey()
    for part in LOCAL.map(Surveyor(tests.overlap, closely, tokenizer.folder), cut([*domain.sources, *open_.sources]), name="check"):
        survey.merge(part)
    pools = survey.pools
    shares: Mapping[Pool, float] = {"open": data.ratio.open, "domain": data.ratio.domain}
    turns = {"single": data.turns.single, "multi": data.turns.multi} if data.turns else None
    held_out = int(pools["domain"].rows * data.holdout)
    return in_order(
        chain(
            domain.findings,
            open_.findings,
            test.findings,
            tests.findings,
            tokenizer.findings,
            survey.files,
            survey.notes.findings(),
            survey.repeats.findings(),
            about_formats(survey.formats),
            tests.overlap.findings(survey.trained),
            about_ratio(shares),
            about_pools(pools, shares, data.when_short, by=data.by),
            about_turns(pools, turns, data.when_short),
            about_volume(pools["domain"].rows, method),
            about_tests(tests.tasks, named=bool(data.test), held_out=held_out),
            *(about_shape(pool, facts) for pool, facts in pools.items()),
            *(about_lengths(pool, facts, context) for pool, facts in pools.items()),
        )
    )


class _Found(NamedTuple):
    sources: list[Source]
    findings: list[Finding]


def _found(paths: Sequence[str], use: Use) -> _Found:
    """The sources that can be opened, and the paths, data sets of catalogues and files that cannot be had."""
    good: list[str] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            look_up([path], use)
        except DataError as error:
            findings.append(unreadable(error))
        else:
            good.append(path)
    found = look_up(good, use)
    for left_out in found.left_out:
        what = f"the data set `{left_out.name}` is not read: {left_out.why}"
        findings.append(
            Finding(left_out.catalogue, "data_set_unused", "warning", what, "name its files in the recipe, or leave it")
        )
    readable = [source for source in found.sources if os.access(source.path, os.R_OK)]
    for source in found.sources:
        if source not in readable:
            hint = "change its permissions, or leave it out of the recipe"
            findings.append(Finding(source.name, "unreadable", "error", "cannot be read: Permission denied", hint))
    return _Found(readable, findings)


class _Tests(NamedTuple):
    overlap: Overlap
    tasks: Counter[str]
    findings: list[Finding]


def _read_tests(sources: Sequence[Source]) -> _Tests:
    overlap, tasks, files, notes = Overlap(), Counter[str](), list[Finding](), Notes()
    for source in sources:
        for reading in read_piece(Piece(source), files, notes):
            if isinstance(reading.record, Example):
                tasks[reading.record.task] += 1
                overlap.add(reading.record, reading.where)
    return _Tests(overlap, tasks, [*files, *notes.findings()])


class _Tokenizer(NamedTuple):
    folder: Path | None
    findings: list[Finding]


def _find_tokenizer(model: str) -> _Tokenizer:
    """The folder of the base model's tokenizer if it is on this machine."""
    folder = at_hand(model)
    try:
        if folder:
            conversation_counter(folder)
            return _Tokenizer(folder, [])
        what = f"`{model}` is not on this machine yet"
    except ModelError as error:
        what = error.what
    what = f"{what}: nobody knows which rows are longer than train.context, and so left out of training"
    return _Tokenizer(
        None, [Finding("model", "no_tokenizer", "info", what, "give a model folder with tokenizer.json, or run once")]
    )


def _one_in(sources: Sequence[Source]) -> int:
    """How many rows one stands for that is looked at closely: a power of two."""
    size = sum(source.path.stat().st_size for source in sources)
    return int(2 ** (size // _CLOSELY).bit_length())
