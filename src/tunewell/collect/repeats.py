"""Rows that meet: questions that repeat, answers that disagree, and training questions that are in the test set."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunewell.collect.findings import Finding
from tunewell.records import Example
from tunewell.store import short_digest
from tunewell.text import normalise

_Rows = NDArray[np.int64]

_SHOWN_CHARS = 60
_REMEDIES = {
    "duplicate_id": "give each row an id of its own; nothing is lost, for rows are told apart by content here",
    "duplicate_question": "keep one of each: cleaning drops rows that repeat as a whole, unless `clean.skip: [duplicate]`",
    "contradiction": "keep one answer: cleaning drops every row of such a question, unless `clean.skip: [contradiction]`",
}


class _Test(NamedTuple):
    task: str
    where: str


class Repeats:
    """Repeated questions and ids among training rows. Memory: 32 bytes a row.

    A question is all that precedes the last answer, so that a shared first turn of two conversations is no repeat. Questions
    and answers are known by 64 bits of their hash: among a million, two fall together with a chance of 1 in 30 million.
    """

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._codes: dict[str, int] = {}
        self._questions = array("Q")
        self._answers = array("Q")
        self._ids = array("Q")
        self._file_of = array("I")
        # The line in the file, or, where a row has none, minus its number among the rows.
        self._line_of = array("i")

    def add(self, example: Example, where: str, row_id: str) -> None:
        """Take in one training row; `row_id` is the id that the file gives it, if any."""
        path = example.origin.path
        question = "\n".join(f"{message.role} {normalise(message.content)}" for message in example.prompt)
        self._questions.append(short_digest(question))
        self._answers.append(short_digest(normalise(example.answer)))
        self._ids.append(short_digest(f"{path}\n{row_id}") if row_id else 0)
        self._file_of.append(self._code(path))
        self._line_of.append(_line(where, path) or -(example.origin.row or 0))

    def merge(self, later: "Repeats") -> None:
        """Take in rows that come after these."""
        code = [self._code(path) for path in later._paths]
        self._questions += later._questions
        self._answers += later._answers
        self._ids += later._ids
        self._line_of += later._line_of
        self._file_of.extend(code[file] for file in later._file_of)

    def findings(self) -> Iterator[Finding]:
        """For each file a warning for ids repeated in it, for questions, for those of other files, and for other answers."""
        yield from self._about_ids()
        first = _first_of_each(np.frombuffer(self._questions, np.uint64))
        again = np.flatnonzero(first != np.arange(len(first)))
        answers, files = np.frombuffer(self._answers, np.uint64), np.frombuffer(self._file_of, np.uint32)
        for rows in self._by_file(again):
            here = files[first[rows]] == files[rows]
            others = np.unique(files[first[rows[~here]]])
            elsewhere = f"in {self._paths[others[0]]}" if len(others) == 1 else f"in {len(others):,} other files"
            other_answer = answers[rows] != answers[first[rows]]
            yield from self._about(rows[here], first, "duplicate_question", "a question that stands earlier in this file")
            yield from self._about(rows[~here], first, "duplicate_question", f"a question that stands {elsewhere} as well")
            yield from self._about(rows[other_answer], first, "contradiction", "another answer to a question answered before")

    def _about_ids(self) -> Iterator[Finding]:
        ids = np.frombuffer(self._ids, np.uint64)
        first = _first_of_each(ids)
        again = np.flatnonzero((first != np.arange(len(first))) & (ids != 0))
        # The examples of one row, such as the instances of one instruction, share its id.
        lines = np.frombuffer(self._line_of, np.int32)
        for rows in self._by_file(again[lines[again] != lines[first[again]]]):
            yield from self._about(rows, first, "duplicate_id", "an id that stands earlier in this file")

    def _by_file(self, rows: _Rows) -> list[_Rows]:
        files = np.frombuffer(self._file_of, np.uint32)
        by_file = rows[np.argsort(files[rows], kind="stable")]
        return np.split(by_file, np.flatnonzero(np.diff(files[by_file])) + 1) if len(rows) else []

    def _about(self, rows: _Rows, first: _Rows, code: str, what: str) -> Iterator[Finding]:
        """A warning about rows of one file, if there are any."""
        if len(rows):
            example = f"for example {self._place(rows[0])} and {self._place(first[rows[0]])}"
            path = self._paths[self._file_of[rows[0]]]
            yield Finding(path, code, "warning", f"{_have(len(rows))} {what}, {example}", _REMEDIES[code])

    def _code(self, path: str) -> int:
        if path not in self._codes:
            self._codes[path] = len(self._paths)
            self._paths.append(path)
        return self._codes[path]

    def _place(self, row: np.int64) -> str:
        path, line = self._paths[self._file_of[row]], self._line_of[row]
        return f"{path}:{line}" if line > 0 else f"row {-line} of {path}"


@dataclass(slots=True)
class Overlap:
    """The test items: the questions to be answered unseen, and those that must stand in training."""

    held_out: dict[str, _Test] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def add(self, example: Example, where: str) -> None:
        """Take in one test item."""
        if example.task == "seen":
            self.seen.setdefault(example.id, where)
        else:
            self.held_out.setdefault(normalise(example.question), _Test(example.task, where))

    def finding(self, example: Example, where: str) -> Finding | None:
        """An error where the question of this training row is to be answered unseen."""
        match = self.held_out.get(normalise(example.question)) if self.held_out else None
        if match is None:
            return None
        what = f"the question “{_short(example.question)}” is the {match.task} test question at {match.where}"
        remedy = "remove this row, or the test item: cleaning drops the row, unless `clean.skip: [contamination]`"
        return Finding(where, "train_test_overlap", "error", what, remedy)

    def findings(self, trained: set[str]) -> Iterator[Finding]:
        """A warning where `seen` items have no training row of the same question and answer; `trained` are those that have."""
        missing = [where for id_, where in self.seen.items() if id_ not in trained]
        if missing:
            what = f"{len(missing)} of {len(self.seen)} `seen` items have no training row with that question and answer"
            remedy = "copy question and answer from the training row, letter by letter"
            yield Finding(missing[0], "seen_not_in_training", "warning", what, remedy)


def _first_of_each(values: NDArray[np.uint64]) -> _Rows:
    """For each place the first place that holds the same value."""
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    first = np.empty(len(values), np.int64)
    first[order] = order[np.searchsorted(in_order, in_order)]
    return first


def _line(where: str, path: str) -> int:
    line = where.removeprefix(f"{path}:")
    return int(line) if line.isascii() and line.isdigit() else 0


def _have(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"
