"""Instructions that code can check, for Chinese and English answers. Each check is strict: the answer as it stands."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tunewell.text import tokens

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")
_NUMBERED = re.compile(r"^\s*\d+[.、)）]\s*\S", re.MULTILINE)
_BULLET = re.compile(r"^\s*[-*•·]\s+\S", re.MULTILINE)
_FENCE = re.compile(r"^```\w*\n(.*)\n```$", re.DOTALL)
_CLOSING = " .!?。！？\"'”’"
_QUOTES = {'"': '"', "“": "”", "「": "」"}


def follows(answer: str, constraint: Mapping[str, Any]) -> bool:
    """Whether an answer obeys a constraint of `constraints.yaml`. An empty answer obeys none."""
    options = {key: value for key, value in constraint.items() if key not in {"kind", "check", "text"}}
    return bool(answer.strip()) and _CHECKS[constraint["check"]](answer.strip(), **options)


def _length_at_most(answer: str, *, limit: int) -> bool:
    return len(tokens(answer)) <= limit


def _length_at_least(answer: str, *, limit: int) -> bool:
    return len(tokens(answer)) >= limit


def _sentences(answer: str, *, count: int) -> bool:
    return len([part for part in _SENTENCE_END.split(answer) if part.strip()]) == count


def _starts_with(answer: str, *, start: str) -> bool:
    return answer.lower().startswith(start)


def _ends_with(answer: str, *, end: str) -> bool:
    return answer.lower().rstrip(_CLOSING).endswith(end)


def _contains(answer: str, *, part: str) -> bool:
    return re.search(_whole(part), answer.lower()) is not None


def _avoids(answer: str, *, part: str) -> bool:
    return not _contains(answer, part=part)


def _numbered(answer: str, *, count: int) -> bool:
    return len(_NUMBERED.findall(answer)) == count


def _bullets(answer: str, *, count: int) -> bool:
    return len(_BULLET.findall(answer)) == count


def _json_with_key(answer: str, *, key: str) -> bool:
    fenced = _FENCE.match(answer)
    try:
        value = json.loads(fenced.group(1) if fenced else answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and key in value


def _upper_case(answer: str) -> bool:
    return answer == answer.upper() and any(character.isalpha() for character in answer)


def _lower_case(answer: str) -> bool:
    return answer == answer.lower()


def _avoids_marks(answer: str, *, marks: str) -> bool:
    return not set(marks) & set(answer)


def _ends_with_question(answer: str) -> bool:
    return answer.rstrip("\"'”’").endswith(("?", "？"))


def _quoted(answer: str) -> bool:
    return len(answer) > 2 and _QUOTES.get(answer[0]) == answer[-1]


def _whole(part: str) -> str:
    """A pattern for the part as whole words where it is Latin; Chinese has no word boundaries."""
    return rf"\b{re.escape(part)}\b" if part.isascii() else re.escape(part)


_CHECKS: Mapping[str, Callable[..., bool]] = {
    "length_at_most": _length_at_most,
    "length_at_least": _length_at_least,
    "sentences": _sentences,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "contains": _contains,
    "avoids": _avoids,
    "numbered": _numbered,
    "bullets": _bullets,
    "json_with_key": _json_with_key,
    "upper_case": _upper_case,
    "lower_case": _lower_case,
    "avoids_marks": _avoids_marks,
    "ends_with_question": _ends_with_question,
    "quoted": _quoted,
}
