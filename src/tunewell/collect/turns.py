"""The turns of a conversation, in each of the shapes in which data sets write them."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tunewell.collect.fields import Row, first_key, text_at, type_name
from tunewell.collect.problems import RowError
from tunewell.records import Message, Role

_SPEAKERS: Mapping[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "用户": "user",
    "客户": "user",
    "患者": "user",
    "病人": "user",
    "问": "user",
    "助手": "assistant",
    "客服": "assistant",
    "医生": "assistant",
    "机器人": "assistant",
    "答": "assistant",
}
# What a tool gives back stands where the user speaks.
_ROLES: Mapping[str, Role] = {
    **_SPEAKERS,
    "developer": "system",
    "model": "assistant",
    "tool": "user",
    "observation": "user",
    "function": "user",
    "function_call": "assistant",
}
_SPEAKER_KEYS = ("from", "role", "speaker")
_CONTENT_KEYS = ("value", "content", "message", "utterance", "text")
_UNNAMED_KEYS = ("message", "utterance", "text")
_WORDS = "|".join(sorted(_SPEAKERS, key=len, reverse=True))
# Bounded, and never begun twice in one run of signs, so that a text of signs alone takes no longer than any other.
_MARK = re.compile(
    rf"<({_WORDS})>[ \t]{{0,4}}[:：]"
    rf"|(?<!#)#{{2,6}}[ \t]{{0,4}}({_WORDS})[ \t]{{0,4}}[:：]"
    rf"|^[ \t]{{0,8}}({_WORDS})[ \t]{{0,4}}[:：]",
    re.IGNORECASE | re.MULTILINE,
)


class Turns(NamedTuple):
    """The messages of a conversation, and how many were cut off: a greeting at its start, a question without an answer."""

    messages: list[Message]
    cut: int = 0


def read_turns(row: Row, key: str) -> Turns:
    """The list of turns under a key; where the speakers are not named they alternate, and the user begins.

    What the assistant says before the user speaks is cut off, and so is a last turn of the user where the speakers are not
    named. Raises `RowError` with the reason `wrong_type`, `missing_keys` or `bad_roles`.
    """
    turns = row[key]
    if not isinstance(turns, list):
        raise RowError("wrong_type", f"`{key}` is {type_name(turns)} where a list is expected")
    if not turns or not _is_unnamed(turns[0]):
        return _without_greeting([message for number, turn in enumerate(turns, start=1) for message in _named(number, turn)])
    texts = [_unnamed(number, turn) for number, turn in enumerate(turns, start=1)]
    cut = len(texts) % 2
    return Turns(_alternating(texts[: len(texts) - cut]), cut)


def read_history(row: Row) -> Turns:
    """The earlier turns under `history`: pairs of texts, or turns in any other shape."""
    history = row.get("history") or []
    if not isinstance(history, list):
        raise RowError("wrong_type", f"`history` is {type_name(history)} where a list is expected")
    if not history or not isinstance(history[0], list):
        return read_turns({"history": history}, "history")
    messages: list[Message] = []
    for number, pair in enumerate(history, start=1):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise RowError("wrong_type", f"pair {number} of `history` is not a list of two texts")
        messages += _alternating(pair)
    return Turns(messages)


def is_turns(value: Any) -> bool:
    """Whether a list is a conversation by itself: turns of one shape, and two of them where the speakers are not named."""
    if not isinstance(value, list) or not value:
        return False
    if isinstance(value[0], str):
        return len(value) > 1 and all(isinstance(turn, str) for turn in value)
    return all(isinstance(turn, dict) and _is_turn(turn) for turn in value)


def is_exchanges(value: Any) -> bool:
    """Whether a list holds objects whose keys are the speakers: `{"human": …, "assistant": …}`."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and _is_exchange(value[0])


def opens_dialogue(text: Any) -> bool:
    """Whether a text begins with the mark of a speaker."""
    return isinstance(text, str) and _MARK.match(text.lstrip()) is not None


def has_dialogue(text: Any) -> bool:
    """Whether a text holds the marks of a user and of an assistant."""
    return isinstance(text, str) and {"user", "assistant"} <= {_speaker(mark) for mark in _MARK.finditer(text)}


def read_dialogue(text: str) -> Turns:
    """The turns in a text that marks them: `Human: … Assistant: …`, `<user>: … <bot>: …`, `用户：… 助手：…`.

    Marks stand at the start of a line, or anywhere in angle brackets or behind `###`. Text above the first is a system text.

    >>> [message.content for message in read_dialogue("<user>: Hi <bot>: Hello").messages]
    ['Hi', 'Hello']
    """
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    above = text[: marks[0].start()].strip()
    system = [Message("system", above)] if above else []
    turns = [Message(_speaker(mark), text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    return _without_greeting([*system, *turns])


def _speaker(mark: re.Match[str]) -> Role:
    return _SPEAKERS[(mark[1] or mark[2] or mark[3]).lower()]


def _without_greeting(messages: list[Message]) -> Turns:
    start = 1 if messages and messages[0].role == "system" else 0
    first = start
    while first < len(messages) and messages[first].role == "assistant":
        first += 1
    return Turns([*messages[:start], *messages[first:]], first - start)


def _alternating(texts: list[str]) -> list[Message]:
    return [Message("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)]


def _is_turn(turn: Row) -> bool:
    return bool(first_key(turn, _SPEAKER_KEYS)) or _is_unnamed(turn)


def _is_exchange(turn: Row) -> bool:
    return not first_key(turn, _SPEAKER_KEYS) and any(key in _ROLES for key in turn)


def _is_unnamed(turn: Any) -> bool:
    if not isinstance(turn, dict):
        return isinstance(turn, str)
    return bool(first_key(turn, _UNNAMED_KEYS)) and not first_key(turn, _SPEAKER_KEYS)


def _named(number: int, turn: Any) -> list[Message]:
    if not isinstance(turn, dict):
        raise RowError("wrong_type", f"turn {number} is {type_name(turn)} where an object is expected")
    try:
        speaker = first_key(turn, _SPEAKER_KEYS)
        if _is_exchange(turn):
            return [Message(_ROLES[key], text_at(turn, key)) for key in turn if key in _ROLES]
        name = text_at(turn, speaker or "role")
        content = text_at(turn, first_key(turn, _CONTENT_KEYS) or "content")
    except RowError as error:
        raise RowError(error.problem.reason, f"turn {number}: {error.problem.detail}") from None
    role = _ROLES.get(name.strip().lower())
    if role is None:
        raise RowError("bad_roles", f"turn {number} has the unknown role `{name}`; known: {', '.join(_ROLES)}")
    return [Message(role, content)]


def _unnamed(number: int, turn: Any) -> str:
    if isinstance(turn, str):
        return turn
    if not _is_unnamed(turn):
        raise RowError("wrong_type", f"turn {number} is {type_name(turn)} where text or an object with `message` is expected")
    try:
        return text_at(turn, first_key(turn, _UNNAMED_KEYS))
    except RowError as error:
        raise RowError(error.problem.reason, f"turn {number}: {error.problem.detail}") from None
