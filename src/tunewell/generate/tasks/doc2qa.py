"""`doc2qa`: questions and answers from documents, each answer proved by quotes, a second reading and a closed-book call."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from tunewell.generate.material import Material
from tunewell.generate.tasks.grounding import (
    LEAST_LETTERS,
    Check,
    GroundedAnswer,
    SecondAnswer,
    Verdicts,
    answer_checks,
    hold_unknown,
    known_answer,
    letters,
    material_of,
    question_checks,
    quotes_of,
    refusal_checks,
    require_letters,
    round_trip,
    row_of,
)
from tunewell.generate.tasks.neighbours import Neighbours, answered_elsewhere
from tunewell.generate.workshop import Made, Outcome, Session, Skipped, Workshop, together
from tunewell.records import Document, Message

_NAME = "doc2qa"
_LETTERS_A_QUESTION = {"zh": 200, "en": 500}
_MOST_QUESTIONS = 8
_UNANSWERABLE = "unanswerable"
# Half again as many unanswerable questions are asked as are to be kept, since some fail their checks.
_SPARE = 1.5


class Doc2qaGate(BaseModel):
    """Whether a text holds anything to ask about."""

    reason: str = Field(description="One sentence: what a user could learn from the text, or why nothing")
    usable: bool = Field(description="true where a user of the product or service could have a question that the text answers")


class Doc2qaQuestion(BaseModel):
    """A question that a user might ask."""

    kind: Literal["fact", "how", "why", "compare", "number", "condition", "negative"] = Field(
        description="The type of the question"
    )
    question: str = Field(description="The question in the user's words, which can be understood without the text")


class Doc2qaPlan(BaseModel):
    """Questions that a text answers."""

    questions: list[Doc2qaQuestion] = Field(description="The questions, each about another piece of information in the text")


class Doc2qaNear(BaseModel):
    """Questions on the topic of a text that it does not answer."""

    questions: list[str] = Field(description="Questions in the user's words that the text does not answer")


class _Job(NamedTuple):
    chunk: Document
    answerable: int
    unanswerable: int

    @property
    def id(self) -> str:
        return self.chunk.id

    @property
    def language(self) -> str:
        return self.chunk.language


async def doc2qa(
    material: Material,
    rows: int,
    workshop: Workshop,
    *,
    unanswerable: float,
    agreement: float,
    closed_book: Literal["drop", "keep", "off"],
) -> AsyncIterator[Made]:
    """Rows of one question and one answer each; the reader of a row does not see the chunk it was made from.

    A chunk that nobody would ask about is skipped (`no_questions`). Rejected, in this order: a question in another language than
    its text (`wrong_language`), one that points at the text (`meta_reference`), one like an earlier one of its chunk
    (`repeated_question`); an answer that the text does not give (`not_answerable`), in another language (`wrong_language`), that
    points at the text (`meta_reference`), without quotes (`no_quote`), with a quote that is not in the text (`quote_not_found`),
    with quotes too short to prove anything (`thin_quote`), with `control_tokens`, with numbers that are not in quotes, heading or
    question or names that are not in the text (`unsupported_number`, `unsupported_name`); one that a second reading does not agree
    with (`round_trip`); one that the teacher gives without the text (`known_without_document`).

    Of the kept rows the share `unanswerable` asks something that neither the chunk nor the chunks closest to the question answer,
    and says so. Rejected: questions that are answered (`answerable_after_all`, `answered_elsewhere`), an answer that quotes
    (`refusal_with_quote`) or does not say honestly that the material does not tell (`no_refusal`), and what is above the share
    (`surplus`).
    """
    chunks = material.chunks()
    maker = _Maker(agreement, closed_book, Neighbours(chunks if unanswerable else ()))
    share = _Share(unanswerable)
    async for made in workshop.each(_NAME, _jobs(chunks, unanswerable), maker.make, rows=rows, admit=share.admit):
        yield made


def _jobs(chunks: Sequence[Document], unanswerable: float) -> Iterator[_Job]:
    """Each chunk with its number of questions; those without an answer are spread evenly over all chunks."""
    odds = _SPARE * unanswerable / (1 - unanswerable) if unanswerable < 1 else 1.0
    answerable, near = 0, 0
    for chunk in chunks:
        questions = _questions(chunk)
        answerable += questions
        here = min(_MOST_QUESTIONS, int(answerable * odds + 0.5) - near) if questions else 0
        near += here
        yield _Job(chunk, questions if unanswerable < 1 else 0, here)


def _questions(chunk: Document) -> int:
    """How many questions a chunk is good for, growing with its length."""
    if letters(chunk.text) < LEAST_LETTERS.get(chunk.language, 1):
        return 0
    return min(_MOST_QUESTIONS, 1 + letters(chunk.text) // _LETTERS_A_QUESTION.get(chunk.language, 500))


@dataclass(slots=True)
class _Share:
    """Admits unanswerable rows up to their share of all kept rows, rounded up."""

    share: float
    kept: int = 0
    unanswerable: int = 0

    def admit(self, made: Made) -> Made:
        if made.reason:
            return made
        is_unanswerable = made.example.evidence["kind"] == _UNANSWERABLE
        if is_unanswerable and self.unanswerable >= round(self.share * (self.kept + 1), 9):
            return made._replace(reason="surplus", detail=f"{self.unanswerable} of {self.kept} kept rows are unanswerable already")
        self.kept += 1
        self.unanswerable += is_unanswerable
        return made


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the rows of a chunk."""

    agreement: float
    closed_book: Literal["drop", "keep", "off"]
    neighbours: Neighbours

    async def make(self, job: _Job, session: Session) -> Sequence[Outcome]:
        require_letters(job.chunk)
        text = material_of(job.chunk)
        gate = await session.ask("doc2qa.gate", Doc2qaGate, text=text)
        if not gate.usable:
            raise Skipped("no_questions", gate.reason)
        plan, near = Doc2qaPlan(questions=[]), Doc2qaNear(questions=[])
        if job.answerable:
            plan = await session.ask("doc2qa.plan", Doc2qaPlan, text=text, count=job.answerable)
        if job.unanswerable:
            near = await session.ask("doc2qa.near", Doc2qaNear, text=text, count=job.unanswerable)
        planned = plan.questions[: job.answerable]
        asked = [entry.question.strip() for entry in planned]
        unanswered = [question.strip() for question in near.questions[: job.unanswerable]]
        return await together(
            [
                *(
                    self._answered(job.chunk, entry.kind, asked[: place + 1], session.branch())
                    for place, entry in enumerate(planned)
                ),
                *(
                    self._unanswered(job.chunk, [*asked, *unanswered[: place + 1]], session.branch())
                    for place in range(len(unanswered))
                ),
            ]
        )

    async def _answered(self, chunk: Document, kind: str, asked: Sequence[str], session: Session) -> Made:
        """The row of the last of the questions asked so far."""
        *earlier, question = asked
        verdicts = Verdicts()
        if not verdicts.hold(question_checks(question, chunk.language, earlier)):
            return _made(chunk, session, verdicts, kind, question)
        text = material_of(chunk)
        answer = await session.ask("doc2qa.answer", GroundedAnswer, text=text, question=question)
        if verdicts.hold(answer_checks(answer, question, chunk)):
            second = await session.ask("doc2qa.second", SecondAnswer, text=text, question=question)
            if round_trip(answer.answer, second, self.agreement, verdicts) and self.closed_book != "off":
                known = await known_answer(question, answer.answer, self.agreement, session, verdicts)
                hold_unknown(known, drops=self.closed_book == "drop", verdicts=verdicts)
        return _made(chunk, session, verdicts, kind, question, answer)

    async def _unanswered(self, chunk: Document, asked: Sequence[str], session: Session) -> Made:
        *earlier, question = asked
        verdicts = Verdicts()
        if not verdicts.hold(question_checks(question, chunk.language, earlier)):
            return _made(chunk, session, verdicts, _UNANSWERABLE, question)
        answer = await session.ask("doc2qa.answer", GroundedAnswer, text=material_of(chunk), question=question)
        if verdicts.hold(refusal_checks(answer, question, chunk)):
            verdicts.hold([await self._elsewhere(question, chunk, session)])
        return _made(chunk, session, verdicts, _UNANSWERABLE, question, answer)

    async def _elsewhere(self, question: str, chunk: Document, session: Session) -> Check:
        async def read(text: str) -> SecondAnswer:
            return await session.ask("doc2qa.second", SecondAnswer, text=text, question=question)

        return await answered_elsewhere(self.neighbours.nearest(question, chunk), read)


def _made(
    chunk: Document, session: Session, verdicts: Verdicts, kind: str, question: str, answer: GroundedAnswer | None = None
) -> Made:
    messages = [Message("user", question)]
    evidence: dict[str, Any] = {"kind": kind, "verdicts": verdicts.ran, "quotes": []}
    if answer is not None:
        messages.append(Message("assistant", answer.answer.strip()))
        evidence["quotes"] = quotes_of(answer, chunk)
    return Made(row_of(chunk, _NAME, messages, **evidence), session, verdicts.reason, verdicts.detail)
