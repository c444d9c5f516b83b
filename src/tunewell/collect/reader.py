"""One file, read: its rows as examples, its sections as documents, and what cannot be used as dropped rows."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tunewell.collect.catalogue import rename
from tunewell.collect.containers import BINARY_CONTAINERS, TEXT_CONTAINERS, is_bare_list, recognise_container
from tunewell.collect.documents import document_kind, to_markdown
from tunewell.collect.encoding import Span, detect_encoding, is_packed, open_span, open_text
from tunewell.collect.fields import Row, fold
from tunewell.collect.formats import Conversation, evidence_of, explain_unknown, recognise, rows_in, to_conversation
from tunewell.collect.jsonfiles import json_lines
from tunewell.collect.markdown import Section, sections, whole
from tunewell.collect.problems import Problem, RowError, flaw, printable
from tunewell.collect.questions import is_faq, question_answer
from tunewell.collect.rows import RawRow
from tunewell.collect.sources import Source
from tunewell.collect.triples import is_triple, triple_examples
from tunewell.errors import DataError
from tunewell.records import Document, Dropped, Example, Message, Origin, Pool
from tunewell.store import digest
from tunewell.text import language

__all__ = ["Layout", "Reading", "Span", "is_document", "layout_of", "readings"]

_PARQUET = b"PAR1"
_PACKED = ".gz"
_CONVERTED = ("html", "pdf", "docx", "pptx")


class Layout(NamedTuple):
    """How a file is to be read, or why it cannot be.

    `container` is a key of `TEXT_CONTAINERS` (with `.gz` behind it where gzip has packed the file) or `BINARY_CONTAINERS`, a
    kind of document, or None where the file is no data. `encoding` is None where there is none to know.
    """

    container: str | None
    encoding: str | None
    problem: Problem | None = None

    @property
    def encoding_name(self) -> str:
        """The encoding in words: binary files and documents have their own."""
        return self.encoding or ("its own" if self.container else "unknown")


class Reading(NamedTuple):
    """One thing read from a file, its format, its place (`file:line`, or the file), the keys of its row, and the id it names."""

    record: Example | Dropped | Document
    format: str
    where: str
    keys: tuple[str, ...] = ()
    row_id: str = ""


def layout_of(source: Source) -> Layout:
    """How the source is to be read; first its first bytes tell, then its text. Raises `DataError` where it cannot be opened."""
    try:
        with source.path.open("rb") as handle:
            if handle.read(len(_PARQUET)) == _PARQUET:
                return Layout("parquet", None)
        kind = document_kind(source.path)
        return Layout(kind, None) if kind else _text_layout(source)
    except RowError as error:
        return Layout(None, None, error.problem)
    except OSError as error:
        raise _unreadable(source, error) from None


def readings(source: Source, layout: Layout, *, span: Span | None = None) -> Iterator[Reading]:
    """All that the source holds, one at a time, in its order. Raises `DataError` where it cannot be opened.

    Rows become examples of the pool, with the task of their format (`qa`, `reading`, …), or `unseen` where the source stands
    under `data.test`. Documents are read under `data.domain` alone. With `span` only that stretch of a JSON Lines file is read.
    """
    path = source.name
    if layout.problem:
        yield _dropped(source, Origin(path), path, layout.problem)
    elif layout.container or source.named:
        try:
            yield from _content(source, layout, span)
        except OSError as error:
            raise _unreadable(source, error) from None


def is_document(container: str | None) -> bool:
    """Whether the container holds text with headings rather than rows."""
    return container in ("markdown", "text", *_CONVERTED)


def _text_layout(source: Source) -> Layout:
    packed = is_packed(source.path)
    encoding = detect_encoding(source.path)
    if encoding is None:
        return Layout(None, None, Problem("undecodable", "has a byte order mark, but does not decode by it"))
    with open_text(source.path, encoding) as handle:
        container = recognise_container(handle, Path(source.path.name.removesuffix(_PACKED)))
    if container == "json" and not source.named:
        with open_text(source.path, encoding) as handle:
            container = None if is_bare_list(handle) else container
    if not packed:
        return Layout(container, encoding)
    return Layout(f"{container}{_PACKED}" if container in TEXT_CONTAINERS else None, encoding)


def _content(source: Source, layout: Layout, span: Span | None) -> Iterator[Reading]:
    container = (layout.container or "").removesuffix(_PACKED)
    if container in BINARY_CONTAINERS:
        yield from _rows(source, BINARY_CONTAINERS[container](source.path))
    elif container in _CONVERTED:
        yield from _converted(source, container)
    elif span is not None:
        assert layout.container == "jsonl", "only JSON Lines are read in stretches"
        assert layout.encoding, "JSON Lines have an encoding"
        with open_span(source.path, layout.encoding, span) as handle:
            yield from _row_readings(source, json_lines(handle, first_line=span.first_line))
    else:
        assert layout.encoding, "what is no binary file has an encoding"
        with open_text(source.path, layout.encoding) as handle:
            if container in TEXT_CONTAINERS:
                yield from _rows(source, TEXT_CONTAINERS[container](handle))
            else:
                yield from _text(source, layout.container, handle.read())


def _rows(source: Source, raws: Iterator[RawRow]) -> Iterator[Reading]:
    found = None
    for found in _row_readings(source, raws):
        yield found
    if found is None:
        yield _dropped(source, Origin(source.name), source.name, Problem("empty_file", "the file holds no rows"))


def _row_readings(source: Source, raws: Iterator[RawRow]) -> Iterator[Reading]:
    path = source.name
    for raw in raws:
        origin = Origin(path, raw.row)
        where = path if raw.line is None else f"{path}:{raw.line}"
        if raw.problem:
            yield _dropped(source, origin, where, _placed(raw, raw.problem))
            continue
        row = fold(rename(raw.value, source.names) if source.names else raw.value)
        keys, row_id = tuple(raw.value), _row_id(row)
        for part in rows_in(row):
            try:
                name, examples = _examples(part, source, origin)
            except RowError as error:
                yield _dropped(source, origin, where, _placed(raw, error.problem), messages=error.messages, keys=keys)
                continue
            for example in examples:
                yield Reading(example, name, where, keys, row_id)


def _row_id(row: Row) -> str:
    value = row.get("id")
    return str(value) if isinstance(value, (str, int)) else ""


def _placed(raw: RawRow, problem: Problem) -> Problem:
    return problem._replace(detail=f"{raw.place}: {problem.detail}") if raw.place else problem


def _examples(row: Row, source: Source, origin: Origin) -> tuple[str, list[Example]]:
    if source.use == "test" and is_triple(row):
        return "triples", triple_examples(row, origin)
    format_ = recognise(row)
    if format_ is None:
        raise RowError(*explain_unknown(row))
    conversation = to_conversation(row, format_)
    evidence = evidence_of(row)
    if conversation.evidence:
        evidence = {**evidence, **conversation.evidence}
    return format_.name, [_example(conversation._replace(evidence=evidence), source, origin)]


def _example(said: Conversation, source: Source, origin: Origin) -> Example:
    asked = next((message.content for message in said.messages if message.role == "user"), "")
    return Example(
        said.messages,
        _pool(source.use),
        origin,
        task="unseen" if source.use == "test" else said.task,
        language=language(f"{asked}\n{said.messages[-1].content}"),
        family=said.family,
        evidence=said.evidence,
    )


def _pool(use: str) -> Pool:
    return "open" if use == "open" else "domain"


def _converted(source: Source, kind: str) -> Iterator[Reading]:
    try:
        text = to_markdown(source.path, kind)
    except RowError as error:
        yield _dropped(source, Origin(source.name), source.name, error.problem)
        return
    yield from _sections(source, kind, text)


def _text(source: Source, container: str | None, text: str) -> Iterator[Reading]:
    flawed = _document_problem(container, text)
    if flawed:
        origin = Origin(source.name, flawed.line)
        yield _dropped(source, origin, str(origin), flawed.problem)
    else:
        yield from _sections(source, container or "", text)


def _sections(source: Source, container: str, text: str) -> Iterator[Reading]:
    if source.use == "open":
        return
    path = source.name
    parts = list((whole if container == "text" else sections)(text))
    in_faq = is_faq(parts)
    ordinals: Counter[str] = Counter()
    for section in parts:
        ordinals[section.heading] += 1
        family = digest([path, section.heading, ordinals[section.heading]])[:16]
        if source.use == "domain":
            yield Reading(_document(section, path, family), container, path)
        pair = question_answer(section, in_faq=in_faq) if section.title else None
        if pair:
            messages = (Message("user", pair.question), Message("assistant", pair.answer))
            origin = Origin(path, None, section.heading, pair.start, pair.end)
            # Lines of a converted text are none of the file.
            where = f"{path}:{text.count(chr(10), 0, section.start) + 1}" if container == "markdown" else path
            yield Reading(_example(Conversation(messages, family=family), source, origin), container, where)


class _Flawed(NamedTuple):
    problem: Problem
    line: int | None = None


def _document_problem(container: str | None, text: str) -> _Flawed | None:
    if not text.strip("\ufeff \t\n"):
        return _Flawed(Problem("empty_file", "the file is empty"))
    if container is None:
        return _Flawed(Problem("unknown_format", "is neither a table, a list of rows nor a document"))
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
