"""The life of one row: where it comes from, who made it, what each check and person said of it, and where it ended."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rapidfuzz import process
from rapidfuzz.distance import Indel

from tunewell.errors import DataError
from tunewell.records import Example, Message, row_to_document, row_to_example
from tunewell.report.facts import STAGES
from tunewell.store import Judgement, Manifest, read_judgements

_LEAST_DIGITS = 6
_LISTED = 5
_ALIKE = 0.8

Outcome = Literal["read", "written", "rejected", "kept", "dropped", "trained on", "test item", "not drawn"]


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote of a row and its place in the source's text; no place where it does not stand there word for word."""

    text: str
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Source:
    """What a generated row was made from: a chunk of a document with its span of characters there, or a collected row."""

    id: str
    where: str
    heading: str
    start: int | None
    end: int | None
    text: str
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a row in one stage: how many rows with its id and `where` ended so, and why, where they were left out."""

    stage: str
    outcome: Outcome
    rows: int
    where: str = ""
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """All that a run knows of a row.

    `row` is the row as it first stood; `now` are its messages where cleaning let it pass in other words, mended or masked, and
    `masked` counts the pieces of personal data of each kind that words stand for. `stages` are those whose folders are up to
    date; steps are in their order, and a stage that never saw the row has none.
    """

    row: Example
    now: tuple[Message, ...] | None
    source: Source | None
    steps: tuple[Step, ...]
    judgements: tuple[Judgement, ...]
    masked: Mapping[str, int]
    stages: tuple[str, ...]


class _Shelf(NamedTuple):
    """A folder of shards in a run, and what it means for a row to lie there."""

    stage: str
    folder: str
    outcome: Outcome


_SHELVES = (
    _Shelf("collect", "examples", "read"),
    _Shelf("collect", "test", "test item"),
    _Shelf("collect", "dropped", "dropped"),
    _Shelf("generate", "examples", "written"),
    _Shelf("generate", "dropped", "rejected"),
    _Shelf("clean", "examples", "kept"),
    _Shelf("clean", "dropped", "dropped"),
    _Shelf("mix", "train", "trained on"),
    _Shelf("mix", "test", "test item"),
)


class _Hits(NamedTuple):
    """Rows of one row group."""

    path: Path
    group: int
    ids: tuple[str, ...]
    places: tuple[int, ...]


class _Lying(NamedTuple):
    """A row on its shelf."""

    shelf: _Shelf
    example: Example
    reason: str
    detail: str


def life(run: Path, identity: str) -> Life:
    """The life of the row with this id, or with the only id that begins so (six digits at least).

    Only the columns of ids are read whole. Works on a run that ended at any stage.

    Raises:
        DataError: no run lies there; the id is too short, unknown, or the beginning of several; a reviewer's file is damaged.
    """
    folders = _up_to_date(run)
    shelves = {shelf: _shards(folders[shelf.stage] / shelf.folder) for shelf in _SHELVES if shelf.stage in folders}
    if not shelves:
        raise DataError("no finished stage of a run lies here", where=str(run), hint="name the folder of a run, such as runs/NAME")
    wanted = identity.strip().lower()
    if len(wanted) < _LEAST_DIGITS:
        raise DataError(f"{identity!r} is too short for the id of a row", hint=f"give its first {_LEAST_DIGITS} digits or more")
    hits = {shelf: list(_search(paths, wanted)) for shelf, paths in shelves.items()}
    found = _only_one({one for group in hits.values() for hit in group for one in hit.ids}, wanted, run, shelves)
    lying = [row for shelf, group in hits.items() for row in _fetch(shelf, group, found)]
    first = lying[0].example
    cleaned = next((row.example for row in lying if (row.shelf.stage, row.shelf.outcome) == ("clean", "kept")), None)
    return Life(
        row=first,
        now=cleaned.messages if cleaned and cleaned.messages != first.messages else None,
        source=_source(folders, first.evidence),
        steps=_steps(lying, is_mixed="mix" in folders),
        judgements=tuple(by_row[found] for by_row in read_judgements(run / "review").values() if found in by_row),
        masked=cleaned.evidence.get("masked", {}) if cleaned else {},
        stages=tuple(folders),
    )


def _up_to_date(run: Path) -> dict[str, Path]:
    """The folders of the stages that have ended, less those whose input has changed since."""
    folders = {stage: run / f"{number}-{stage}" for number, stage in enumerate(STAGES, start=1)}
    outputs: dict[str, str] = {}
    for stage, folder in folders.items():
        manifest = Manifest.read(folder)
        read = manifest.inputs.items() if manifest else ()
        if manifest and all(outputs.get(name) == digest for name, digest in read if name in STAGES):
            outputs[stage] = manifest.outputs
    return {stage: folders[stage] for stage in outputs}


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _search(paths: Iterable[Path], beginning: str) -> Iterator[_Hits]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                ids = _ids(file, group)
                places = pc.indices_nonzero(pc.starts_with(ids, beginning))
                if len(places):
                    yield _Hits(path, group, tuple(ids.take(places).to_pylist()), tuple(places.to_pylist()))


def _ids(file: pq.ParquetFile, group: int) -> pa.ChunkedArray:
    return file.read_row_group(group, columns=["id"]).column("id")


def _only_one(found: set[str], wanted: str, run: Path, shelves: Mapping[_Shelf, list[Path]]) -> str:
    if wanted in found or len(found) == 1:
        return wanted if wanted in found else found.pop()
    if found:
        listed = ", ".join(sorted(found)[:_LISTED])
        raise DataError(f"{len(found):,} ids begin with {wanted}", where=str(run), hint=f"give more digits: {listed}")
    known = {one for paths in shelves.values() for path in paths for one in pq.read_table(path, columns=["id"])["id"].to_pylist()}
    nearest = process.extractOne(
        wanted, sorted(known), scorer=Indel.normalized_similarity, processor=lambda one: one[: len(wanted)], score_cutoff=_ALIKE
    )
    hint = f"did you mean {nearest[0]}?" if nearest else "`tunewell data cat RUN/2-generate` prints rows with their ids"
    raise DataError(f"no row has the id {wanted}", where=str(run), hint=hint)


def _fetch(shelf: _Shelf, hits: Iterable[_Hits], identity: str) -> Iterator[_Lying]:
    for hit in hits:
        places = [place for place, one in zip(hit.places, hit.ids, strict=True) if one == identity]
        if places:
            with pq.ParquetFile(hit.path) as file:
                for row in file.read_row_group(hit.group).take(places).to_pylist():
                    yield _Lying(shelf, row_to_example(row), row.get("reason", ""), row.get("detail", ""))


def _steps(lying: Iterable[_Lying], *, is_mixed: bool) -> tuple[Step, ...]:
    rows = Counter((row.shelf, str(row.example.origin), row.reason, row.detail) for row in lying)
    steps = [Step(shelf.stage, shelf.outcome, count, *told) for (shelf, *told), count in rows.items()]
    kept = sum(step.rows for step in steps if step.outcome == "kept")
    if is_mixed and kept and not any(step.stage == "mix" for step in steps):
        steps.append(Step("mix", "not drawn", kept))
    return tuple(steps)


def _source(folders: Mapping[str, Path], evidence: Mapping[str, Any]) -> Source | None:
    quotes = evidence.get("quotes", ())
    if "chunk" in evidence:
        chunk = _row(folders["generate"] / "chunks", evidence["chunk"])
        if chunk is not None:
            document = row_to_document(chunk)
            placed = _placed(quotes, document.text, document.start)
            return Source(document.id, document.path, document.heading, document.start, document.end, document.text, placed)
    if "source" in evidence:
        source = _row(folders["collect"] / "examples", evidence["source"]["id"])
        if source is not None:
            example = row_to_example(source)
            text = "\n".join(f"{message.role}: {message.content}" for message in example.messages)
            return Source(example.id, str(example.origin), "", None, None, text, _placed(quotes, text, 0))
    return None


def _row(folder: Path, identity: str) -> Mapping[str, Any] | None:
    for hit in _search(_shards(folder), identity):
        with pq.ParquetFile(hit.path) as file:
            row: Mapping[str, Any] = file.read_row_group(hit.group).take([hit.places[0]]).to_pylist()[0]
            return row
    return None


def _placed(quotes: Iterable[Mapping[str, Any]], text: str, offset: int) -> tuple[Quote, ...]:
    """The quotes with their places in the text, whether they were counted from its own beginning or the document's."""
    placed = []
    for quote in quotes:
        told, start = str(quote["text"]), quote.get("start")
        starts = [] if start is None else [start, start - offset]
        fits = [begin for begin in (*starts, text.find(told)) if begin >= 0 and text.startswith(told, begin)]
        placed.append(Quote(told, fits[0], fits[0] + len(told)) if fits else Quote(told, None, None))
    return tuple(placed)
