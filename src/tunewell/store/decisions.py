"""What reviewers decided about rows: one append-only file for each reviewer, `REVIEWER.jsonl`, one JSON line a judgement.

The last line of a row counts, and `undo` takes the last one back, so that the one before it counts again. Whoever reads the files
reads them here, so that the page on which rows are judged and the stage that honours the judgements cannot differ.
"""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, get_args

from tunewell.errors import DataError, MachineError, UserError
from tunewell.records import Message, Role
from tunewell.store.files import exclusive, friendly_disk_errors
from tunewell.text import visible

Verdict = Literal["accept", "mend", "reject", "undo"]

_REVIEWER = re.compile(r"[^\W_][\w.-]{0,63}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one reviewer said about one row. `messages` is the mended conversation; `time` is UTC in ISO 8601, with microseconds."""

    id: str
    verdict: Verdict
    reviewer: str
    time: str
    messages: tuple[Message, ...] = ()
    note: str = ""


class DecisionLog:
    """The file of one reviewer, open for writing. A last line that a crash has cut off is removed.

    `standing` holds the judgements that count, by row. Raises `UserError` for a name that makes no file name, and `MachineError`
    where another process writes the same reviewer's file.
    """

    def __init__(self, folder: Path, reviewer: str) -> None:
        self.reviewer = _checked(reviewer)
        self._path = folder / f"{reviewer}.jsonl"
        self._stack = ExitStack()
        with friendly_disk_errors(folder), self._stack:
            self._lock(folder)
            self._said = _said(_judgements(self._path))
            # Without a buffer: what a full disk refused must not get into the file later.
            self._handle = self._stack.enter_context(self._path.open("ab", buffering=0))
            self._handle.truncate(_whole(self._path))
            self.standing = _standing(self._said)
            self._stack = self._stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def record(self, judgement: Judgement) -> None:
        """Add a judgement, safely on disk when this returns. Where that fails, the file is as it was before."""
        file = self._handle.fileno()
        end = os.fstat(file).st_size
        try:
            with friendly_disk_errors(self._path):
                _write_all(file, _line(judgement))
                os.fsync(file)
        except BaseException:
            os.ftruncate(file, end)
            raise
        _take(self._said, judgement)
        self.standing = _standing(self._said)

    def _lock(self, folder: Path) -> None:
        try:
            self._stack.enter_context(exclusive(folder / f".{self.reviewer}.lock", wait=False))
        except BlockingIOError:
            hint = "use the page that is open, or another name with `--reviewer NAME`"
            raise MachineError(f"{self.reviewer} is reviewing this run already", where=str(folder), hint=hint) from None


@dataclass(frozen=True, slots=True)
class ReviewFolder:
    """The files of all reviewers in one folder. A file is read again only after its size or its time of change is another."""

    path: Path
    _read: dict[Path, "_Read"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def judgements(self, *, without: str = "") -> dict[str, dict[str, Judgement]]:
        """As `read_judgements`, less those of one reviewer."""
        return {path.stem: self._standing(path) for path in _reviewers_files(self.path) if path.stem != without}

    def _standing(self, path: Path) -> dict[str, Judgement]:
        status = path.stat()
        known = self._read.get(path)
        if known is None or (known.size, known.changed) != (status.st_size, status.st_mtime_ns):
            known = self._read[path] = _Read(status.st_size, status.st_mtime_ns, _standing(_said(_judgements(path))))
        return known.standing


class _Read(NamedTuple):
    size: int
    changed: int
    standing: dict[str, Judgement]


def read_judgements(folder: Path) -> dict[str, dict[str, Judgement]]:
    """For each reviewer, in the order of their names, the judgements that count, by row; nothing where there is no folder.

    Hidden files are passed over, and with a warning those whose name no reviewer can have (`ann (1).jsonl`), and a last line that
    was cut off. Raises `DataError` for a line that is no judgement.
    """
    files = _reviewers_files(folder)
    for path in sorted(folder.glob("[!.]*.jsonl")):
        if path not in files:
            _log.warning("%s is passed over: the name of a reviewer's file is NAME.jsonl", visible(str(path)))
    return ReviewFolder(folder).judgements()


def read_decisions(folder: Path) -> dict[str, Judgement]:
    """For each row that was judged what all reviewers together decided; nothing where there is no folder.

    One reviewer who rejects decides; without one the newest mended text counts; else the row is accepted. Of several judgements
    that say the same the newest stands for all. Raises `DataError` for a line that is no judgement.
    """
    return decided(read_judgements(folder))


def decided(judgements: Mapping[str, Mapping[str, Judgement]]) -> dict[str, Judgement]:
    """The decision of all reviewers about each row, from the judgements of each of them. See `read_decisions`."""
    decisions: dict[str, Judgement] = {}
    for one in (judgement for standing in judgements.values() for judgement in standing.values()):
        if one.id not in decisions or _weight(one) > _weight(decisions[one.id]):
            decisions[one.id] = one
    return decisions


def _weight(judgement: Judgement) -> tuple[int, str, str]:
    return get_args(Verdict).index(judgement.verdict), judgement.time, judgement.reviewer


def _said(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """What was said of each row and not taken back, the last one last; rows in the order in which they were judged."""
    said: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        _take(said, judgement)
    return said


def _take(said: dict[str, list[Judgement]], judgement: Judgement) -> None:
    # Taken out first, so that the order is that of judging.
    of_row = said.pop(judgement.id, [])
    of_row = of_row[:-1] if judgement.verdict == "undo" else [*of_row, judgement]
    if of_row:
        said[judgement.id] = of_row


def _standing(said: Mapping[str, list[Judgement]]) -> dict[str, Judgement]:
    return {row: of_row[-1] for row, of_row in said.items()}


def _reviewers_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.jsonl")) if _REVIEWER.fullmatch(path.stem) and path.is_file()]


def _judgements(path: Path) -> Iterator[Judgement]:
    if not path.exists():
        return
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if line.endswith(b"\n"):
                yield _judgement(line, path, number)


def _whole(path: Path) -> int:
    """The bytes up to the end of the last whole line."""
    return path.read_bytes().rfind(b"\n") + 1


def _judgement(line: bytes, path: Path, number: int) -> Judgement:
    try:
        values = json.loads(line)
        verdict = _choice(values["verdict"], Verdict)
        messages = tuple(Message(_choice(one["role"], Role), _text(one["content"])) for one in values.get("messages", ()))
        if bool(messages) != (verdict == "mend"):
            raise ValueError(verdict)
        return Judgement(
            id=_text(values["id"]),
            verdict=verdict,
            reviewer=path.stem,
            time=_text(values["time"]),
            messages=messages,
            note=_text(values.get("note", "")),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        hint = "take the line out; all others stay as they are"
        raise DataError("this line is no judgement of a reviewer", where=f"{path}:{number}", hint=hint) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _choice(value: Any, choices: Any) -> Any:
    if value not in get_args(choices):
        raise ValueError(value)
    return value


def _write_all(file: int, line: bytes) -> None:
    # A disk that is nearly full takes a part of what it is given.
    while line:
        line = line[os.write(file, line) :]


def _line(judgement: Judgement) -> bytes:
    values: dict[str, Any] = {"id": judgement.id, "verdict": judgement.verdict, "time": judgement.time}
    if judgement.messages:
        values["messages"] = [{"role": message.role, "content": message.content} for message in judgement.messages]
    if judgement.note:
        values["note"] = judgement.note
    # Escapes carry lone surrogates, which UTF-8 cannot.
    return (json.dumps(values) + "\n").encode("ascii")


def _checked(reviewer: str) -> str:
    if not _REVIEWER.fullmatch(reviewer):
        what = f"{reviewer!r} is no reviewer's name"
        raise UserError(what, where="--reviewer", hint="letters, digits, `-`, `_` and `.`; it begins with a letter or digit")
    return reviewer
