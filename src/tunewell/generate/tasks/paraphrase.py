"""`paraphrase`: new wordings of real questions, with the real answer as it stands."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import BaseModel, Field

from tunewell.generate.checks import agreement, unsupported_names, unsupported_numbers
from tunewell.generate.material import Material
from tunewell.generate.tasks.rows import (
    Flaw,
    asked_again,
    control_flaw,
    derived,
    language_flaw,
    questions,
    wanted_questions,
)
from tunewell.generate.workshop import Made, Outcome, Session, Workshop, together
from tunewell.records import Example

_NAME = "paraphrase"
_WORDINGS = 3
# ROUGE-L F1 above which two wordings count as one.
_TOO_ALIKE = 0.9

# A longer question mostly carries material with it, which no rewording should touch.
PARAPHRASE_ROWS = wanted_questions(longest=600)
"""The rows that this task takes."""


class ParaphraseList(BaseModel):
    """New wordings of a question."""

    questions: list[str] = Field(description="New wordings of the question, each complete in itself, no two alike")


class ParaphraseVerdict(BaseModel):
    """Whether an answer to one question answers another one as well."""

    reason: str = Field(description="One sentence: what the two questions have in common, or in what they differ")
    fits: bool = Field(description="true where the answer is right and complete for the new question too")


async def paraphrase(material: Material, rows: int, workshop: Workshop) -> AsyncIterator[Made]:
    """Rows whose question is a new wording of a real one, and whose answer is the real one.

    Rejected: `control_tokens`, `wrong_language`; a wording too like the question or another wording (`too_alike`), one with other
    numbers (`numbers_changed`) or names (`names_changed`), and one that the answer does not fit, as a second call judges
    (`meaning_changed`).
    """
    jobs = questions(material, rows, PARAPHRASE_ROWS, workshop)
    async for made in workshop.each(_NAME, jobs, _make, rows=rows):
        yield made


async def _make(source: Example, session: Session) -> list[Outcome]:
    reply = await session.ask("paraphrase.write", ParaphraseList, question=source.question, count=_WORDINGS)
    wordings = [wording for text in reply.questions[:_WORDINGS] if (wording := text.strip())]
    return await together(
        _row(source, wording, session.branch(), flaw) for wording, flaw in zip(wordings, _flaws(source, wordings), strict=True)
    )


async def _row(source: Example, wording: str, session: Session, flaw: Flaw | None) -> Made:
    verdicts: dict[str, Any] = {"alike": round(agreement(wording, source.question), 4)}
    if flaw is None:
        flaw = await _misfit(source, wording, session)
        verdicts["fits"] = flaw is None
    row = derived(source, _NAME, asked_again(source, wording, source.answer), verdicts=verdicts)
    return Made(row, session, *(flaw or ()))


def _flaws(source: Example, wordings: Sequence[str]) -> list[Flaw | None]:
    """What is wrong with each wording, compared with the question and the good wordings before it."""
    known = [source.question]
    flaws = []
    for wording in wordings:
        flaws.append(_flaw(source, wording, known))
        if flaws[-1] is None:
            known.append(wording)
    return flaws


def _flaw(source: Example, wording: str, known: Sequence[str]) -> Flaw | None:
    if flaw := control_flaw(wording, source.answer) or language_flaw(source.language, wording):
        return flaw
    nearest = max(known, key=lambda text: agreement(wording, text))
    likeness = agreement(wording, nearest)
    if likeness > _TOO_ALIKE:
        return Flaw("too_alike", f"ROUGE-L {likeness:.2f} with: {nearest}")
    if changed := [*unsupported_numbers(wording, source.question), *unsupported_numbers(source.question, wording)]:
        return Flaw("numbers_changed", ", ".join(changed))
    # A name that the answer holds may well be asked for by it.
    if changed := [
        *unsupported_names(wording, f"{source.question}\n{source.answer}"),
        *unsupported_names(source.question, wording),
    ]:
        return Flaw("names_changed", ", ".join(changed))
    return None


async def _misfit(source: Example, wording: str, session: Session) -> Flaw | None:
    verdict = await session.ask(
        "paraphrase.judge", ParaphraseVerdict, question=source.question, wording=wording, answer=source.answer
    )
    return None if verdict.fits else Flaw("meaning_changed", verdict.reason)
