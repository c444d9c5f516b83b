"""`similarity`: pairs of questions that mean the same, or share words and ask something else."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from pydantic import BaseModel, Field

from tunewell.bundled import read_yaml
from tunewell.generate.checks import agreement
from tunewell.generate.material import Material
from tunewell.generate.tasks.rows import Flaw, control_flaw, derived, language_flaw, questions, wanted_questions
from tunewell.generate.workshop import Made, Session, Workshop
from tunewell.records import Example, Message
from tunewell.store import short_digest
from tunewell.text import normalise

_NAME = "similarity"
_WRITTEN = 3
# ROUGE-L F1 above which a rewording is none, and below which the words alone give away that another thing is asked.
_TOO_ALIKE = 0.9
_SHARED = 0.3
# How far the two pairs of a question may be apart in ROUGE-L F1.
_APART = 0.1

SIMILARITY_ROWS = wanted_questions(longest=300)
"""The rows that this task takes."""


class SimilarityPair(BaseModel):
    """Questions beside a given one."""

    same: list[str] = Field(description="Three questions that ask the same, from most to fewest of its words")
    other: list[str] = Field(description="Three questions that ask for something else, from most to fewest of its words")


class SimilarityVerdict(BaseModel):
    """Whether two questions mean the same."""

    reason: str = Field(description="One sentence: what each of the two questions wants to know")
    same: bool = Field(description="true where one answer would serve both questions")


class _Second(NamedTuple):
    """A question beside the given one, what is wrong with it, and their ROUGE-L F1."""

    text: str
    flaw: Flaw | None
    alike: float


async def similarity(material: Material, rows: int, workshop: Workshop) -> AsyncIterator[Made]:
    """Rows that ask whether two questions mean the same, as many with yes as with no.

    Words alone must not tell the label. So the teacher writes three questions that mean the same and three that do not, from near
    to far in wording, and those two are taken that share equally much with the given one: at most 0.1 of ROUGE-L apart, and by a
    draw on the question the one or the other is the nearer.

    Rejected: `control_tokens`, `wrong_language`, `empty_answer`; a rewording that is the question itself (`too_alike`), an opposite
    that shares few words with it (`too_easy`), both where words tell them apart (`words_tell`), a pair that a second call, which
    does not see the label, judges otherwise (`label_disputed`), and the pair whose counterpart was rejected
    (`counterpart_rejected`), since one label must not prevail.
    Known problem: only the overlap of words is levelled. Other marks of a label can remain, as the turns of phrase of a teacher.
    """
    jobs = questions(material, rows, SIMILARITY_ROWS, workshop)
    async for made in workshop.each(_NAME, jobs, _make, rows=rows):
        yield made


async def _make(source: Example, session: Session) -> list[Made]:
    written = await session.ask("similarity.write", SimilarityPair, question=source.question)
    branches = session.branch(), session.branch()
    sames = _seconds(source, written.same, _flaw_of_same)
    others = _seconds(source, written.other, _flaw_of_other)
    same, other = min(((same, other) for same in sames for other in others), key=lambda pair: _unevenness(source, *pair))
    flaws = [same.flaw, other.flaw]
    if not any(flaws) and abs(same.alike - other.alike) > _APART:
        flaws = [Flaw("words_tell", f"ROUGE-L {same.alike:.2f} where they ask the same, {other.alike:.2f} where not")] * 2
    # One dispute rejects both pairs, so that the second call is spared after it.
    for place, (branch, second, label) in enumerate(zip(branches, (same, other), ("yes", "no"), strict=True)):
        if not any(flaws):
            flaws[place] = await _dispute(branch, source.question, second.text, label)
    if any(flaws):
        flaws = [flaw or Flaw("counterpart_rejected", "the other pair of this question was rejected") for flaw in flaws]
    return [
        Made(_row(source, second, label), branch, *(flaw or ()))
        for second, label, branch, flaw in zip((same, other), ("yes", "no"), branches, flaws, strict=True)
    ]


def _seconds(source: Example, written: Sequence[str], own_flaw: Callable[[str, str], Flaw | None]) -> list[_Second]:
    """What the teacher wrote, the sound ones alone if there are any; nothing at all counts as an empty text."""
    found = []
    for text in [text.strip() for text in written[:_WRITTEN]] or [""]:
        flaw = control_flaw(source.question, text) or language_flaw(source.language, text) or own_flaw(source.question, text)
        found.append(_Second(text, flaw, agreement(source.question, text)))
    return [second for second in found if second.flaw is None] or found[:1]


def _unevenness(source: Example, same: _Second, other: _Second) -> tuple[bool, bool, float]:
    """By what two questions are chosen: not too far apart, then the nearer one by draw, then as close as can be."""
    difference = same.alike - other.alike
    is_drawn = (difference > 0) == bool(short_digest(f"similarity {source.id}") % 2)
    return abs(difference) > _APART, not is_drawn, abs(difference)


def _flaw_of_same(question: str, same: str) -> Flaw | None:
    if not same:
        return Flaw("empty_answer", "an empty text")
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


def _row(source: Example, second: _Second, label: str) -> Example:
    # The words are those that collected pairs are asked with, so that both are one task.
    words = read_yaml("collect", "prompts.yaml")[source.language]
    question = words["same"].format(first=source.question.strip(), second=second.text)
    verdicts = {"alike": round(second.alike, 4), "label": label}
    return derived(source, _NAME, [Message("user", question), Message("assistant", words[label])], verdicts=verdicts)
