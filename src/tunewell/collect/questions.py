"""Question-answer pairs that a page holds ready: headings that ask, with an answer below."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from tunewell.collect.markdown import ANSWER_MARK, NOT_TEXT, QUESTION_MARK, Section

_NUMBER = re.compile(r"[(（]?(?:\d+(?:\.\d+)*|[一二三四五六七八九十]+)[.)）、．][ \t]*(?!\d)")
_MARK = re.compile(QUESTION_MARK, re.IGNORECASE)
_ANSWER = re.compile(rf"^[ \t]*{ANSWER_MARK}", re.IGNORECASE | re.MULTILINE)
_TAG = re.compile(r"<[^<>]{0,1000}>")
_PICTURE = re.compile(
    r"<(p|div|center|figure)\b[^<>]{0,1000}>\s{0,100}<img\b[^<>]{0,1000}>\s{0,100}</\1>"
    r"|<img\b[^<>]{0,1000}>|!\[[^\[\]]{0,1000}\]\([^()]{0,1000}\)",
    re.IGNORECASE,
)
_NOT_PLAIN = re.compile(r"^[ \t]*(?:\||<|`{3}|~{3})|!\[", re.MULTILINE)
_RULE = re.compile(r"[ \t]*(?:-[ \t]*-[ \t]*-|\*[ \t]*\*[ \t]*\*|_[ \t]*_[ \t]*_)[-*_ \t]*")
_BLANK_LINES = re.compile(r"\n{3,}")
_ASKS = re.compile(
    r"(?:how|what|why|when|where|who|which|can|could|do|does|did|is|are|should|will|may)\b"
    r"|.*(?:如何|怎么|怎样|为什么|什么|是否|能否|哪)|.*[吗呢么]$",
    re.IGNORECASE,
)
_FURNITURE = re.compile(
    r"what(?:['’]s| is| has| was)? (?:new|next|changed)\b|(?:still )?need (?:more )?help\b|was this\b.*helpful|"
    r"(?:any |more )?questions?[?？]|有什么新|新增了什么|(?:还有|其他)(?:疑问|问题)|(?:本页|这篇文章|此文).*帮助",
    re.IGNORECASE,
)
_FAQ = re.compile(r"\bFAQs?\b|\bfrequently asked\b|\bQ ?& ?A\b|常见问[题答]|常见疑问|问答", re.IGNORECASE)
_FEWEST_SECTIONS = 3


class QuestionAnswer(NamedTuple):
    """A question without its number and mark, its answer without its mark and pictures, and where in the document that lies."""

    question: str
    answer: str
    start: int
    end: int


def question_answer(section: Section, *, in_faq: bool) -> QuestionAnswer | None:
    """The pair that a section is, or None.

    A heading asks if it ends with a question mark; or in its words (`How to …`, `怎么…`), where the page is a list of questions
    (`in_faq`), the headings above say so, or it is marked with `Q:` or `问：`. Plain text answers: paragraphs and lists, without
    tables, code, pictures or HTML. Where both sides are marked (`Q:` and `A:`), the pair is taken whatever the answer holds;
    only its pictures are left out.

    Known problem: a question that leans on a picture between the two (`I see this alarm:`) loses it.

    >>> question_answer(Section("FAQ > 2. How to pay", "2. How to pay", "By card.", 20, 28), in_faq=False)
    QuestionAnswer(question='How to pay', answer='By card.', start=20, end=28)
    """
    title = _unnumbered(section.title)
    mark = _MARK.match(title)
    question = title[mark.end() :].strip() if mark else title
    if not question or _FURNITURE.match(question):
        return None
    answer_mark = _answer_mark(section.text)
    body = _without_rules(section.text)
    start = answer_mark.end() if answer_mark else 0
    span = body[start:].strip()
    begin = section.start + body.find(span, start)
    if mark and answer_mark:
        answer = _without_pictures(span, is_bold=answer_mark.group().lstrip().count("**") == 1)
    else:
        may_ask_in_words = mark or in_faq or _FAQ.search(section.heading)
        asks = question.endswith(("?", "？")) or bool(may_ask_in_words and _ASKS.match(question))
        answer = span if asks and not _NOT_PLAIN.search(body) else ""
    return QuestionAnswer(question, answer, begin, begin + len(span)) if any(map(str.isalnum, answer)) else None


def is_faq(page: Iterable[Section]) -> bool:
    """Whether a page is a list of questions: two thirds of its headings, and three at least, are marked or end so.

    >>> is_faq(Section(title, title, "…", 0, 1) for title in ("How do I pay?", "Q: Payouts", "Fees?", "Contact"))
    True
    """
    titles = [_unnumbered(section.title) for section in page if section.title]
    asking = sum(title.endswith(("?", "？")) or bool(_MARK.match(title)) for title in titles)
    return len(titles) >= _FEWEST_SECTIONS and 3 * asking >= 2 * len(titles)


def _unnumbered(title: str) -> str:
    number = _NUMBER.match(title)
    return title[number.end() :] if number else title


def _answer_mark(text: str) -> re.Match[str] | None:
    found = _ANSWER.search(text)
    above = text[: found.start()] if found else ""
    return None if any(map(str.isalnum, _TAG.sub("", NOT_TEXT.sub("", above)))) else found


def _without_rules(text: str) -> str:
    lines = text.split("\n")
    while lines and (not lines[-1].strip() or _RULE.fullmatch(lines[-1])):
        lines.pop()
    return "\n".join(lines)


def _without_pictures(answer: str, *, is_bold: bool) -> str:
    whole = answer.replace("**", "", 1) if is_bold else answer
    return _BLANK_LINES.sub("\n\n", _PICTURE.sub("", whole)).strip()
