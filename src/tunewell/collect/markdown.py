"""Sections of a Markdown document: heading path and exact span of characters."""

import re
from collections.abc import Iterator
from typing import NamedTuple

QUESTION_MARK = r"(?:(?:Q|Question|问)[ \t]*\d{0,3}[ \t]*[:：]|Q\d{1,3}[.)、])(?:\*\*)?[ \t]*"
"""What stands before a question in many lists of questions, as a pattern for any case."""
ANSWER_MARK = r"(?:\*\*)?(?:A|Answer|答|回答)[ \t]*\d{0,3}[ \t]*[:：](?:\*\*)?[ \t]*"
"""What stands before an answer there."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?=[\w-]+[ \t]*:)(?:[^\n]*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_NOT_A_PARAGRAPH = re.compile(r"\s*(?:[#>|]|[-*+][ \t]|\d+[.)][ \t]|<|`{3}|~{3})|(?: {4}|\t)")
# Nothing here looks far ahead from each of many places: a long line of brackets must not take for ever.
NOT_TEXT = re.compile(r"<!--.*?(?:-->|\Z)|!\[[^\[\]]{0,1000}\]\([^()]{0,1000}\)", re.DOTALL)
_LINK = re.compile(r"\[([^\[\]]{0,1000})\]\([^()]{0,1000}\)")
_ANCHOR = re.compile(r"\{#[^{}]*\}$")


_QUESTION_LINE = re.compile(rf" {{0,3}}(?:\*\*)?{QUESTION_MARK}[^\s]", re.IGNORECASE)
_ANSWER_BELOW = re.compile(rf"[ \t\n]*{ANSWER_MARK}", re.IGNORECASE)
_BELOW_ALL = 7


class Section(NamedTuple):
    """The text between one heading and the next: `text == document[start:end]`, `heading` is the path of headings above it.

    `title` is the last heading of the path; both are empty for the text before the first heading.
    """

    heading: str
    title: str
    text: str
    start: int
    end: int


class _Heading(NamedTuple):
    level: int
    title: str
    start: int
    end: int


def sections(document: str) -> Iterator[Section]:
    r"""The sections that hold real text (not only comments, pictures or lines), in order. Line ends must be `\n`.

    A line `Q: …` or `**Q: …**` with a line `A: …` below it counts as a heading beneath all others.

    Known problem: headings inside HTML blocks and comments count as headings.

    >>> [(part.heading, part.text) for part in sections("# Payouts\n\n## Cut-off time\nAt 18:00.\n")]
    [('Payouts > Cut-off time', 'At 18:00.')]
    """
    path: list[_Heading] = []
    front = _FRONT_MATTER.match(document)
    start = front.end() if front else 0
    for heading in [*_headings(document, start), _Heading(0, "", len(document), len(document))]:
        section = _section(document, path, start, heading.start)
        if section is not None:
            yield section
        path = [*(above for above in path if above.level < heading.level), heading]
        start = heading.end


def whole(document: str) -> Iterator[Section]:
    """A plain text as its one section, if it holds any text."""
    section = _section(document, [], 0, len(document))
    if section is not None:
        yield section


def _section(document: str, path: list[_Heading], start: int, end: int) -> Section | None:
    body = document[start:end]
    text = body.strip()
    if not any(map(str.isalnum, NOT_TEXT.sub("", text))):
        return None
    first = start + len(body) - len(body.lstrip())
    titles = [heading.title for heading in path if heading.title]
    return Section(" > ".join(titles), path[-1].title if path else "", text, first, first + len(text))


def _headings(document: str, start: int) -> Iterator[_Heading]:
    fence = ""
    above, above_start, paragraph_lines = "", start, 0
    for match in _LINE.finditer(document, start):
        line = match.group().rstrip("\n")
        if fence:
            fence = "" if _closes(line, fence) else fence
            continue
        fence = _opened_fence(line)
        atx, setext = _ATX.match(line), _SETEXT.match(line)
        if atx:
            yield _Heading(len(atx[1]), _title(_without_closing(line[atx.end() :])), match.start(), match.end())
        elif not fence and _QUESTION_LINE.match(line) and _ANSWER_BELOW.match(document, match.end()):
            yield _Heading(_BELOW_ALL, _title(line), match.start(), match.end())
        elif setext and paragraph_lines == 1:
            yield _Heading(1 if setext[1].startswith("=") else 2, _title(above), above_start, match.end())
        in_paragraph = bool(line.strip()) and not (fence or atx or setext or _NOT_A_PARAGRAPH.match(line))
        paragraph_lines = paragraph_lines + 1 if in_paragraph else 0
        above, above_start = line, match.start()


def _opened_fence(line: str) -> str:
    match = _FENCE.match(line)
    return match[1] if match and not (match[1][0] == "`" and "`" in match[2]) else ""


def _closes(line: str, fence: str) -> bool:
    match = _FENCE.match(line)
    return bool(match and match[1][0] == fence[0] and len(match[1]) >= len(fence) and not match[2].strip())


def _without_closing(text: str) -> str:
    text = text.strip()
    opened = text.rstrip("#")
    return opened if not opened or opened[-1] in " \t" else text


def _title(text: str) -> str:
    plain = _LINK.sub(r"\1", _ANCHOR.sub("", text.strip()))
    return plain.replace("**", "").replace("`", "").strip()
