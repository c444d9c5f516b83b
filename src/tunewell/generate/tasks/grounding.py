"""Answers that rest on a chunk of a document: the shapes they are asked for in, and the checks that each must pass."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from tunewell.generate.checks import (
    agreement,
    clause_of,
    is_refusal,
    meta_reference,
    same_numbers,
    thin_quotes,
    unsupported_names,
    unsupported_numbers,
    whole_passage,
)
from tunewell.generate.chunks import prose_language
from tunewell.generate.polarity import same_polarity
from tunewell.generate.workshop import Session, Skipped
from tunewell.records import Document, Example, Message, Origin
from tunewell.text import defused

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


class ClosedBookAnswer(BaseModel):
    """An answer from general knowledge alone."""

    known: bool = Field(description="true only where you are sure of the answer")
    answer: str = Field(description="The answer; empty where known is false")


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
    found = (whole_passage(quote, chunk.text) for quote in answer.quotes)
    return [quote._asdict() for quote in found if quote is not None]


def question_checks(question: str, language_of_chunk: str, earlier: Iterable[str]) -> Iterator[Check]:
    """A question is in the language of the text, makes sense without it, and was not asked before."""
    yield Check("wrong_language", (question or _EMPTY) if prose_language(question) != language_of_chunk else "")
    yield Check("meta_reference", meta_reference(question))
    yield Check("repeated_question", next((other for other in earlier if agreement(question, other) > _REPEATED), ""))


def answer_checks(answer: GroundedAnswer, question: str, chunk: Document, context: str = "") -> Iterator[Check]:
    """An answer is there, in the chunk's language, makes sense without it, quotes it, and holds no number or name from elsewhere.

    A quote must stand in the chunk whole: not cut in a number or word, nor after a negation. A number must stand in the clauses
    that are quoted, in the heading or in what the user said (`question` and `context`); a name anywhere in the chunk.
    """
    is_answer = answer.answerable and answer.answer.strip() and not is_refusal(answer.answer)
    yield Check("not_answerable", "" if is_answer else answer.answer.strip() or _EMPTY)
    yield language_check(answer.answer, chunk.language)
    yield Check("meta_reference", meta_reference(answer.answer))
    material = material_of(chunk)
    quotes = [quote for quote in answer.quotes if quote.strip()]
    yield Check("no_quote", "" if quotes else "no passage is quoted")
    found = [(quote, whole_passage(quote, material)) for quote in quotes]
    yield Check("quote_not_found", next((quote for quote, passage in found if passage is None), ""))
    yield Check("thin_quote", thin_quotes(quotes, material))
    yield control_check(question, answer.answer)
    said = f"{context}\n{question}"
    proof = "\n".join((chunk.heading, *(clause_of(passage, material).text for _, passage in found if passage)))
    yield _number_check(answer.answer, proof, said)
    yield _name_check(answer.answer, f"{material}\n{said}")


def refusal_checks(answer: GroundedAnswer, question: str, chunk: Document, context: str = "") -> Iterator[Check]:
    """An answer says honestly that the material does not tell, in the chunk's language, and tells nothing instead."""
    yield Check("answerable_after_all", (answer.answer.strip() or _EMPTY) if answer.answerable else "")
    yield Check("refusal_with_quote", next((quote for quote in answer.quotes if quote.strip()), ""))
    yield Check("no_refusal", "" if is_refusal(answer.answer) else answer.answer.strip() or _EMPTY)
    yield language_check(answer.answer, chunk.language)
    yield control_check(question, answer.answer)
    yield from support_checks(answer.answer, f"{material_of(chunk)}\n{context}\n{question}")


def support_checks(answer: str, source: str) -> Iterator[Check]:
    """All numbers and names of a text stand in its source."""
    yield _number_check(answer, source)
    yield _name_check(answer, source)


def language_check(answer: str, language: str) -> Check:
    """An answer is in a language, or in none, as a number or a command is."""
    return Check("wrong_language", answer if prose_language(answer) not in {language, ""} else "")


def control_check(*texts: str) -> Check:
    """No text holds a control token of a chat format."""
    return Check("control_tokens", next((text for text in texts if defused(text) != text), ""))


def round_trip(first: str, second: SecondAnswer, threshold: float, verdicts: Verdicts) -> bool:
    """Whether an answer agrees with one given without seeing it: in wording, numbers, yes and no; noted in the verdicts."""
    score = agreement(first, second.answer)
    verdicts.ran["agreement"] = round(score, 4)
    flaw = ""
    if not second.answerable:
        flaw = f"not answerable on a second reading: {second.answer}"
    elif score < threshold:
        flaw = f"ROUGE-L {score:.2f} with the second answer: {second.answer}"
    elif not same_numbers(first, second.answer):
        flaw = f"other numbers in the second answer: {second.answer}"
    elif not same_polarity(first, second.answer):
        flaw = f"one of the two denies what the other says; the second answer: {second.answer}"
    return verdicts.hold([Check("round_trip", flaw)])


async def known_answer(question: str, answer: str, threshold: float, session: Session, verdicts: Verdicts) -> str:
    """What the teacher answers without the text, where that says the same, or an empty string; their agreement is noted."""
    closed = await session.ask("grounding.closed_book", ClosedBookAnswer, question=question)
    score = agreement(answer, closed.answer) if closed.known else 0.0
    verdicts.ran["closed_book_agreement"] = round(score, 4)
    is_same = score >= threshold and same_numbers(answer, closed.answer) and same_polarity(answer, closed.answer)
    return closed.answer if closed.known and is_same else ""


def hold_unknown(known: str, *, drops: bool, verdicts: Verdicts) -> None:
    """Reject what is `known` without the text (empty: it is not) where such rows are dropped, or else note it."""
    check = Check("known_without_document", known)
    if drops:
        verdicts.hold([check])
    else:
        verdicts.ran[check.reason] = not check.flaw


def _number_check(answer: str, source: str, said: str = "") -> Check:
    return Check("unsupported_number", ", ".join(unsupported_numbers(answer, source, said)))


def _name_check(answer: str, source: str) -> Check:
    return Check("unsupported_name", ", ".join(unsupported_names(answer, source)))
