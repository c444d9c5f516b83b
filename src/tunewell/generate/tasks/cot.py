"""`cot`: rows that reason step by step to the answer that is known."""

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from tunewell.bundled import read_yaml
from tunewell.generate.checks import agreement as agreement_of
from tunewell.generate.checks import same_numbers, unsupported_numbers
from tunewell.generate.material import Material
from tunewell.generate.tasks.rows import Flaw, asked_again, control_flaw, derived, language_flaw, questions
from tunewell.generate.workshop import Made, Session, Skipped, Workshop
from tunewell.records import Example, Message
from tunewell.store import short_digest
from tunewell.text import normalise

_NAME = "cot"
_LONGEST = 4_000
# A number that is the whole answer, perhaps with a currency, a per cent sign or a short unit.
_NUMBER = re.compile(r"\D{0,4}[-+]?[0-9][0-9.,]*\D{0,8}")


class CotNeed(BaseModel):
    """Whether a question takes reasoning."""

    reason: str = Field(description="One sentence: which steps lead to the answer, or that it is a plain fact")
    steps: bool = Field(description="true where at least two steps must be worked out")


class CotSolution(BaseModel):
    """A question worked out."""

    reasoning: str = Field(description="The steps in their order, without the final answer standing apart")
    answer: str = Field(description="The final answer alone")


class _Reached(NamedTuple):
    how: str
    agreement: float


async def cot(material: Material, rows: int, workshop: Workshop, *, share: float, agreement: float) -> AsyncIterator[Made]:
    """Rows that work out an answer, and, for the rest of the share, rows that give the same kind of answer at once.

    A question that takes no steps is skipped (`no_steps`). The teacher reasons without the known answer in view. Rejected:
    `control_tokens`, `wrong_language`; a solution that does not reach the known answer (`wrong_answer`) or has no steps after
    all (`no_reasoning`).

    Every question stands once, in one of two ways, and says which: a fixed request for steps, or for the answer alone. Both
    kinds pass the same checks, so that `share` is that of the rows that are kept and the two differ in nothing else; both end
    in the known answer.
    """

    async def make(source: Example, session: Session) -> list[Made]:
        return [await _row(source, session, share=share, threshold=agreement)]

    jobs = questions(material, rows, longest=_LONGEST, tasks=("qa", "reading"))
    async for made in workshop.each(_NAME, jobs, make, rows=rows):
        yield made


async def _row(source: Example, session: Session, *, share: float, threshold: float) -> Made:
    need = await session.ask("cot.need", CotNeed, question=source.question, answer=source.answer)
    if not need.steps:
        raise Skipped("no_steps", need.reason)
    solution = await session.ask("cot.solve", CotSolution, question=source.question)
    reasoning = solution.reasoning.strip()
    reached = _reached(solution.answer, source.answer, threshold)
    form = "steps" if short_digest(f"cot {source.id}") < share * 2**64 else "at_once"
    verdicts: dict[str, Any] = {"reached": reached.how, "agreement": round(reached.agreement, 4)}
    row = derived(source, _NAME, _messages(source, reasoning, form), form=form, verdicts=verdicts)
    flaw = control_flaw(source.question, reasoning, source.answer) or language_flaw(source.language, reasoning)
    if flaw is None and not reached.how:
        flaw = Flaw("wrong_answer", f"reached: {solution.answer}; known: {source.answer}")
    if flaw is None and not reasoning:
        flaw = Flaw("no_reasoning", f"only the answer came back: {solution.answer}")
    return Made(row, session, *(flaw or ()))


def _messages(source: Example, reasoning: str, form: str) -> tuple[Message, ...]:
    words = read_yaml("generate", "cot.yaml")[source.language]
    answer = source.answer.strip()
    shown = words["answer"].format(reasoning=reasoning, answer=answer) if form == "steps" else answer
    return asked_again(source, words[form].format(question=source.question.strip()), shown)


def _reached(answer: str, known: str, threshold: float) -> _Reached:
    """How an answer reaches the known one: `equal`, `number` or `agreement`; empty where it does not.

    A number is right or wrong: likeness in words does not count.
    """
    likeness = agreement_of(answer, known)
    if _bare(answer) == _bare(known):
        return _Reached("equal", likeness)
    if _NUMBER.fullmatch(known.strip()):
        differing = [*unsupported_numbers(answer, known), *unsupported_numbers(known, answer)]
        return _Reached("" if differing else "number", likeness)
    return _Reached("agreement" if likeness >= threshold and same_numbers(answer, known) else "", likeness)


def _bare(answer: str) -> str:
    return normalise(answer).strip(" .。!！")
