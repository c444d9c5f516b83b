"""One file, read: its rows as examples, its sections as documents, and what cannot be used as dropped rows."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.collect.containers import CONTAINERS, RawRow, json_lines, recognise_container
from tunewell.collect.encoding import detect_encoding, open_text
from tunewell.collect.formats import evidence_of, explain_unknown, recognise, to_conversation
from tunewell.collect.markdown import Section, is_question, sections, whole
from tunewell.collect.problems import Problem, RowError, flaw, printable
from tunewell.collect.sources import Source
from tunewell.collect.triples import is_triple, triple_examples
from tunewell.errors import DataError
from tunewell.records import Document, Dropped, Example, Message, Origin, Pool
from tunewell.store import digest
from tunewell.text import language


class Layout(NamedTuple):
    """How a file is to be read. `container` is None where it is no data, `encoding` where it contradicts its own mark."""

    container: str | None
    encoding: str | None


class Span(NamedTuple):
    """A stretch of the bytes of a JSON Lines file, cut after line feeds, and the number of its first line."""

    start: int
    stop: int
    first_line: int


class Reading(NamedTuple):
    """One thing read from a file, its format, its place (`file:line`, or the file), and the keys of its row."""

    record: Example | Dropped | Document
    format: str
    where: str
    keys: tuple[str, ...] = ()


class _Row(NamedTuple):
    row: dict[str, Any]
    use: str
    origin: Origin


def layout_of(source: Source) -> Layout:
    """How the source is to be read. Raises `DataError` where it cannot be opened."""
    try:
        encoding = detect_encoding(source.path)
        if encoding is None:
            return Layout(None, None)
        with open_text(source.path, encoding) as handle:
            return Layout(recognise_container(handle, source.path), encoding)
    except OSError as error:
        raise _unreadable(source, error) from None


def readings(source: Source, layout: Layout, *, span: Span | None = None) -> Iterator[Reading]:
    """All that the source holds, one at a time, in its order. Raises `DataError` where it cannot be opened.

    Rows become examples of the pool, with the task `qa`, or `unseen` where the source stands under `data.test`. Documents are
    read under `data.domain` alone.
    """
    path = source.name
    if layout.encoding is None:
        yield _dropped(source, Origin(path), path, Problem("undecodable", "has a byte order mark, but does not decode by it"))
        return
    if layout.container is None and not source.named:
        return
    try:
        if span is not None:
            yield from _rows(source, _lines_of(source.path, layout.encoding, span))
            return
        with open_text(source.path, layout.encoding) as handle:
            rows_of = CONTAINERS.get(layout.container or "")
            if rows_of:
                yield from _rows(source, rows_of(handle))
            else:
                yield from _sections(source, layout.container, handle.read())
    except OSError as error:
        raise _unreadable(source, error) from None


def _lines_of(path: Path, encoding: str, span: Span) -> Iterator[RawRow]:
    with path.open("rb") as handle:
        handle.seek(span.start)
        chunk = handle.read(span.stop - span.start)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    for raw in json_lines(io.StringIO(chunk.decode(encoding, errors))):
        row = raw.row + span.first_line - 1
        yield raw._replace(row=row, line=row)


def is_document(container: str | None) -> bool:
    """Whether the container holds text with headings rather than rows."""
    return container in ("markdown", "text")


def _rows(source: Source, raws: Iterator[RawRow]) -> Iterator[Reading]:
    path = source.name
    raw = None
    for raw in raws:
        origin = Origin(path, raw.row)
        where = path if raw.line is None else f"{path}:{raw.line}"
        keys = tuple(map(printable, raw.value)) if isinstance(raw.value, dict) else ()
        try:
            if raw.problem:
                raise RowError(*raw.problem)
            name, examples = _examples(_Row(raw.value, source.use, origin))
        except RowError as error:
            detail = f"row {raw.row} of the list: {error.problem.detail}" if raw.listed else error.problem.detail
            yield _dropped(source, origin, where, Problem(error.problem.reason, detail), messages=error.messages, keys=keys)
        else:
            yield from (Reading(example, name, where, keys) for example in examples)
    if raw is None:
        yield _dropped(source, Origin(path), path, Problem("empty_file", "the file holds no rows"))


def _examples(given: _Row) -> tuple[str, list[Example]]:
    if given.use == "test" and is_triple(given.row):
        return "triples", triple_examples(given.row, given.origin)
    format_ = recognise(given.row)
    if format_ is None:
        raise RowError(*explain_unknown(given.row))
    messages = to_conversation(given.row, format_)
    return format_.name, [_example(messages, given.use, given.origin, evidence=evidence_of(given.row))]


def _example(messages: tuple[Message, ...], use: str, origin: Origin, *, evidence: dict[str, str], family: str = "") -> Example:
    pool, task = _pool(use), "unseen" if use == "test" else "qa"
    example = Example(messages, pool, origin, task=task, family=family, evidence=evidence)
    return replace(example, language=language(f"{example.question}\n{example.answer}"))


def _pool(use: str) -> Pool:
    return "open" if use == "open" else "domain"


def _sections(source: Source, container: str | None, text: str) -> Iterator[Reading]:
    path = source.name
    dropped = _document_problem(container, text)
    if dropped:
        origin = Origin(path, dropped.line)
        yield _dropped(source, origin, str(origin), dropped.problem)
        return
    if source.use == "open":
        return
    ordinals: Counter[str] = Counter()
    for section in (sections if container == "markdown" else whole)(text):
        ordinals[section.heading] += 1
        family = digest([path, section.heading, ordinals[section.heading]])[:16]
        if source.use == "domain":
            yield Reading(_document(section, path, family), container or "", path)
        if container == "markdown" and is_question(section):
            messages = (Message("user", section.title), Message("assistant", section.text))
            origin = Origin(path, None, section.heading, section.start, section.end)
            where = f"{path}:{text.count(chr(10), 0, section.start) + 1}"
            yield Reading(_example(messages, source.use, origin, evidence={}, family=family), "markdown", where)


class _Flawed(NamedTuple):
    problem: Problem
    line: int | None = None


def _document_problem(container: str | None, text: str) -> _Flawed | None:
    if not text.strip("\ufeff \t\n"):
        return _Flawed(Problem("empty_file", "the file is empty"))
    if container is None:
        return _Flawed(Problem("unknown_format", "is neither JSON, JSON Lines, CSV, Markdown nor plain text"))
    if flaw(text) is None:
        return None
    flaws = ((flaw(line), number) for number, line in enumerate(text.split("\n"), start=1))
    return next(_Flawed(problem, number) for problem, number in flaws if problem)


def _document(section: Section, path: str, identity: str) -> Document:
    return Document(identity, path, section.heading, section.text, section.start, section.end, language(section.text))


def _dropped(
    source: Source, origin: Origin, where: str, problem: Problem, *, messages: tuple[Message, ...] = (), keys: tuple[str, ...] = ()
) -> Reading:
    example = Example(messages, _pool(source.use), origin, task="unseen" if source.use == "test" else "qa")
    return Reading(Dropped(example, problem.reason, printable(problem.detail)), "", where, keys)


def _unreadable(source: Source, error: OSError) -> DataError:
    what = f"cannot be read: {error.strerror or error}"
    return DataError(what, where=source.name, hint="change its permissions, or leave it out of the recipe")
