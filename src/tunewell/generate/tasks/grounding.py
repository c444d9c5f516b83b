"""Answers that rest on a chunk of a document: the shapes they are asked for in, and the checks that each must pass."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from tunewell.generate.checks import (
    agreement,
    is_refusal,
    locate,
    meta_reference,
    same_numbers,
    unsupported_names,
    unsupported_numbers,
)
from tunewell.generate.workshop import Skipped
from tunewell.records import Document, Example, Message, Origin
from tunewell.text import defused, language

LEAST_LETTERS = {"zh": 20, "en": 40}
"""Letters that a chunk must have for anything to be asked about it."""
_REPEATED = 0.8
_EMPTY = "an empty text"


class GroundedAnswer(BaseModel):
    """An answer from a text alone, with the passages that prove it."""

    quotes: list[str] = Field(
        description="The passages of the text that prove the answer, each copied letter by letter; empty where there are none"
    )
    answerable: bool = Field(description="true only where the text itself answers the question completely")
    answer: str = Field(
        description="The answer for the user; where answerable is false, a sentence or two that say that the material does not tell"
    )


class SecondAnswer(BaseModel):
    """An answer from a text alone, given without seeing any other."""

    answerable: bool = Field(description="true only where the text itself answers the question completely")
    answer: str = Field(description="The answer for the user; where answerable is false, that the material does not tell")


class Check(NamedTuple):
    """A check that ran: the reason for which it rejects a row, and what is wrong with this one (empty: nothing)."""

    reason: str
    flaw: str


@dataclass(slots=True)
class Verdicts:
    """The checks of a row, in the order in which they ran. The first that finds a flaw rejects the row and ends them."""

    ran: dict[str, bool | float] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""

    def hold(self, checks: Iterable[Check]) -> bool:
        """Run checks until one finds a flaw; whether none did."""
        for check in checks:
            self.ran[check.reason] = not check.flaw
            if check.flaw:
                self.reason, self.detail = check.reason, check.flaw
                return False
        return True


def material_of(chunk: Document) -> str:
    """What the teacher reads of a chunk: the headings above it as a first line, and its text."""
    return f"# {chunk.heading}\n\n{chunk.text}" if chunk.heading else chunk.text


def letters(text: str) -> int:
    """How many letters and Han characters a text has."""
    return sum(map(str.isalpha, text))


def require_letters(chunk: Document, least: Mapping[str, int] = LEAST_LETTERS) -> None:
    """Raises `Skipped` where a chunk is in no language that there are prompts for, or has too few letters."""
    if chunk.language not in least:
        raise Skipped("no_questions", "neither English nor Chinese")
    found = letters(chunk.text)
    if found < least[chunk.language]:
        raise Skipped("no_questions", f"{found} letters; {least[chunk.language]} are needed")


def row_of(chunk: Document, task: str, messages: Sequence[Message], **evidence: Any) -> Example:
    """A row made from a chunk, and of its family."""
    return Example(
        tuple(messages),
        "domain",
        Origin(chunk.path, None, chunk.heading, chunk.start, chunk.end),
        task=task,
        language=chunk.language,
        family=chunk.id,
        evidence={"task": task, "chunk": chunk.id, **evidence},
    )


def quotes_of(answer: GroundedAnswer, chunk: Document) -> list[dict[str, Any]]:
    """The quotes of an answer that stand in the chunk, with their places in it."""
    found = (locate(quote, chunk.text) for quote in answer.quotes)
    return [quote._asdict() for quote in found if quote is not None]


def question_checks(question: str, language_of_chunk: str, earlier: Iterable[str]) -> Iterator[Check]:
    """A question is in the language of the text, makes sense without it, and was not asked before."""
    yield Check("wrong_language", (question or _EMPTY) if language(question) != language_of_chunk else "")
    yield Check("meta_reference", meta_reference(question))
    yield Check("repeated_question", next((other for other in earlier if agreement(question, other) > _REPEATED), ""))


def answer_checks(answer: GroundedAnswer, question: str, chunk: Document, context: str = "") -> Iterator[Check]:
    """An answer is there, makes sense without the chunk, quotes it word for word, and holds no number or name from elsewhere.

    What the user said, in `question` and `context`, may be repeated.
    """
    yield Check("not_answerable", "" if answer.answerable and answer.answer.strip() else answer.answer.strip() or _EMPTY)
    yield Check("meta_reference", meta_reference(answer.answer))
    yield Check("no_quote", "" if any(map(str.strip, answer.quotes)) else "no passage is quoted")
    yield Check("quote_not_found", next((quote for quote in answer.quotes if locate(quote, chunk.text) is None), ""))
    yield control_check(question, answer.answer)
    yield from support_checks(answer.answer, f"{material_of(chunk)}\n{context}\n{question}")


def refusal_checks(answer: GroundedAnswer, question: str, chunk: Document, context: str = "") -> Iterator[Check]:
    """An answer says honestly that the material does not tell, and tells nothing instead."""
    yield Check("answerable_after_all", (answer.answer.strip() or _EMPTY) if answer.answerable else "")
    yield Check("refusal_with_quote", next((quote for quote in answer.quotes if quote.strip()), ""))
    yield Check("no_refusal", "" if is_refusal(answer.answer) else answer.answer.strip() or _EMPTY)
    yield control_check(question, answer.answer)
    yield from support_checks(answer.answer, f"{material_of(chunk)}\n{context}\n{question}")


def support_checks(answer: str, source: str) -> Iterator[Check]:
    """All numbers and names of a text stand in its source."""
    yield Check("unsupported_number", ", ".join(unsupported_numbers(answer, source)))
    yield Check("unsupported_name", ", ".join(unsupported_names(answer, source)))


def control_check(*texts: str) -> Check:
    """No text holds a control token of a chat format."""
    return Check("control_tokens", next((text for text in texts if defused(text) != text), ""))


def round_trip(first: str, second: SecondAnswer, threshold: float, verdicts: Verdicts) -> bool:
    """Whether an answer agrees with one that was given without seeing it, in wording and in numbers; noted in the verdicts."""
    score = agreement(first, second.answer)
    verdicts.ran["agreement"] = round(score, 4)
    flaw = ""
    if not second.answerable:
        flaw = f"not answerable on a second reading: {second.answer}"
    elif score < threshold:
        flaw = f"ROUGE-L {score:.2f} with the second answer: {second.answer}"
    elif not same_numbers(first, second.answer):
        flaw = f"other numbers in the second answer: {second.answer}"
    return verdicts.hold([Check("round_trip", flaw)])
