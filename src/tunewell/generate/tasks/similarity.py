"""`similarity`: pairs of questions that mean the same, or share words and ask something else."""

from collections.abc import AsyncIterator

from pydantic import BaseModel, Field

from tunewell.bundled import read_yaml
from tunewell.generate.checks import agreement
from tunewell.generate.material import Material
from tunewell.generate.tasks.rows import Flaw, control_flaw, derived, language_flaw, questions
from tunewell.generate.workshop import Made, Session, Workshop
from tunewell.records import Example, Message
from tunewell.text import normalise

_NAME = "similarity"
_LONGEST = 300
# ROUGE-L F1 above which a rewording is none, and below which the words alone give away that another thing is asked.
_TOO_ALIKE = 0.9
_SHARED = 0.3


class SimilarityPair(BaseModel):
    """Two questions beside a given one."""

    same: str = Field(description="A question that asks the same in other words")
    other: str = Field(description="A question that shares many words with the given one but asks for something else")


class SimilarityVerdict(BaseModel):
    """Whether two questions mean the same."""

    reason: str = Field(description="One sentence: what each of the two questions wants to know")
    same: bool = Field(description="true where one answer would serve both questions")


async def similarity(material: Material, rows: int, workshop: Workshop) -> AsyncIterator[Made]:
    """Rows that ask whether two questions mean the same, as many with yes as with no.

    Rejected: `control_tokens`, `wrong_language`; a rewording that is the question itself (`too_alike`), an opposite that shares
    few words with it (`too_easy`), a pair that a second call, which does not see the label, judges otherwise
    (`label_disputed`), and the pair whose counterpart was rejected (`counterpart_rejected`), since one label must not prevail.
    """
    jobs = questions(material, rows, longest=_LONGEST)
    async for made in workshop.each(_NAME, jobs, _make, rows=rows):
        yield made


async def _make(source: Example, session: Session) -> list[Made]:
    pair = await session.ask("similarity.write", SimilarityPair, question=source.question)
    branches = session.branch(), session.branch()
    same, other = pair.same.strip(), pair.other.strip()
    flaws = [
        _flaw_of_text(source, same) or _flaw_of_same(source.question, same),
        _flaw_of_text(source, other) or _flaw_of_other(source.question, other),
    ]
    if not any(flaws):
        flaws = [
            await _dispute(branch, source.question, second, label)
            for branch, second, label in zip(branches, (same, other), ("yes", "no"), strict=True)
        ]
    if any(flaws):
        flaws = [flaw or Flaw("counterpart_rejected", "the other pair of this question was rejected") for flaw in flaws]
    return [
        Made(_row(source, second, label), branch, *(flaw or ()))
        for second, label, branch, flaw in zip((same, other), ("yes", "no"), branches, flaws, strict=True)
    ]


def _flaw_of_text(source: Example, text: str) -> Flaw | None:
    return control_flaw(source.question, text) or language_flaw(source.language, text)


def _flaw_of_same(question: str, same: str) -> Flaw | None:
    likeness = agreement(question, same)
    return Flaw("too_alike", f"ROUGE-L {likeness:.2f} with the question") if likeness > _TOO_ALIKE else None


def _flaw_of_other(question: str, other: str) -> Flaw | None:
    if normalise(question) == normalise(other):
        return Flaw("too_alike", "it is the question itself")
    likeness = agreement(question, other)
    return Flaw("too_easy", f"ROUGE-L {likeness:.2f} with the question, {_SHARED} is the least") if likeness < _SHARED else None


async def _dispute(session: Session, first: str, second: str, label: str) -> Flaw | None:
    verdict = await session.ask("similarity.judge", SimilarityVerdict, first=first, second=second)
    return None if verdict.same == (label == "yes") else Flaw("label_disputed", f"the label is {label}: {verdict.reason}")


def _row(source: Example, second: str, label: str) -> Example:
    # The words are those that collected pairs are asked with, so that both are one task.
    words = read_yaml("collect", "prompts.yaml")[source.language]
    question = words["same"].format(first=source.question.strip(), second=second)
    verdicts = {"alike": round(agreement(source.question, second), 4), "label": label}
    return derived(source, _NAME, [Message("user", question), Message("assistant", words[label])], verdicts=verdicts)
