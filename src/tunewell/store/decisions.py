"""What reviewers decided about rows: one append-only file for each reviewer, `REVIEWER.jsonl`, one JSON line a judgement.

The last line of a row counts, and `undo` takes the judgement back. Whoever reads the files reads them here, so that the page on
which rows are judged and the stage that honours the judgements cannot differ.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from tunewell.errors import DataError, MachineError, UserError
from tunewell.records import Message
from tunewell.store.files import exclusive, friendly_disk_errors

Verdict = Literal["accept", "mend", "reject", "undo"]

_REVIEWER = re.compile(r"[^\W_][\w.-]{0,63}")


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
            self.standing = _standing(_judgements(self._path))
            self._handle = self._stack.enter_context(self._path.open("ab"))
            self._handle.truncate(_whole(self._path))
            self._stack = self._stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def record(self, judgement: Judgement) -> None:
        """Add a judgement, safely on disk when this returns. Where that fails, the file is as it was before."""
        end = os.fstat(self._handle.fileno()).st_size
        try:
            with friendly_disk_errors(self._path):
                self._handle.write(_line(judgement))
                self._handle.flush()
                os.fsync(self._handle.fileno())
        except BaseException:
            os.ftruncate(self._handle.fileno(), end)
            raise
        self.standing = _standing([*self.standing.values(), judgement])

    def _lock(self, folder: Path) -> None:
        try:
            self._stack.enter_context(exclusive(folder / f".{self.reviewer}.lock", wait=False))
        except BlockingIOError:
            hint = "use the page that is open, or another name with `--reviewer NAME`"
            raise MachineError(f"{self.reviewer} is reviewing this run already", where=str(folder), hint=hint) from None


def read_judgements(folder: Path) -> dict[str, dict[str, Judgement]]:
    """For each reviewer, in the order of their names, the judgements that count, by row; nothing where there is no folder.

    Raises `DataError` for a line that is no judgement; a last line that was cut off is passed over.
    """
    return {path.stem: _standing(_judgements(path)) for path in sorted(folder.glob("*.jsonl"))}


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


def _standing(judgements: Iterable[Judgement]) -> dict[str, Judgement]:
    standing: dict[str, Judgement] = {}
    for judgement in judgements:
        # Taken out first, so that the order is that of judging.
        standing.pop(judgement.id, None)
        if judgement.verdict != "undo":
            standing[judgement.id] = judgement
    return standing


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
        return Judgement(
            id=str(values["id"]),
            verdict=_verdict(values["verdict"]),
            reviewer=path.stem,
            time=str(values["time"]),
            messages=tuple(Message(one["role"], one["content"]) for one in values.get("messages", ())),
            note=str(values.get("note", "")),
        )
    except (ValueError, KeyError, TypeError):
        hint = "take the line out; all others stay as they are"
        raise DataError("this line is no judgement of a reviewer", where=f"{path}:{number}", hint=hint) from None


def _verdict(value: Any) -> Verdict:
    if value not in get_args(Verdict):
        raise ValueError(value)
    verdict: Verdict = value
    return verdict


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
