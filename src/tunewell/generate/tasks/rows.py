"""What tasks made from rows have in common: which rows they take, and what a new row says of the one it descends from."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from tunewell.generate.material import Material
from tunewell.records import Example, Message, Origin
from tunewell.text import defused, normalise
from tunewell.text import language as language_of

# Checks reject some rows, so that many more must be at hand than are asked for. Those that are not needed cost only memory.
_AT_LEAST = 10_000
_FOR_EACH = 8


class Flaw(NamedTuple):
    """Why a row is rejected, and what the check saw."""

    reason: str
    detail: str


def candidates(material: Material, rows: int, fits: Callable[[Example], bool]) -> list[Example]:
    """Domain rows in a language that there are prompts for, enough of them to make so many rows of."""
    most = max(_AT_LEAST, _FOR_EACH * rows)
    return material.examples(most, lambda example: example.language in {"en", "zh"} and fits(example))


def questions(material: Material, rows: int, *, longest: int, tasks: Collection[str] = ("qa",)) -> list[Example]:
    """Candidates with one question of at most `longest` characters and its answer; each question once."""

    def fits(example: Example) -> bool:
        return example.task in tasks and len(example.question) <= longest and is_answered_question(example)

    unique: dict[str, Example] = {}
    for example in candidates(material, rows, fits):
        unique.setdefault(normalise(example.question), example)
    return list(unique.values())


def is_answered_question(example: Example) -> bool:
    """Whether a row consists of one question and one answer, perhaps with a system text."""
    spoken = [message.role for message in example.messages if message.role != "system"]
    return spoken == ["user", "assistant"] and bool(example.question.strip()) and bool(example.answer.strip())


def derived(source: Example, task: str, messages: Sequence[Message], **evidence: Any) -> Example:
    """A row of a task, made from another one and of its family."""
    origin = source.origin
    return Example(
        tuple(messages),
        "domain",
        Origin(task),
        task=task,
        language=source.language,
        family=source.family,
        evidence={"task": task, "source": {"id": source.id, "path": origin.path, "row": origin.row}, **evidence},
    )


def asked_again(source: Example, question: str, answer: str = "") -> tuple[Message, ...]:
    """The messages of a row with another question, and an answer if there is one, below the same system text."""
    system = tuple(message for message in source.messages if message.role == "system")
    reply = (Message("assistant", answer),) if answer else ()
    return (*system, Message("user", question), *reply)


def control_flaw(*texts: str) -> Flaw | None:
    """`control_tokens` where a text holds a control token of a chat format, which no row may teach."""
    marked = next((text for text in texts if defused(text) != text), None)
    return None if marked is None else Flaw("control_tokens", marked)


def language_flaw(language: str, *texts: str) -> Flaw | None:
    """`wrong_language` where a text is in another language; one without letters (`12 + 8 = 20`) is in none."""
    foreign = next((text for text in texts if language_of(text) not in {language, ""}), None)
    return None if foreign is None else Flaw("wrong_language", foreign)
