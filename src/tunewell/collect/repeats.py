"""Rows that meet: questions that repeat, answers that disagree, and training questions that are in the test set."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tunewell.collect.findings import Finding
from tunewell.records import Example
from tunewell.text import normalise

_SHOWN_CHARS = 60


class _First(NamedTuple):
    path: str
    where: str
    answer: bytes


class _Pair(NamedTuple):
    first: str
    again: str


class Repeats:
    """Repeated questions among training rows. Memory: about 200 bytes for each distinct question.

    A question is all that precedes the last answer, so that a shared first turn of two conversations is no repeat.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, _First] = {}
        self._again: Counter[_Pair] = Counter()
        self._other_answer: Counter[str] = Counter()
        self._shown: dict[str | _Pair, _Pair] = {}

    def add(self, example: Example, where: str) -> None:
        """Take in one training row."""
        path = example.origin.path
        question = _digest("\n".join(f"{message.role} {normalise(message.content)}" for message in example.prompt))
        answer = _digest(normalise(example.answer))
        first = self._first.get(question)
        if first is None:
            self._first[question] = _First(path, where, answer)
            return
        places, files = _Pair(first.where, where), _Pair(first.path, path)
        self._again[files] += 1
        self._shown.setdefault(files, places)
        if first.answer != answer:
            self._other_answer[path] += 1
            self._shown.setdefault(path, places)

    def findings(self) -> Iterator[Finding]:
        """One warning for each file, or pair of files, with repeated questions, and one for each with other answers."""
        for files, count in self._again.items():
            shown = self._shown[files]
            elsewhere = "earlier in this file" if files.first == files.again else f"in {files.first} as well"
            what = f"{_rows(count)} a question that stands {elsewhere}, for example {shown.again} and {shown.first}"
            yield Finding(
                files.again, "duplicate_question", "warning", what, "`clean.duplicates` drops rows that repeat as a whole"
            )
        for path, count in self._other_answer.items():
            shown = self._shown[path]
            what = f"{_rows(count)} another answer to a question answered before, for example {shown.again} and {shown.first}"
            remedy = "keep one answer; `clean.contradictions` drops every row of such a question"
            yield Finding(path, "contradiction", "warning", what, remedy)


class Overlap:
    """Training questions that are unseen or paraphrase questions of the test set, and seen ones that are not in training."""

    def __init__(self) -> None:
        self._held_out: dict[str, tuple[str, str]] = {}
        self._seen: dict[str, str] = {}
        self._count_seen = 0

    def add_test(self, example: Example, where: str) -> None:
        """Take in one test item; all of them come before the training rows."""
        if example.task == "seen":
            self._seen.setdefault(example.id, where)
            self._count_seen = len(self._seen)
        else:
            self._held_out.setdefault(normalise(example.question), (example.task, where))

    def add_training(self, example: Example, where: str) -> Iterator[Finding]:
        """Take in one training row: an error where its question is to be answered unseen."""
        self._seen.pop(example.id, None)
        match = self._held_out.get(normalise(example.question))
        if match:
            task, place = match
            what = f"the question “{_short(example.question)}” is the {task} test question at {place}"
            remedy = "remove this row, or the test item; `clean.contamination` drops the row"
            yield Finding(where, "train_test_overlap", "error", what, remedy)

    def findings(self) -> Iterator[Finding]:
        """A warning where `seen` items have no training row of the same question and answer."""
        if self._seen:
            where = next(iter(self._seen.values()))
            what = f"{len(self._seen)} of {self._count_seen} `seen` items have no training row with that question and answer"
            remedy = "copy question and answer from the training row, letter by letter"
            yield Finding(where, "seen_not_in_training", "warning", what, remedy)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count} rows have"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"
