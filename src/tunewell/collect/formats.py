"""The formats of a row, told apart by their keys, and how each becomes a conversation.

To add a format: one function `Row -> list[Message]`, one line in `FORMATS`. The first line that matches wins.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tunewell.collect.problems import Problem, RowError, flaw
from tunewell.records import Message, Role

Row = Mapping[str, Any]

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
_QUESTION_KEYS = ("question", "ask", "prompt", "query", "q", "问题", "提问", "问", "instruction", "input")
_ANSWER_KEYS = ("answer", "response", "completion", "reply", "output", "a", "答案", "回答", "答")
_EVIDENCE_KEYS = ("topic", "category", "source", "task")


class Format(NamedTuple):
    """A form of row: its name, whether a row (keys in lower case) has it, and its conversation.

    `to_messages` raises `RowError` where the row has the form but not the content.
    """

    name: str
    matches: Callable[[Row], bool]
    to_messages: Callable[[Row], list[Message]]


def recognise(row: Row) -> Format | None:
    """The format of a row, or None. Keys count without regard to case and to spaces around them."""
    folded = _fold(row)
    return next((format_ for format_ in FORMATS if format_.matches(folded)), None)


def to_conversation(row: Row, format_: Format) -> tuple[Message, ...]:
    """The row's conversation: it alternates user and assistant after an optional system text, and ends with the assistant.

    Raises `RowError` with the reason `missing_keys`, `wrong_type`, `empty`, `bad_roles`, `nul_bytes` or `undecodable`.
    """
    messages = tuple(format_.to_messages(_fold(row)))
    check_conversation(messages)
    return messages


def check_conversation(messages: Sequence[Message]) -> None:
    """Raise `RowError` unless the messages are a conversation that can be trained on."""
    for message in messages:
        problem = flaw(message.content)
        if problem:
            raise RowError(problem.reason, f"the {message.role} text {problem.detail}")
    read = tuple(messages)
    turns = read[1:] if read and read[0].role == "system" else read
    if not turns:
        raise RowError("empty", "the conversation has no turns", messages=read)
    for number, turn in enumerate(turns, start=1):
        expected = "user" if number % 2 else "assistant"
        if turn.role != expected:
            raise RowError("bad_roles", f"turn {number} is `{turn.role}` where `{expected}` is expected", messages=read)
        if not turn.content.strip():
            raise RowError("empty", f"the {turn.role} text of turn {number} is empty", messages=read)
    if turns[-1].role != "assistant":
        raise RowError("bad_roles", "the conversation ends with the user, so there is no answer to learn", messages=read)


def evidence_of(row: Row) -> dict[str, str]:
    """The row's `topic`, `category`, `source` and `task`, where they are texts. Raises `RowError` where one is undecodable."""
    folded = _fold(row)
    evidence = {key: folded[key] for key in _EVIDENCE_KEYS if isinstance(folded.get(key), str)}
    for key, value in evidence.items():
        problem = flaw(value)
        if problem:
            raise RowError(problem.reason, f"`{key}` {problem.detail}")
    return evidence


def explain_unknown(row: Row) -> Problem:
    """Why a row has no known format: half of a pair is missing, or none of its keys says anything."""
    folded = _fold(row)
    if not folded:
        return Problem("empty", "an object without keys")
    for present, wanted, name in ((_QUESTION_KEYS, _ANSWER_KEYS, "answer"), (_ANSWER_KEYS, _QUESTION_KEYS, "question")):
        key = _first_key(folded, present)
        if key and len(key.encode()) > 1:
            return Problem("missing_keys", f"has `{key}` but no {name} (`{'`, `'.join(wanted)}`)")
    keys = ", ".join(sorted(folded)[:8])
    if {"seen", "unseen"} & set(folded):
        return Problem("unknown_format", "a triple of test items (seen, paraphrase, unseen), which belongs under data.test")
    return Problem("unknown_format", f"no known format has the keys {keys}")


def is_turns(value: Any) -> bool:
    """Whether a list is a conversation by itself: objects that each name a speaker."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(turn, dict) and {"role", "from"} & set(turn) for turn in value)
    )


def text_at(row: Row, key: str) -> str:
    """The text under a key. Raises `RowError` where there is none."""
    if key not in row:
        raise RowError("missing_keys", f"has no `{key}`")
    value = row[key]
    if not isinstance(value, str):
        raise RowError("wrong_type", f"`{key}` is {_type_name(value)} where text is expected")
    return value


def _fold(row: Row) -> Row:
    folded: dict[str, Any] = {}
    for key, value in row.items():
        folded.setdefault(key.strip().lower(), value)
    return folded


def _first_key(row: Row, keys: Sequence[str]) -> str:
    return next((key for key in keys if key in row), "")


def _type_name(value: Any) -> str:
    names = {
        str: "text",
        type(None): "null",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names[type(value)]


def _optional_text(row: Row, key: str) -> str:
    return "" if row.get(key) is None else text_at(row, key)


def _system(row: Row) -> list[Message]:
    text = _optional_text(row, "system")
    return [Message("system", text)] if text.strip() else []


def _turn(number: int, turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise RowError("wrong_type", f"turn {number} is {_type_name(turn)} where an object is expected")
    try:
        name = text_at(turn, "from" if "from" in turn else "role")
        content = text_at(turn, "value" if "value" in turn else "content")
    except RowError as error:
        raise RowError(error.problem.reason, f"turn {number}: {error.problem.detail}") from None
    role = _ROLES.get(name.strip().lower())
    if role is None:
        raise RowError("bad_roles", f"turn {number} has the unknown role `{name}`; known: {', '.join(_ROLES)}")
    return Message(role, content)


def _turns(row: Row, key: str) -> list[Message]:
    turns = row[key]
    if not isinstance(turns, list):
        raise RowError("wrong_type", f"`{key}` is {_type_name(turns)} where a list is expected")
    messages = [_turn(number, turn) for number, turn in enumerate(turns, start=1)]
    if messages and messages[0].role == "system":
        return messages if messages[0].content.strip() else messages[1:]
    return [*_system(row), *messages]


def _history(row: Row) -> list[Message]:
    pairs = row.get("history") or []
    if not isinstance(pairs, list):
        raise RowError("wrong_type", f"`history` is {_type_name(pairs)} where a list is expected")
    messages: list[Message] = []
    for number, pair in enumerate(pairs, start=1):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise RowError("wrong_type", f"pair {number} of `history` is not a list of two texts")
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages


def _answer(row: Row) -> Message:
    key = _first_key(row, ("output", *_ANSWER_KEYS) if "instruction" in row else _ANSWER_KEYS)
    if not key:
        raise RowError("missing_keys", f"has `instruction` but no answer (`{'`, `'.join(_ANSWER_KEYS)}`)")
    return Message("assistant", text_at(row, key))


def _is_alpaca(row: Row) -> bool:
    return "instruction" in row and bool({"output", "input", "history"} & set(row))


def _alpaca(row: Row) -> list[Message]:
    parts = [text_at(row, "instruction"), _optional_text(row, "input")]
    question = "\n".join(part for part in parts if part.strip())
    return [*_system(row), *_history(row), Message("user", question), _answer(row)]


def _messages(row: Row) -> list[Message]:
    return _turns(row, "messages")


def _sharegpt(row: Row) -> list[Message]:
    return _turns(row, "conversations")


def _is_question_answer(row: Row) -> bool:
    return bool(_first_key(row, _QUESTION_KEYS) and _first_key(row, _ANSWER_KEYS))


def _question_answer(row: Row) -> list[Message]:
    question = text_at(row, _first_key(row, _QUESTION_KEYS))
    return [*_system(row), Message("user", question), _answer(row)]


FORMATS: tuple[Format, ...] = (
    Format("messages", lambda row: "messages" in row, _messages),
    Format("sharegpt", lambda row: "conversations" in row, _sharegpt),
    Format("alpaca", _is_alpaca, _alpaca),
    Format("qa", _is_question_answer, _question_answer),
)
