"""What tasks made from rows have in common: which rows they take, and what a new row says of the one it descends from."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tunewell.generate.chunks import prose_language
from tunewell.generate.material import Material, Wanted
from tunewell.generate.workshop import Workshop
from tunewell.records import Example, Message, Origin
from tunewell.text import defused, normalise

# Checks reject some rows, so that many more must be at hand than are asked for. Those that are not needed cost only memory.
_AT_LEAST = 10_000
_FOR_EACH = 8


class Flaw(NamedTuple):
    """Why a row is rejected, and what the check saw."""

    reason: str
    detail: str


def wanted_questions(*, longest: int, tasks: Collection[str] = ("qa",)) -> Wanted:
    """Rows of one question of at most `longest` characters and its answer, perhaps below a system text.

    >>> from tunewell.records import Example, Message, Origin
    >>> turns = tuple(Message(role, "Why?") for role in ("user", "assistant", "user", "assistant"))
    >>> wanted_questions(longest=9).misfit(Example(turns, "domain", Origin("log.csv"), language="en"))
    'many_turns'
    """

    def misfit(example: Example) -> str:
        if flaw := _misfit(example, tasks):
            return flaw
        if [message.role for message in example.messages if message.role != "system"] != ["user", "assistant"]:
            return "many_turns"
        return "too_long" if len(example.question) > longest else ""

    return Wanted(f"single questions of at most {longest:,} characters with their answers", misfit)


def wanted_conversations() -> Wanted:
    """Rows in which a user is answered, once or more."""
    return Wanted("conversations with an answer", lambda example: _misfit(example, ("qa",)))


def _misfit(example: Example, tasks: Collection[str]) -> str:
    if example.task not in tasks:
        return "other_task"
    if example.language not in {"en", "zh"}:
        return "other_language"
    return "" if example.question.strip() and example.answer.strip() else "no_answer"


def candidates(material: Material, rows: int, wanted: Wanted, workshop: Workshop) -> list[Example]:
    """Rows that a task wants, enough of them to make so many rows of. The workshop is told how many others were passed over."""
    drawn = material.examples(max(_AT_LEAST, _FOR_EACH * rows), wanted.misfit)
    workshop.passed_over += drawn.passed_over
    return drawn.rows


def questions(material: Material, rows: int, wanted: Wanted, workshop: Workshop) -> list[Example]:
    """Candidates, each question once."""
    found = candidates(material, rows, wanted, workshop)
    unique: dict[str, Example] = {}
    for example in found:
        unique.setdefault(normalise(example.question), example)
    workshop.passed_over += Counter(repeated=len(found) - len(unique))
    return list(unique.values())


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
    foreign = next((text for text in texts if prose_language(text) not in {language, ""}), None)
    return None if foreign is None else Flaw("wrong_language", foreign)
