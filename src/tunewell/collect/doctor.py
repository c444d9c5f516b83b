"""The doctor: everything about the data that will spoil a run, before the run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tunewell.collect.advice import PoolFacts, Shares, about_ratio, about_shape, about_tests, about_volume
from tunewell.collect.findings import Finding, in_order
from tunewell.collect.problems import REMEDIES
from tunewell.collect.reader import Layout, Reading, is_document, layout_of, readings
from tunewell.collect.repeats import Overlap, Repeats
from tunewell.collect.sources import Source, Use, find_sources
from tunewell.collect.stage import is_skipped
from tunewell.errors import DataError
from tunewell.recipe import Recipe
from tunewell.records import Dropped, Example, Pool

__all__ = ["Finding", "check"]


def check(settings: Recipe) -> list[Finding]:
    """Read all data of the recipe and report what is wrong or weak, by level, then by place. It raises nothing of its own.

    Errors: a path without files, a broken row, a training question that is an unseen test question. Warnings: repeated
    questions, contradictions, pools too small for the ratio, few test items, monotonous questions. Infos: encodings, volumes.

    Args:
        settings: `recipe.part("data", "collect")`.
    """
    data = settings.data
    survey = _Survey()
    findings: list[Finding] = []
    # Test items first, so that each training row can be held against them as it passes.
    keys: tuple[tuple[Use, list[str]], ...] = (("test", data.test), ("domain", data.domain), ("open", data.open))
    for use, paths in keys:
        for source in _found(paths, use, findings):
            findings += survey.read(source)
    findings += survey.overlap.findings()
    findings += survey.repeats.findings()
    findings += about_ratio(survey.pools, Shares(data.ratio.open, data.ratio.domain), data.when_short)
    domain_rows = survey.pools["domain"].rows
    findings += about_volume(domain_rows)
    findings += about_tests(survey.tests, named=bool(data.test), held_out=int(domain_rows * data.holdout))
    for pool, facts in survey.pools.items():
        findings += about_shape(pool, facts)
    return in_order(findings)


def _found(paths: Sequence[str], use: Use, findings: list[Finding]) -> list[Source]:
    good: list[str] = []
    for path in paths:
        try:
            find_sources([path], use)
        except DataError as error:
            findings.append(_from_error(error))
        else:
            good.append(path)
    return find_sources(good, use)


def _from_error(error: DataError) -> Finding:
    return Finding(error.where, "unreadable", "error", error.what, error.hint)


class _Survey:
    """What is gathered in one pass over all sources."""

    def __init__(self) -> None:
        self.pools: dict[Pool, PoolFacts] = {"domain": PoolFacts(), "open": PoolFacts()}
        self.tests: Counter[str] = Counter()
        self.repeats = Repeats()
        self.overlap = Overlap()

    def read(self, source: Source) -> Iterator[Finding]:
        """Take in one source: what is wrong with it and its rows."""
        try:
            layout = layout_of(source)
            yield from _about_file(source, layout)
            for reading in readings(source, layout):
                yield from self._take(reading)
        except DataError as error:
            yield _from_error(error)

    def _take(self, reading: Reading) -> Iterable[Finding]:
        record = reading.record
        if isinstance(record, Dropped):
            return [Finding(reading.where, record.reason, "error", record.detail, REMEDIES[record.reason])]
        if not isinstance(record, Example):
            return []
        if record.task != "qa":
            self.tests[record.task] += 1
            self.overlap.add_test(record, reading.where)
            return []
        self.pools[record.pool].add(record)
        self.repeats.add(record, reading.where)
        return self.overlap.add_training(record, reading.where)


def _about_file(source: Source, layout: Layout) -> Iterator[Finding]:
    path = source.name
    if is_skipped(source, layout):
        yield Finding(
            path, "not_data", "info", "is passed over: neither rows nor a document", "name the file itself to have it read"
        )
    elif layout.encoding not in ("utf-8", "utf-8-sig", None):
        yield Finding(path, "encoding", "info", f"is read as {layout.encoding}", "check a few rows with `tunewell data inspect`")
    if is_document(layout.container) and source.use == "open":
        yield Finding(
            path, "document_unused", "warning", "is a document, and under data.open only rows are read", "move it to data.domain"
        )
