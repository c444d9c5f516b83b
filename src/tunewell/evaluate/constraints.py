"""Instructions that code can check, for Chinese and English answers: what follows them, strictly and loosely."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tunewell.text import language

Constraint = Mapping[str, Any]
"""A constraint of `constraints.yaml` in one language: `kind`, `check`, `text`, and the options of the check."""

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_HAN}]|[^\W{_HAN}]+(?:['’\-][^\W{_HAN}]+|(?<=\d)[.,]\d+)*")
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)]*(?=\s|$)|[。！？]")
_BULLET = re.compile(r"^[ \t]*[-*+•·]\s+\S", re.MULTILINE)
_FENCE = re.compile(r"\A```\w*\n(.*)\n```\Z", re.DOTALL)
_RULE_CELL = re.compile(r":?-+:?")
_CLOSING = " .!?。！？\"'”’"
_EMPHASIS = re.compile(r"(\*{1,3})(?=\S)(.+?)(?<=\S)\1|(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\3(?!\w)")
_HALF_WIDTH = re.compile(r"(?<!\d)[,.:]|[,.:](?!\d)|[!?;()\"']")  # 1,000 and 9:30 are written so in Chinese, too
_FULL_WIDTH = re.compile(r"[，。！？：；、（）《》“”‘’【】]")


class Followed(NamedTuple):
    """Whether an answer follows one of its constraints, as it stands and as a lenient reader would see it."""

    kind: str
    strict: bool
    loose: bool


def follows(answer: str, constraint: Constraint) -> bool:
    """Whether an answer as it stands obeys a constraint of `constraints.yaml`. An empty answer obeys none.

    A word is a run of letters and digits or one Han character, so that a Chinese length counts 字. Known problem: an
    abbreviation such as `e.g.` ends a sentence.
    """
    options = {key: value for key, value in constraint.items() if key not in {"kind", "check", "text"}}
    return bool(answer.strip()) and _CHECKS[constraint["check"]](answer.strip(), **options)


def follows_loosely(answer: str, constraint: Constraint) -> bool:
    """Whether an answer obeys a constraint as it stands, or without its first line, its last line, or Markdown emphasis.

    So an introduction, a closing remark or bold type around a correct answer is forgiven. The idea is IFEval's (Zhou et al.
    2023, arXiv 2311.07911, section 2.2). Known problem: what must not occur may occur in the line that is left out.
    """
    return any(follows(reading, constraint) for reading in _readings(answer))


def follow_each(answer: str, constraints: Sequence[Constraint]) -> list[Followed]:
    """Whether an answer follows each of the constraints that it was asked to obey at once, strictly and loosely."""
    return [
        Followed(constraint["kind"], follows(answer, constraint), follows_loosely(answer, constraint)) for constraint in constraints
    ]


def constraint_measures(answer: str, constraints: Sequence[Constraint]) -> dict[str, float]:
    """The measures of one answer: `followed` and `loose` are 1 where it follows every constraint.

    `strict/KIND` and `loose/KIND` are the same for each one, so that results can be sliced by kind; their mean over all
    constraints is IFEval's instruction-level accuracy, that of `followed` and `loose` its prompt-level accuracy.
    """
    each = follow_each(answer, constraints)
    measures = {"followed": float(all(one.strict for one in each)), "loose": float(all(one.loose for one in each))}
    for one in each:
        measures |= {f"strict/{one.kind}": float(one.strict), f"loose/{one.kind}": float(one.loose)}
    return measures


def _readings(answer: str) -> Iterator[str]:
    for text in (answer, _EMPHASIS.sub(lambda found: found[2] or found[4], answer)):
        lines = text.strip().split("\n")
        for part in (lines, lines[1:], lines[:-1], lines[1:-1]):
            yield "\n".join(part)


def _words(answer: str, *, least: int = 0, most: float = float("inf")) -> bool:
    return least <= len(_WORD.findall(answer)) <= most


def _sentences(answer: str, *, count: int) -> bool:
    return len(_split_sentences(answer)) == count


def _sentence_words(answer: str, *, most: int) -> bool:
    return all(len(_WORD.findall(sentence)) <= most for sentence in _split_sentences(answer))


def _split_sentences(answer: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(answer) if _WORD.search(part)]


def _paragraphs(answer: str, *, count: int) -> bool:
    return len(re.split(r"\n[ \t]*\n\s*", answer)) == count


def _points(answer: str, *, alphabet: str, labels: Sequence[str]) -> bool:
    """Whether the labels at the starts of lines, such as `1.`, `b)` or `三、`, are these in this order."""
    point = rf"^[ \t]*[(（]?([{alphabet}]+)(?:[、．)）]|\.(?!\d))\s*\S"
    return re.findall(point, answer, re.MULTILINE) == labels


def _bullets(answer: str, *, count: int) -> bool:
    return len(_BULLET.findall(answer)) == count


def _json_object(answer: str, *, key: str) -> bool:
    fenced = _FENCE.match(answer)
    try:
        value = json.loads(fenced.group(1) if fenced else answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and key in value


def _table(answer: str, *, columns: int) -> bool:
    """Whether the answer is a Markdown table: a head, a rule and at least one row, each of so many cells."""
    rows = [[cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")] for line in answer.split("\n")]
    return len(rows) >= 3 and all(len(row) == columns for row in rows) and all(map(_RULE_CELL.fullmatch, rows[1]))


def _starts_with(answer: str, *, start: str) -> bool:
    return re.match(_whole(start), answer.lower()) is not None


def _ends_with(answer: str, *, end: str) -> bool:
    return re.search(_whole(end) + r"\Z", answer.lower().rstrip(_CLOSING)) is not None


def _contains(answer: str, *, part: str, least: int = 1) -> bool:
    return len(re.findall(_whole(part), answer.lower())) >= least


def _in_order(answer: str, *, parts: Sequence[str]) -> bool:
    return re.search(".*".join(map(_whole, parts)), answer.lower(), re.DOTALL) is not None


def _avoids(answer: str, *, parts: Sequence[str]) -> bool:
    return not any(_contains(answer, part=part) for part in parts)


def _pattern(answer: str, *, pattern: str, least: int = 1, most: float = float("inf")) -> bool:
    """Whether the pattern occurs so many times."""
    return least <= len(re.findall(pattern, answer)) <= most


def _full_width(answer: str) -> bool:
    return _FULL_WIDTH.search(answer) is not None and _HALF_WIDTH.search(answer) is None


def _written_in(answer: str, *, code: str) -> bool:
    return language(answer) == code


def _whole(part: str) -> str:
    """A pattern for the part as whole words where it is Latin; Chinese has no word boundaries."""
    return rf"\b{re.escape(part)}\b" if part.isascii() else re.escape(part)


_CHECKS: Mapping[str, Callable[..., bool]] = {
    "words": _words,
    "sentences": _sentences,
    "sentence_words": _sentence_words,
    "paragraphs": _paragraphs,
    "points": _points,
    "bullets": _bullets,
    "json_object": _json_object,
    "table": _table,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "contains": _contains,
    "in_order": _in_order,
    "avoids": _avoids,
    "pattern": _pattern,
    "upper_case": str.isupper,
    "lower_case": str.islower,
    "full_width": _full_width,
    "written_in": _written_in,
}
