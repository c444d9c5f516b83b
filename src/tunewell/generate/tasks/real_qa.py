"""`real_qa`: clean rows from real logs, with the user's own wording as the question."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from tunewell.generate.checks import agreement as agreement_of
from tunewell.generate.checks import same_numbers, unsupported_names, unsupported_numbers
from tunewell.generate.material import Material
from tunewell.generate.polarity import same_polarity
from tunewell.generate.tasks.rows import (
    Flaw,
    asked_again,
    candidates,
    control_flaw,
    derived,
    language_flaw,
    wanted_conversations,
)
from tunewell.generate.workshop import Made, Outcome, Session, Skipped, Workshop, together
from tunewell.records import Example, Message
from tunewell.text import defused

_NAME = "real_qa"
# Questions taken from one conversation.
_MOST = 3

REAL_QA_ROWS = wanted_conversations()
"""The rows that this task takes."""


class RealQaQuestions(BaseModel):
    """The questions of a conversation."""

    reason: str = Field(description="One sentence: what the user wants to know, or that there is only small talk")
    questions: list[str] = Field(
        description="Each question copied letter by letter from the user's turns; empty where there is none"
    )


class RealQaAlone(BaseModel):
    """Whether a question can be understood alone."""

    reason: str = Field(description="One sentence: what is missing, or that nothing is")
    alone: bool = Field(description="true where somebody who knows the field could answer without the rest of the conversation")


class RealQaAnswer(BaseModel):
    """What the agent says in answer to a question, as one clean text."""

    answer: str = Field(description="The answer in the agent's facts alone; empty where the agent does not answer the question")


class RealQaSecond(BaseModel):
    """A second answer, given without the first in view."""

    answer: str = Field(description="The answer in the agent's facts alone; empty where the agent does not answer the question")


class _Attempt(NamedTuple):
    answer: str
    verdicts: dict[str, Any]
    flaw: Flaw | None = None


async def real_qa(material: Material, rows: int, workshop: Workshop, *, agreement: float) -> AsyncIterator[Made]:
    """Rows made of real conversations: a question in the user's own words, and the agent's answer without the noise.

    A conversation without a question is skipped (`no_question`). Rejected: a question that the user did not write so
    (`wording_changed`), or that is not understood alone (`needs_context`); one that the agent does not answer (`no_answer`); an
    answer with `control_tokens` or in another language (`wrong_language`), with a number or a name that the conversation does not
    hold (`unsupported_number`, `unsupported_name`), or one that a second call, which does not see it, does not agree with in
    wording, numbers, yes and no (`round_trip`).
    """

    async def make(source: Example, session: Session) -> list[Outcome]:
        return await _make(source, session, agreement)

    jobs = candidates(material, rows, REAL_QA_ROWS, workshop)
    async for made in workshop.each(_NAME, jobs, make, rows=rows):
        yield made


async def _make(source: Example, session: Session, threshold: float) -> list[Outcome]:
    found = await session.ask("real_qa.find", RealQaQuestions, turns=_spoken(source))
    wanted = list(dict.fromkeys(question for text in found.questions if (question := text.strip())))[:_MOST]
    if not wanted:
        raise Skipped("no_question", found.reason)
    return await together(_row(source, question, session.branch(), threshold) for question in wanted)


async def _row(source: Example, question: str, session: Session, threshold: float) -> Made:
    answer, verdicts, flaw = await _attempt(source, question, session, threshold)
    row = derived(source, _NAME, asked_again(source, question, answer), verdicts=verdicts)
    return Made(row, session, *(flaw or ()))


async def _attempt(source: Example, question: str, session: Session, threshold: float) -> _Attempt:
    verdicts: dict[str, Any] = {"verbatim": _is_verbatim(question, source)}
    if not verdicts["verbatim"]:
        return _Attempt("", verdicts, Flaw("wording_changed", f"the user did not write: {question}"))
    alone = await session.ask("real_qa.alone", RealQaAlone, question=question)
    verdicts["alone"] = alone.alone
    if not alone.alone:
        return _Attempt("", verdicts, Flaw("needs_context", alone.reason))
    turns = _spoken(source)
    answer = (await session.ask("real_qa.answer", RealQaAnswer, turns=turns, question=question)).answer.strip()
    if not answer:
        return _Attempt("", verdicts, Flaw("no_answer", f"the agent does not answer: {question}"))
    if flaw := control_flaw(question, answer) or language_flaw(source.language, answer):
        return _Attempt(answer, verdicts, flaw)
    flaw = _unsupported(answer, "\n".join(_said_by("assistant", source)), question)
    verdicts["supported"] = flaw is None
    if flaw:
        return _Attempt(answer, verdicts, flaw)
    second = (await session.ask("real_qa.second", RealQaSecond, turns=turns, question=question)).answer.strip()
    likeness = agreement_of(answer, second)
    verdicts["agreement"] = round(likeness, 4)
    return _Attempt(answer, verdicts, _disagreement(answer, second, likeness, threshold))


def _disagreement(answer: str, second: str, likeness: float, threshold: float) -> Flaw | None:
    if likeness < threshold:
        return Flaw("round_trip", f"ROUGE-L {likeness:.2f} with: {second}")
    if not same_numbers(answer, second):
        return Flaw("round_trip", f"other numbers in: {second}")
    if not same_polarity(answer, second):
        return Flaw("round_trip", f"yes and no differ in: {second}")
    return None


def _unsupported(answer: str, agent: str, question: str) -> Flaw | None:
    if numbers := unsupported_numbers(answer, agent, question):
        return Flaw("unsupported_number", ", ".join(numbers))
    if names := unsupported_names(answer, f"{question}\n{agent}"):
        return Flaw("unsupported_name", ", ".join(names))
    return None


def _spoken(source: Example) -> list[Message]:
    return [message for message in source.messages if message.role != "system"]


def _said_by(role: str, source: Example) -> list[str]:
    return [message.content for message in source.messages if message.role == role]


def _is_verbatim(question: str, source: Example) -> bool:
    """Whether one turn of the user holds a question."""
    # The teacher read the log with its control tokens defused.
    turns = (defused(said) for said in _said_by("user", source))
    return any(" ".join(question.split()) in " ".join(said.split()) for said in turns)
