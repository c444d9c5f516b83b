"""Domain rows, and what a task makes of them with a scripted teacher."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.generate.scripted import ScriptedTeacher
from tunewell.bundled import read_jsonl
from tunewell.generate.material import Material
from tunewell.generate.workshop import Failed, Made, Workshop
from tunewell.records import DOCUMENT_SCHEMA, EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
from tunewell.store import write_rows
from tunewell.text import language

Task = Callable[[Material, int, Workshop], AsyncIterator[Made]]


class Outcome(NamedTuple):
    """What came of a task: rows in their order, failed and skipped work, rows passed over, and the teacher with its account."""

    made: list[Made]
    failed: list[Failed]
    skipped: list[Failed]
    passed_over: Counter[str]
    teacher: ScriptedTeacher

    @property
    def kept(self) -> list[Example]:
        return [made.example for made in self.made if not made.reason]

    @property
    def reasons(self) -> Counter[str]:
        return Counter(made.reason for made in self.made if made.reason)

    def rejected(self, reason: str) -> Made:
        """The one row that was rejected so."""
        (found,) = (made for made in self.made if made.reason == reason)
        return found

    def bytes(self) -> list[Any]:
        """All that a run writes down of its rows."""
        return [[example_to_row(made.example), made.session.evidence(), made.reason, made.detail] for made in self.made]


def row(*texts: str, number: int = 1, task: str = "qa", system: str = "") -> Example:
    """A domain row of turns that begin with the user's."""
    spoken = [Message("user" if place % 2 == 0 else "assistant", text) for place, text in enumerate(texts)]
    messages = ([Message("system", system)] if system else []) + spoken
    return Example(tuple(messages), "domain", Origin("log.jsonl", number), task=task, language=language(texts[0]))


def bundled_rows() -> list[Example]:
    """The rows of the bundled domain in both languages."""
    return [
        Example(
            tuple(Message(**message) for message in found["messages"]), "domain", Origin(f"{code}.jsonl", number), language=code
        )
        for code in ("en", "zh")
        for number, found in enumerate(read_jsonl("support", code, "qa.jsonl"), start=1)
    ]


def material_of(folder: Path, rows: Sequence[Example], *, seeds: Sequence[Path] = (), seed: int = 0) -> Material:
    """The material that `collect` would have left in a folder."""
    write_rows(folder / "examples", EXAMPLE_SCHEMA, [example_to_row(example) for example in rows])
    write_rows(folder / "documents", DOCUMENT_SCHEMA, [])
    return Material(folder, tuple(seeds), seed)


def outcome_of(task: Task, material: Material, answers: Mapping[str, Callable[[str], Any]], rows: int = 100) -> Outcome:
    """Run a task to its end."""
    teacher = ScriptedTeacher(answers)
    workshop = Workshop(teacher)

    async def run() -> list[Made]:
        return [made async for made in task(material, rows, workshop)]

    return Outcome(asyncio.run(run()), workshop.failed, workshop.skipped, workshop.passed_over, teacher)
