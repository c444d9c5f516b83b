"""`summary`: summaries of chunks, checked for numbers and names from elsewhere, length, copying, and what they leave out."""

from collections.abc import AsyncIterator, Iterator, Sequence
from difflib import SequenceMatcher

from pydantic import BaseModel, Field

from tunewell.bundled import read_yaml
from tunewell.generate.chunks import prose_language
from tunewell.generate.material import Material
from tunewell.generate.tasks.grounding import (
    Check,
    Verdicts,
    control_check,
    material_of,
    require_letters,
    row_of,
    support_checks,
)
from tunewell.generate.workshop import Made, Session, Skipped, Workshop
from tunewell.records import Document, Message
from tunewell.store import short_digest
from tunewell.text import tokens

_NAME = "summary"
_LEAST_LETTERS = {"zh": 150, "en": 400}
_LONGEST = 0.6
_COPIED_TOKENS = 20
_COPIED_SHARE = 0.5
_COVERED = 0.6


class SummaryPoints(BaseModel):
    """What a text says that matters most."""

    points: list[str] = Field(description="Three to six points, each one sentence; empty where nothing can be summed up")


class SummaryText(BaseModel):
    """A summary."""

    summary: str = Field(description="The summary, in the language of the text")


class SummaryCoverage(BaseModel):
    """Which points a summary holds."""

    covered: list[int] = Field(description="The numbers of the points that the summary holds, in whatever words")


async def summary(material: Material, rows: int, workshop: Workshop) -> AsyncIterator[Made]:
    """Rows that ask for a summary of a text, in varied words, and give it; at most one for each chunk.

    A chunk too short to be summed up, or without anything to sum up, is skipped (`no_questions`). Rejected, in this order: no
    summary (`empty_answer`) or one in another language (`wrong_language`), `control_tokens` in it or in the text, numbers or names
    that are not in the text (`unsupported_number`, `unsupported_name`), a summary of 60 % of the text's length or more
    (`not_shorter`), one of which half is one passage of the text (`copied`), and one that holds less than 60 % of the points that
    another call found in the text (`coverage`).
    """
    async for made in workshop.each(_NAME, material.chunks(), _make, rows=rows):
        yield made


async def _make(chunk: Document, session: Session) -> list[Made]:
    require_letters(chunk, _LEAST_LETTERS)
    text = material_of(chunk)
    found = await session.ask("summary.points", SummaryPoints, text=text)
    points = [point.strip() for point in found.points if point.strip()]
    if not points:
        raise Skipped("no_questions", "no points to sum up")
    written = (await session.ask("summary.write", SummaryText, text=text)).summary.strip()
    verdicts = Verdicts()
    if verdicts.hold(_checks(written, text, chunk.language)):
        coverage = await session.ask("summary.coverage", SummaryCoverage, points=points, summary=written)
        _note_coverage(coverage.covered, points, verdicts)
    # The row shows what the teacher read, headings included: else it would teach to know what stands nowhere.
    messages = [Message("user", f"{_instruction(chunk)}\n\n{text}"), *([Message("assistant", written)] if written else [])]
    row = row_of(chunk, _NAME, messages, points=points, verdicts=verdicts.ran)
    return [Made(row, session, verdicts.reason, verdicts.detail)]


def _checks(written: str, text: str, language: str) -> Iterator[Check]:
    yield Check("empty_answer", "" if written else "an empty summary")
    yield Check("wrong_language", written if prose_language(written) != language else "")
    yield control_check(written, text)
    yield from support_checks(written, text)
    share = len(written) / len(text)
    yield Check("not_shorter", f"{share:.0%} of the text's length" if share >= _LONGEST else "")
    yield Check("copied", _copied(written, text))


def _copied(written: str, text: str) -> str:
    """The passage that makes up half of a summary and stands in the text word for word, or an empty string."""
    words, source = tokens(written), tokens(text)
    run = SequenceMatcher(None, words, source, autojunk=False).find_longest_match()
    is_copy = run.size >= _COPIED_TOKENS and run.size > _COPIED_SHARE * len(words)
    return " ".join(words[run.a : run.a + run.size]) if is_copy else ""


def _note_coverage(covered: Sequence[int], points: Sequence[str], verdicts: Verdicts) -> None:
    missing = [point for number, point in enumerate(points, start=1) if number not in covered]
    share = 1 - len(missing) / len(points)
    verdicts.ran["covered"] = round(share, 4)
    flaw = f"{len(missing)} of {len(points)} points are missing: {'; '.join(missing)}"
    verdicts.hold([Check("coverage", flaw if share < _COVERED else "")])


def _instruction(chunk: Document) -> str:
    """One of the wordings in the prompt file, chosen by the chunk alone."""
    wordings: list[str] = read_yaml("generate", f"summary.{chunk.language}.yaml")["write"]["instructions"]
    return wordings[short_digest(chunk.id) % len(wordings)]
