"""`cot`: rows that reason step by step to the answer that is known."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel, Field

from tunewell.bundled import read_yaml
from tunewell.generate.material import Material
from tunewell.generate.tasks.reached import reached
from tunewell.generate.tasks.rows import (
    Flaw,
    asked_again,
    control_flaw,
    derived,
    language_flaw,
    questions,
    wanted_questions,
)
from tunewell.generate.workshop import Made, Session, Skipped, Workshop
from tunewell.records import Example, Message
from tunewell.store import short_digest

_NAME = "cot"

COT_ROWS = wanted_questions(longest=4_000, tasks=("qa", "reading"))
"""The rows that this task takes."""


class CotNeed(BaseModel):
    """Whether a question takes reasoning, and can be worked out."""

    reason: str = Field(description="One sentence: which steps lead to the answer, or that it is a plain fact, and what is missing")
    steps: bool = Field(description="true where at least two steps must be worked out")
    complete: bool = Field(description="true where the question itself tells all that the answer is worked out from")


class CotSolution(BaseModel):
    """A question worked out."""

    reasoning: str = Field(description="The steps in their order, without the final answer standing apart")
    answer: str = Field(description="The final answer alone")


async def cot(material: Material, rows: int, workshop: Workshop, *, share: float, agreement: float) -> AsyncIterator[Made]:
    """Rows that work out an answer, and, for the rest of the share, rows that give the same kind of answer at once.

    A question that takes no steps is skipped (`no_steps`), and so is one that does not tell all that its answer is worked out from
    (`needs_facts`), since reasoning towards it would be made up. The teacher reasons without the known answer in view. Rejected:
    `control_tokens`, `wrong_language`; a solution that does not reach the known answer (`wrong_answer`) or has no steps after
    all (`no_reasoning`).

    Every question stands once, in one of two ways, and says which: a fixed request for steps, or for the answer alone. Both
    kinds pass the same checks, so that `share` is that of the rows that are kept and the two differ in nothing else; both end
    in the known answer.
    """

    async def make(source: Example, session: Session) -> list[Made]:
        return [await _row(source, session, share=share, threshold=agreement)]

    jobs = questions(material, rows, COT_ROWS, workshop)
    async for made in workshop.each(_NAME, jobs, make, rows=rows):
        yield made


async def _row(source: Example, session: Session, *, share: float, threshold: float) -> Made:
    need = await session.ask("cot.need", CotNeed, question=source.question, answer=source.answer)
    if not need.steps:
        raise Skipped("no_steps", need.reason)
    if not need.complete:
        raise Skipped("needs_facts", need.reason)
    solution = await session.ask("cot.solve", CotSolution, question=source.question)
    reasoning = solution.reasoning.strip()
    how, likeness = reached(solution.answer, source.answer, threshold)
    form = "steps" if short_digest(f"cot {source.id}") < share * 2**64 else "at_once"
    verdicts: dict[str, Any] = {"reached": how, "agreement": round(likeness, 4)}
    row = derived(source, _NAME, _messages(source, reasoning, form), form=form, verdicts=verdicts)
    flaw = control_flaw(source.question, reasoning, source.answer) or language_flaw(source.language, reasoning)
    if flaw is None and not how:
        flaw = Flaw("wrong_answer", f"reached: {solution.answer}; known: {source.answer}")
    if flaw is None and not reasoning:
        flaw = Flaw("no_reasoning", f"only the answer came back: {solution.answer}")
    return Made(row, session, *(flaw or ()))


def _messages(source: Example, reasoning: str, form: str) -> tuple[Message, ...]:
    words = read_yaml("generate", "cot.yaml")[source.language]
    answer = source.answer.strip()
    shown = words["answer"].format(reasoning=reasoning, answer=answer) if form == "steps" else answer
    return asked_again(source, words[form].format(question=source.question.strip()), shown)
